//! The walk through a work directory: every name, none of the contents. Repository code never runs here: git is asked
//! which paths are ignored and which are in its index, and nothing else.
//!
//! Directories that are full of what tools make (`node_modules`, `target`) are fingerprinted as a whole where git ignores
//! them; the few that never hold anybody's work, also where there is no git to say so.

use super::NoSnapshot;
use super::manifest::{Entry, Kind, Manifest, Region, Stamp};
use super::objects::{Index, Objects};
use crate::sys::git;
use crate::words::stop::Stop;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Never anybody's work.
const BULK: [&[u8]; 9] = [
    b"node_modules",
    b".venv",
    b"venv",
    b"__pycache__",
    b".tox",
    b".mypy_cache",
    b".pytest_cache",
    b".ruff_cache",
    b".gradle",
];
/// Bulk where git ignores them.
const BULK_IF_IGNORED: [&[u8]; 12] = [
    b"target",
    b"dist",
    b"build",
    b"out",
    b"vendor",
    b"coverage",
    b"Pods",
    b".next",
    b".nuxt",
    b".cache",
    b".terraform",
    b"bazel-out",
];
/// The largest ignored file that is kept, in bytes.
pub(super) const LARGE: u64 = 1 << 20;
/// The largest file that is kept without being in git's index, in bytes.
const HUGE: u64 = 64 << 20;
/// How deep a tree may be.
const DEEPEST: u32 = 256;
/// Most names of one work directory.
const MOST: usize = 2_000_000;

/// A walk and what it has seen.
pub(super) struct Walk<'a> {
    root: &'a Path,
    /// Devices and inodes of directories of mux's own.
    own: &'a [(u64, u64)],
    /// What an earlier look has decided about a path, so that an ignore rule that was written in between changes nothing.
    earlier: Option<&'a Manifest>,
    known: OnceCell<HashMap<&'a [u8], Kind>>,
    found: Manifest,
    /// Directories with the name of a bulk one, not looked into yet.
    undecided: Vec<(Vec<u8>, u32)>,
    stop: &'a Stop,
}

/// Looks at everything below `root`.
///
/// # Errors
/// `Stopped`, `TooMany`, `Os` for the root itself, `Git` where ignored paths cannot be told.
pub(super) fn walk(
    root: &Path,
    own: &[(u64, u64)],
    earlier: Option<&Manifest>,
    objects: &Objects<'_>,
    stop: &Stop,
) -> Result<Manifest, NoSnapshot> {
    let is_repo = git::root(root).is_some();
    let region = Region { is_repo, lends: is_repo, ..Region::default() };
    let found = Manifest { regions: vec![region], ..Manifest::default() };
    let mut walk = Walk { root, own, earlier, known: OnceCell::new(), found, undecided: Vec::new(), stop };
    fs_err::read_dir(root).map_err(|error| NoSnapshot::os(&error))?;
    walk.dir(&mut Vec::new(), 0, 0)?;
    while !walk.undecided.is_empty() {
        let undecided = std::mem::take(&mut walk.undecided);
        walk.decide(undecided, objects)?;
    }
    walk.large(objects)?;
    Ok(walk.found)
}

