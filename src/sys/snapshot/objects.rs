//! Contents, by git: hashed, kept in a store of mux's own, looked up in the user's repository, read back.
//!
//! **Invariants:** the user's repository is only read. Contents are hashed as they are (`--no-filters`), so no attribute
//! of a repository counts and no filter runs. Nothing is fetched, and no replacement (`refs/replace`) is followed.

use super::NoSnapshot;
use super::manifest::Region;
use crate::sys::git::{Git, Unanswered};
use crate::words::stop::Stop;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Paths of an index, and the ids of their objects in hex.
pub(super) type Index = HashMap<Vec<u8>, Vec<u8>>;

/// More paths than these are not named one by one.
const FEW: usize = 200;
/// How often a file that goes away while it is hashed is passed over.
const MOST_GONE: usize = 1000;
/// What is asked of git is not about replacements of objects, and paths are no patterns.
const PLAIN: [&str; 2] = ["--no-replace-objects", "--literal-pathspecs"];

/// The way to the objects of one work directory.
pub(super) struct Objects<'a> {
    pub(super) git: &'a Git,
    pub(super) work_dir: &'a Path,
    /// Of this work directory; holds one git directory for each object format.
    pub(super) store: &'a Path,
}

impl Objects<'_> {
    /// Returns which of the paths the rules of their repository ignore. A git that does not answer ignores none: then
    /// more is kept.
    pub(super) fn ignored(
        &self,
        region: &Region,
        paths: &[Vec<u8>],
        stop: &Stop,
    ) -> Result<HashSet<Vec<u8>>, NoSnapshot> {
        if paths.is_empty() {
            return Ok(HashSet::new());
        }
        let stdin = paths.iter().flat_map(|path| [below(region, path), b"\0"]).flatten().copied().collect();
        let mut out = Vec::new();
        // Not `check-ignore` with the index: it would say nothing of a directory that holds one file of the index.
        let args = ["check-ignore", "--no-index", "-z", "--stdin"];
        let asked = self.git.ask(&self.at(region), &args, Some(stdin), stop, &mut |bytes| out.extend_from_slice(bytes));
        if !answered(&asked)? {
            return Ok(HashSet::new());
        }
        Ok(out.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(|path| above(region, path)).collect())
    }

    /// Returns what the index of a repository says about some paths and what is below them, or about all.
    pub(super) fn index(&self, region: &Region, paths: Option<&[Vec<u8>]>, stop: &Stop) -> Result<Index, NoSnapshot> {
        let named = paths.filter(|paths| paths.len() <= FEW);
        let named = named.map(|paths| paths.iter().map(|path| str::from_utf8(below(region, path)).ok()).collect());
        let named: Option<Vec<&str>> = named.unwrap_or_default();
        let mut args = [&PLAIN[..], &["ls-files", "-s", "-z", "--"]].concat();
        args.extend(named.unwrap_or_default());
        let mut out = Vec::new();
        let asked = self.git.ask(&self.at(region), &args, None, stop, &mut |bytes| out.extend_from_slice(bytes));
        if !answered(&asked)? {
            return Ok(Index::new());
        }
        let lines = out.split(|byte| *byte == 0).filter_map(|line| {
            let tab = line.iter().position(|byte| *byte == b'\t')?;
            let (facts, path) = (line.get(..tab)?, line.get(tab + 1..)?);
            let mut words = facts.split(|byte| *byte == b' ');
            let (mode, id) = (words.next()?, words.next()?);
            // Commits of submodules are no files.
            (mode != b"160000").then(|| (above(region, path), id.to_vec()))
        });
        Ok(lines.collect())
    }

    /// Returns the object format of a repository; what cannot be asked has the usual one.
    pub(super) fn format(&self, region: &Region, stop: &Stop) -> Result<String, NoSnapshot> {
        let mut out = Vec::new();
        let args = ["rev-parse", "--show-object-format"];
        let asked = self.git.ask(&self.at(region), &args, None, stop, &mut |bytes| out.extend_from_slice(bytes));
        let is_long = answered(&asked)? && out.trim_ascii() == b"sha256";
        Ok(if is_long { "sha256" } else { "sha1" }.to_string())
    }

    /// Returns which objects are in the user's repository.
    pub(super) fn present(&self, region: &Region, ids: &[&[u8]], stop: &Stop) -> Result<HashSet<Vec<u8>>, NoSnapshot> {
        let stdin = ids.iter().flat_map(|id| [*id, b"\n"]).flatten().copied().collect();
        let mut out = Vec::new();
        let args = [&PLAIN[..], &["cat-file", "--batch-check=%(objectname)"]].concat();
        let asked = self.git.ask(&self.at(region), &args, Some(stdin), stop, &mut |bytes| out.extend_from_slice(bytes));
        if !answered(&asked)? {
            return Ok(HashSet::new());
        }
        // An object that is missing is answered with its id and that word.
        Ok(out.split(|byte| *byte == b'\n').filter(|line| !line.contains(&b' ')).map(<[u8]>::to_vec).collect())
    }

    /// Returns the ids of contents of files, in the order of the paths; `None` for a file that cannot be read. With
    /// `keep`, they are in mux's own store afterwards.
    pub(super) fn hash(
        &self,
        format: &str,
        paths: &[&[u8]],
        keep: bool,
        stop: &Stop,
    ) -> Result<Vec<Option<Vec<u8>>>, NoSnapshot> {
        let dir = self.own(format, stop)?;
        let mut ids: Vec<Option<Vec<u8>>> = Vec::with_capacity(paths.len());
        let mut gone = 0;
        while let Some(rest) = paths.get(ids.len()..).filter(|rest| !rest.is_empty()) {
            let stdin = rest.iter().flat_map(|path| quoted(path)).collect();
            // What is durable is synced once, at the end, and not object by object.
            let mut args = vec!["-c", "core.fsync=none", &dir, "hash-object", "--no-filters", "--stdin-paths"];
            args.extend(keep.then_some("-w"));
            let mut out = Vec::new();
            let asked =
                self.git.ask(self.work_dir, &args, Some(stdin), stop, &mut |bytes| out.extend_from_slice(bytes));
            ids.extend(out.split(|byte| *byte == b'\n').filter(|id| !id.is_empty()).map(|id| Some(id.to_vec())));
            match asked {
                Ok(()) => break,
                Err(Unanswered::Stopped) => return Err(NoSnapshot::Stopped),
                // It ends at the first file that it cannot read: that one is passed over.
                Err(Unanswered::Failed { .. }) if gone < MOST_GONE && ids.len() < paths.len() => {
                    gone += 1;
                    ids.push(None);
                }
                Err(Unanswered::Failed { said, .. }) => return Err(NoSnapshot::Git { doing: "hash files", said }),
            }
        }
        ids.resize(paths.len(), None);
        Ok(ids)
    }

    /// Reads objects back, each into the file that `open` makes for its place in the list. Returns which came whole.
    pub(super) fn read(
        &self,
        from: &Source<'_>,
        ids: &[&[u8]],
        open: &mut dyn FnMut(usize) -> io::Result<File>,
        stop: &Stop,
    ) -> Result<Vec<bool>, NoSnapshot> {
        let stdin = ids.iter().flat_map(|id| [*id, b"\n"]).flatten().copied().collect();
        let mut batch = Batch { open, header: Vec::new(), file: None, left: 0, next: 0, whole: vec![false; ids.len()] };
        let mut failed = None;
        let mut on = |bytes: &[u8]| {
            if failed.is_none() {
                failed = batch.take(bytes).err();
            }
        };
        let asked = match from {
            Source::Own(format) => {
                let dir = self.own(format, stop)?;
                self.git.ask(self.work_dir, &[PLAIN[0], &dir, "cat-file", "--batch"], Some(stdin), stop, &mut on)
            }
            Source::Lent(region) => {
                self.git.ask(&self.at(region), &[PLAIN[0], "cat-file", "--batch"], Some(stdin), stop, &mut on)
            }
        };
        answered(&asked)?;
        failed.map_or(Ok(batch.whole), |error| Err(NoSnapshot::os(&error)))
    }

    /// Makes what was kept durable, all at once.
    pub(super) fn sync(&self) {
        #[cfg(target_os = "linux")]
        let _ = fs_err::File::open(self.store).map(|dir| rustix::fs::syncfs(dir.file()));
        // Elsewhere the system writes it back in its own time: that matters only if the machine dies during the run.
    }

    /// Returns the option that names the own git directory of a format, which is made where it is missing.
    fn own(&self, format: &str, stop: &Stop) -> Result<String, NoSnapshot> {
        let dir = self.store.join(format);
        let odd = || NoSnapshot::Git { doing: "use the store", said: "its path is not UTF-8".to_string() };
        let shown = dir.to_str().ok_or_else(odd)?;
        if !dir.join("HEAD").exists() {
            let format = format!("--object-format={format}");
            let args = ["init", "-q", "--bare", "--template=", &format, shown];
            match self.git.ask(self.store, &args, None, stop, &mut |_| {}) {
                Ok(()) => {}
                Err(Unanswered::Stopped) => return Err(NoSnapshot::Stopped),
                Err(Unanswered::Failed { said, .. }) => return Err(NoSnapshot::Git { doing: "make a store", said }),
            }
        }
        Ok(format!("--git-dir={shown}"))
    }

    fn at(&self, region: &Region) -> PathBuf {
        // Joining nothing would add a slash.
        let path = OsStr::from_bytes(&region.path);
        if path.is_empty() { self.work_dir.to_path_buf() } else { self.work_dir.join(path) }
    }
}

