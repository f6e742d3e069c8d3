//! Two looks at a work directory → what changed between them.

use super::manifest::{Entry, Following, Kind, Manifest};
use super::objects::Objects;
use super::{Beyond, Changed, NoSnapshot, Taken, Unkept, is_racy};
use crate::rules::sorted::sorted;
use crate::words::stop::Stop;
use std::collections::{BTreeMap, HashSet};

/// Compares two looks. Files whose stamps differ are hashed, so that one that was only touched has not changed.
pub(super) fn compare(
    before: &Manifest,
    now: &Manifest,
    objects: &Objects<'_>,
    stop: &Stop,
) -> Result<Taken, NoSnapshot> {
    let mut pairs = differing(before, now);
    let same = untouched(&pairs, objects, stop)?;
    pairs.retain(|(path, ..)| !same.contains(path));
    let mut taken = Taken::default();
    // Sorted, so that parents come first.
    let order = sorted(pairs.iter().enumerate().map(|(number, (path, ..))| (*path, number)).collect());
    for (path, old, new) in order.into_iter().filter_map(|(_, number)| pairs.get(number).copied()) {
        let Ok(text) = str::from_utf8(path) else {
            taken.beyond.push(Beyond { path: String::from_utf8_lossy(path).into_owned(), why: Unkept::Name });
            continue;
        };
        if let (Some(old), Some(new)) = (old, new)
            && (old.kind, new.kind) == (Kind::Dir, Kind::Dir)
        {
            taken.modes.push((text.to_string(), old.stamp.permissions(), new.stamp.permissions()));
            continue;
        }
        let went = old.map_or(Ok(None), |old| part(old).map(Some));
        let came = new.map_or(Ok(None), |new| part(new).map(Some));
        // A large file that came can be taken away again, unlike one that went.
        let came =
            if new.is_some_and(|new| new.kind == Kind::Unkept) && old.is_none() { Ok(Some(Part::File)) } else { came };
        match (went, came) {
            (Err(why), _) | (_, Err(why)) => taken.beyond.push(Beyond { path: text.to_string(), why }),
            (Ok(went), Ok(came)) => {
                if went == Some(Part::Dir) {
                    let mode = old.map_or(0, |old| old.stamp.permissions());
                    taken.gone.push((text.to_string(), mode));
                }
                if came == Some(Part::Dir) {
                    taken.made.push(text.to_string());
                }
                if went == Some(Part::File) || came == Some(Part::File) {
                    // Whether there is an image is known when it was brought.
                    taken.files.push(Changed { path: text.to_string(), image: None });
                }
            }
        }
    }
    Ok(taken)
}

/// What a name stands for, as far as it can be brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    File,
    Dir,
}

fn part(entry: &Entry) -> Result<Part, Unkept> {
    match entry.kind {
        Kind::Own | Kind::Lent | Kind::Link => Ok(Part::File),
        Kind::Dir => Ok(Part::Dir),
        Kind::Unkept => Err(Unkept::File),
        Kind::Bulk => Err(Unkept::Bulk),
        Kind::Special => Err(Unkept::Special),
        Kind::Repository => Err(Unkept::Repository),
    }
}

/// Whether two entries are so much alike that nothing has to be looked at.
fn is_same(old: Option<&Entry>, new: Option<&Entry>, taken: i64) -> bool {
    let (Some(old), Some(new)) = (old, new) else { return false };
    match (old.kind, new.kind) {
        (Kind::Dir, Kind::Dir) => old.stamp.permissions() == new.stamp.permissions(),
        (Kind::Link, Kind::Link) | (Kind::Bulk, Kind::Bulk) => old.text == new.text,
        (Kind::Unkept, Kind::Unkept) => old.stamp == new.stamp,
        (Kind::Special, Kind::Special) => old.stamp.inode == new.stamp.inode,
        (Kind::Repository, Kind::Repository) => true,
        (Kind::Own | Kind::Lent, Kind::Own | Kind::Lent) => old.stamp == new.stamp && !is_racy(&old.stamp, taken),
        // Of another kind now.
        (
            Kind::Own
            | Kind::Lent
            | Kind::Dir
            | Kind::Link
            | Kind::Bulk
            | Kind::Unkept
            | Kind::Special
            | Kind::Repository,
            _,
        ) => false,
    }
}

/// A path, and what was and is there.
type Pair<'a> = (&'a [u8], Option<&'a Entry>, Option<&'a Entry>);

/// Returns the paths at which something may have changed.
fn differing<'a>(before: &'a Manifest, now: &'a Manifest) -> Vec<Pair<'a>> {
    let (mut following, mut is_seen) = (Following::new(before), vec![false; before.entries.len()]);
    let mut pairs = Vec::new();
    for new in &now.entries {
        let old = following.find(&new.path).map(|(number, old)| {
            is_seen.get_mut(number).into_iter().for_each(|seen| *seen = true);
            old
        });
        if !is_same(old, Some(new), before.taken) {
            pairs.push((new.path.as_slice(), old, Some(new)));
        }
    }
    let gone = before.entries.iter().zip(is_seen).filter(|(_, is_seen)| !is_seen);
    pairs.extend(gone.map(|(old, _)| (old.path.as_slice(), Some(old), None)));
    pairs
}

/// Returns the files that are what they were, permissions included: their contents are compared.
fn untouched<'a>(pairs: &[Pair<'a>], objects: &Objects<'_>, stop: &Stop) -> Result<HashSet<&'a [u8]>, NoSnapshot> {
    let mut same = HashSet::new();
    let mut open: BTreeMap<&str, Vec<&'a Entry>> = BTreeMap::new();
    for (_, old, new) in pairs {
        let (Some(old), Some(new)) = (old, new) else { continue };
        let is_alike = (old.stamp.size, old.stamp.permissions()) == (new.stamp.size, new.stamp.permissions());
        if is_alike && old.kind.is_file() && new.kind.is_file() {
            open.entry(format_of(&old.text)).or_default().push(old);
        }
    }
    for (format, open) in open {
        let paths: Vec<&[u8]> = open.iter().map(|entry| entry.path.as_slice()).collect();
        let ids = objects.hash(format, &paths, false, stop)?;
        let is = open.iter().zip(ids).filter(|(entry, id)| id.as_deref() == Some(entry.text.as_slice()));
        same.extend(is.map(|(entry, _)| entry.path.as_slice()));
    }
    Ok(same)
}

/// Tells the format of an id by its length.
pub(super) fn format_of(id: &[u8]) -> &'static str {
    if id.len() > 40 { "sha256" } else { "sha1" }
}