impl Walk<'_> {
    /// Adds what is in a directory, and what is below.
    fn dir(&mut self, path: &mut Vec<u8>, region: u32, depth: u32) -> Result<(), NoSnapshot> {
        if self.stop.reason().is_some() {
            return Err(NoSnapshot::Stopped);
        }
        if self.found.entries.len() > MOST || depth > DEEPEST {
            return Err(NoSnapshot::TooMany);
        }
        let full = self.full(path);
        let Ok(listing) = fs_err::read_dir(&full) else {
            // Gone meanwhile, or not readable: then nothing in it can be brought back.
            self.mark(path, Kind::Unkept);
            return Ok(());
        };
        let names: Vec<_> = listing.filter_map(Result::ok).map(|entry| (entry.file_name(), entry)).collect();
        let mut region = region;
        if !path.is_empty() && names.iter().any(|(name, _)| name == ".git") && git::git_dir(&full).is_some() {
            let is_inside = git::git_dir(&full).is_some_and(|dir| dir == full.join(".git"));
            let nested = Region { path: path.clone(), is_repo: true, lends: !is_inside, ..Region::default() };
            region = u32::try_from(self.found.regions.len()).unwrap_or(0);
            self.found.regions.push(nested);
        }
        for (name, entry) in names {
            let Ok(meta) = entry.metadata() else { continue };
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name.as_bytes());
            let stamp = Stamp::of(&meta);
            let file_type = meta.file_type();
            let is_own = file_type.is_dir() && self.own.contains(&(meta.dev(), meta.ino()));
            let (kind, text) = if name == ".git" {
                (Kind::Repository, Vec::new())
            } else if file_type.is_dir() {
                (Kind::Dir, Vec::new())
            } else if file_type.is_symlink() {
                let target = fs_err::read_link(entry.path()).unwrap_or_default();
                (Kind::Link, target.into_os_string().as_encoded_bytes().to_vec())
            } else if file_type.is_file() {
                (Kind::Own, Vec::new())
            } else {
                (Kind::Special, Vec::new())
            };
            if !is_own {
                self.found.entries.push(Entry { path: path.clone(), kind, stamp, region, text });
            }
            if kind == Kind::Dir && !is_own {
                if is_bulk_name(name.as_bytes()) {
                    self.undecided.push((path.clone(), region));
                } else {
                    self.dir(path, region, depth + 1)?;
                }
            }
            path.truncate(length);
        }
        Ok(())
    }

    /// Fingerprints the bulk directories that are ignored and walks through the others.
    fn decide(&mut self, undecided: Vec<(Vec<u8>, u32)>, objects: &Objects<'_>) -> Result<(), NoSnapshot> {
        let mut asked: HashMap<u32, Vec<Vec<u8>>> = HashMap::new();
        let mut bulk: HashSet<Vec<u8>> = HashSet::new();
        for (path, region) in &undecided {
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            match self.known(path) {
                Some(Kind::Bulk) => drop(bulk.insert(path.clone())),
                // What was walked through before is walked through again.
                Some(_) => {}
                None if self.is_repo(*region) => asked.entry(*region).or_default().push(path.clone()),
                None => drop(BULK.contains(&name).then(|| bulk.insert(path.clone()))),
            }
        }
        for (region, paths) in &asked {
            if let Some(region) = self.found.regions.get(*region as usize) {
                bulk.extend(objects.ignored(region, paths, self.stop)?);
            }
        }
        for (mut path, region) in undecided {
            if bulk.contains(&path) {
                self.fingerprint(&path, region, objects)?;
            } else {
                let depth = u32::try_from(path.split(|byte| *byte == b'/').count()).unwrap_or(DEEPEST);
                self.dir(&mut path, region, depth)?;
            }
        }
        Ok(())
    }

    /// Takes a bulk directory as a whole, but for what is in git's index all the same.
    fn fingerprint(&mut self, path: &[u8], region: u32, objects: &Objects<'_>) -> Result<(), NoSnapshot> {
        let tracked = match self.found.regions.get(region as usize) {
            Some(home) if home.is_repo => objects.index(home, Some(&[path.to_vec()]), self.stop)?,
            Some(_) | None => Index::default(),
        };
        let (mut sum, mut dirs) = (0_u64, vec![path.to_vec()]);
        while let Some(dir) = dirs.pop() {
            if self.stop.reason().is_some() {
                return Err(NoSnapshot::Stopped);
            }
            let Ok(listing) = fs_err::read_dir(self.full(&dir)) else { continue };
            for entry in listing.filter_map(Result::ok) {
                let Ok(meta) = entry.metadata() else { continue };
                let below = [dir.as_slice(), b"/", entry.file_name().as_bytes()].concat();
                let stamp = Stamp::of(&meta);
                if tracked.contains_key(&below) && meta.is_file() {
                    self.found.entries.push(Entry { path: below, kind: Kind::Own, stamp, region, text: Vec::new() });
                } else if meta.is_dir() {
                    dirs.push(below);
                } else {
                    let mut hasher = DefaultHasher::new();
                    (below, stamp).hash(&mut hasher);
                    // A sum, so that the order of the listing does not count.
                    sum = sum.wrapping_add(hasher.finish());
                }
            }
        }
        self.mark(path, Kind::Bulk);
        if let Some(entry) = self.found.entries.iter_mut().find(|entry| entry.path == path) {
            entry.text = sum.to_le_bytes().to_vec();
        }
        Ok(())
    }

    /// Finds the large files that are not kept: ignored ones, and very large ones that are not in git's index.
    fn large(&mut self, objects: &Objects<'_>) -> Result<(), NoSnapshot> {
        let mut unkept: HashSet<Vec<u8>> = HashSet::new();
        for (number, region) in (0_u32..).zip(&self.found.regions) {
            let large = self
                .found
                .entries
                .iter()
                .filter(|entry| entry.region == number && entry.kind == Kind::Own && entry.stamp.size > LARGE);
            let mut open = Vec::new();
            for entry in large {
                match self.known(&entry.path) {
                    Some(Kind::Unkept) => drop(unkept.insert(entry.path.clone())),
                    Some(_) => {}
                    None if region.is_repo => open.push(entry.path.clone()),
                    None => drop((entry.stamp.size > HUGE).then(|| unkept.insert(entry.path.clone()))),
                }
            }
            if open.is_empty() {
                continue;
            }
            let tracked = objects.index(region, Some(&open), self.stop)?;
            open.retain(|path| !tracked.contains_key(path));
            unkept.extend(objects.ignored(region, &open, self.stop)?);
            let huge = self.found.entries.iter().filter(|entry| entry.stamp.size > HUGE);
            unkept.extend(huge.filter(|entry| open.contains(&entry.path)).map(|entry| entry.path.clone()));
        }
        if !unkept.is_empty() {
            for entry in self.found.entries.iter_mut().filter(|entry| unkept.contains(&entry.path)) {
                entry.kind = Kind::Unkept;
            }
        }
        Ok(())
    }

    /// What an earlier look has decided about a path. Most looks never ask.
    fn known(&self, path: &[u8]) -> Option<Kind> {
        let entries = || self.earlier.iter().flat_map(|earlier| &earlier.entries);
        let known = self.known.get_or_init(|| entries().map(|entry| (entry.path.as_slice(), entry.kind)).collect());
        known.get(path).copied()
    }

    fn is_repo(&self, region: u32) -> bool {
        self.found.regions.get(region as usize).is_some_and(|region| region.is_repo)
    }

    /// Changes what a directory that is there counts as.
    fn mark(&mut self, path: &[u8], kind: Kind) {
        if let Some(entry) = self.found.entries.iter_mut().rev().find(|entry| entry.path == path) {
            entry.kind = kind;
        }
    }

    fn full(&self, path: &[u8]) -> PathBuf {
        if path.is_empty() { self.root.to_path_buf() } else { self.root.join(OsStr::from_bytes(path)) }
    }
}

fn is_bulk_name(name: &[u8]) -> bool {
    BULK.contains(&name) || BULK_IF_IGNORED.contains(&name)
}