/// Where objects are read from.
pub(super) enum Source<'a> {
    Own(&'a str),
    Lent(&'a Region),
}

/// Whether git answered; one that was stopped is the end.
fn answered(asked: &Result<(), Unanswered>) -> Result<bool, NoSnapshot> {
    match asked {
        Ok(()) => Ok(true),
        Err(Unanswered::Failed { .. }) => Ok(false),
        Err(Unanswered::Stopped) => Err(NoSnapshot::Stopped),
    }
}

/// A path of the work directory relative to its region.
fn below<'a>(region: &Region, path: &'a [u8]) -> &'a [u8] {
    if region.path.is_empty() { path } else { path.get(region.path.len() + 1..).unwrap_or(path) }
}

/// A path of a region relative to the work directory.
fn above(region: &Region, path: &[u8]) -> Vec<u8> {
    if region.path.is_empty() { path.to_vec() } else { [&region.path, b"/".as_slice(), path].concat() }
}

/// A line for `--stdin-paths`: as it is, or quoted as in C where git would take it apart.
fn quoted(path: &[u8]) -> Vec<u8> {
    let is_plain = path.first() != Some(&b'"') && path.iter().all(|byte| *byte >= b' ');
    let mut line = Vec::with_capacity(path.len() + 1);
    if is_plain {
        line.extend_from_slice(path);
    } else {
        line.push(b'"');
        for byte in path {
            match byte {
                b'"' | b'\\' => line.extend([b'\\', *byte]),
                0..b' ' => line.extend(format!("\\{byte:03o}").bytes()),
                _ => line.push(*byte),
            }
        }
        line.push(b'"');
    }
    line.push(b'\n');
    line
}

