//! Keeping the contents of a work directory before children run: in the user's repository, where its index holds them
//! anyway, else in mux's own store. What the last snapshot knows is not read again.

use super::manifest::{Entry, Following, Kind, Manifest, Region, Stamp};
use super::objects::{Index, Objects};
use super::{NoSnapshot, is_racy};
use crate::sys::git;
use crate::words::stop::Stop;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// Most bytes that one snapshot copies.
const MOST_BYTES: u64 = 4 << 30;

/// Finds or makes the object of every file of `now`; one that cannot be read is only fingerprinted.
pub(super) fn keep(objects: &Objects<'_>, last: &Manifest, now: &mut Manifest, stop: &Stop) -> Result<(), NoSnapshot> {
    reuse(objects, last, now, stop)?;
    let mut has_kept = false;
    for number in 0..now.regions.len() {
        let here = |entry: &Entry| entry.region as usize == number && entry.kind == Kind::Own && entry.text.is_empty();
        let mut open: Vec<&mut Entry> = now.entries.iter_mut().filter(|entry| here(entry)).collect();
        let Some(region) = now.regions.get_mut(number).filter(|_| !open.is_empty()) else { continue };
        if region.format.is_empty() {
            region.format = if region.lends { objects.format(region, stop)? } else { "sha1".to_string() };
        }
        if region.lends {
            lend(objects, region, &mut open, stop)?;
        }
        open.retain(|entry| entry.text.is_empty());
        let bytes = open.iter().map(|entry| entry.stamp.size).sum();
        if bytes > MOST_BYTES {
            return Err(NoSnapshot::TooLarge { bytes });
        }
        if open.is_empty() {
            continue;
        }
        let paths: Vec<&[u8]> = open.iter().map(|entry| entry.path.as_slice()).collect();
        let ids = objects.hash(&region.format, &paths, true, stop)?;
        for (entry, id) in open.into_iter().zip(ids) {
            match id {
                Some(id) => entry.text = id,
                None => entry.kind = Kind::Unkept,
            }
        }
        has_kept = true;
    }
    if has_kept {
        objects.sync();
    }
    Ok(())
}

/// Takes over what the last snapshot knows of files that have not changed since. What the user's repository holds is
/// known only as long as its index holds it: objects that nothing names may be collected at any time.
fn reuse(objects: &Objects<'_>, last: &Manifest, now: &mut Manifest, stop: &Stop) -> Result<(), NoSnapshot> {
    let mut old = Following::new(last);
    let old_regions: HashMap<&[u8], &Region> = last.regions.iter().map(|old| (old.path.as_slice(), old)).collect();
    let mut changed: HashMap<u32, Index> = HashMap::new();
    for (number, region) in (0..).zip(&mut now.regions) {
        if !region.lends {
            continue;
        }
        region.index = index_stamp(objects, region);
        if let Some(old) = old_regions.get(region.path.as_slice()).filter(|old| old.lends && !old.format.is_empty()) {
            region.format.clone_from(&old.format);
            if old.index != region.index {
                changed.insert(number, objects.index(region, None, stop)?);
            }
        }
    }
    for entry in &mut now.entries {
        let found = old.find(&entry.path).map(|(_, old)| old);
        let is_known = |old: &&Entry| entry.kind == Kind::Own && old.kind.is_file() && old.stamp == entry.stamp;
        let Some(old) = found.filter(is_known) else { continue };
        let (here, there) = (now.regions.get(entry.region as usize), last.regions.get(old.region as usize));
        let is_lent = here.is_some_and(|here| here.lends && there.is_some_and(|there| there.path == here.path))
            && changed.get(&entry.region).is_none_or(|index| index.get(&entry.path) == Some(&old.text));
        if (old.kind == Kind::Own || is_lent) && !is_racy(&old.stamp, last.taken) {
            entry.kind = old.kind;
            entry.text.clone_from(&old.text);
        }
    }
    Ok(())
}

/// Finds the files whose content the user's repository holds, by its index and by its objects.
fn lend(objects: &Objects<'_>, region: &Region, open: &mut [&mut Entry], stop: &Stop) -> Result<(), NoSnapshot> {
    let paths: Vec<Vec<u8>> = open.iter().map(|entry| entry.path.clone()).collect();
    let index = objects.index(region, Some(&paths), stop)?;
    let mut known: Vec<_> = open.iter_mut().filter(|entry| index.contains_key(&entry.path)).collect();
    if known.is_empty() {
        return Ok(());
    }
    let paths: Vec<&[u8]> = known.iter().map(|entry| entry.path.as_slice()).collect();
    let ids = objects.hash(&region.format, &paths, false, stop)?;
    let is_same = |entry: &Entry, id: &Option<Vec<u8>>| id.is_some() && index.get(&entry.path) == id.as_ref();
    let same = known.iter().zip(&ids).filter(|(entry, id)| is_same(entry, id));
    let same: Vec<&[u8]> = same.filter_map(|(_, id)| id.as_deref()).collect();
    let present = objects.present(region, &same, stop)?;
    for (entry, id) in known.iter_mut().zip(&ids) {
        if let Some(id) = id.as_ref().filter(|found| present.contains(*found) && index.get(&entry.path) == Some(found))
        {
            entry.kind = Kind::Lent;
            entry.text.clone_from(id);
        }
    }
    Ok(())
}

/// What the index file of a region's repository is like; nothing where there is none.
fn index_stamp(objects: &Objects<'_>, region: &Region) -> Stamp {
    let path = OsStr::from_bytes(&region.path);
    let at = if path.is_empty() { objects.work_dir.to_path_buf() } else { objects.work_dir.join(path) };
    let dir = git::root(&at).and_then(|root| git::git_dir(&root));
    dir.and_then(|dir| fs_err::metadata(dir.join("index")).ok()).map(|meta| Stamp::of(&meta)).unwrap_or_default()
}