/// What `cat-file --batch` prints, taken apart as it comes: `ID blob SIZE`, the bytes, a newline; or `ID missing`.
struct Batch<'a> {
    open: &'a mut dyn FnMut(usize) -> io::Result<File>,
    header: Vec<u8>,
    file: Option<File>,
    /// Bytes of the present object that are still to come, and its newline.
    left: u64,
    next: usize,
    whole: Vec<bool>,
}

impl Batch<'_> {
    fn take(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.left == 0 {
                let end = bytes.iter().position(|byte| *byte == b'\n');
                let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
                self.header.extend_from_slice(line);
                bytes = rest;
                if end.is_some() {
                    self.begin()?;
                }
                continue;
            }
            let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            let (body, rest) = bytes.split_at(here);
            self.left -= here as u64;
            bytes = rest;
            // The last byte is the newline.
            let body = if self.left == 0 { body.split_last().map_or(body, |(_, body)| body) } else { body };
            if let Some(file) = &mut self.file {
                file.write_all(body)?;
            }
            if self.left == 0 {
                self.end();
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.header);
        let mut words = line.trim_ascii_end().split(|byte| *byte == b' ');
        let size = match (words.next(), words.next(), words.next()) {
            (Some(_), Some(_), Some(size)) => str::from_utf8(size).ok().and_then(|size| size.parse::<u64>().ok()),
            (_, _, _) => None,
        };
        match size {
            Some(size) => {
                self.file = Some((self.open)(self.next)?);
                self.left = size + 1;
            }
            None => self.next += 1,
        }
        Ok(())
    }

    fn end(&mut self) {
        self.file = None;
        if let Some(whole) = self.whole.get_mut(self.next) {
            *whole = true;
        }
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_quoted_and_plain_ones_are_not() {
        let check = |path: &[u8], want: &[u8]| assert_eq!(quoted(path), want);
        check(b"a b/\xff\\c", b"a b/\xff\\c\n");
        check(b"\"q\"", b"\"\\\"q\\\"\"\n");
        check(b"a\\\r\n", b"\"a\\\\\\015\\012\"\n");
    }
}
