//! What a work directory holds, name by name, without the contents: in memory, and as a file that is read back when the
//! next snapshot of the same directory wants to know what has not changed.
//!
//! The file is binary, because 100 000 names are read and written around every child that writes. One that is cut, of
//! another version or of another machine is no manifest: then everything is looked at again.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

const MAGIC: &[u8; 8] = b"muxsnap1";
/// Longest manifest that is read back, in bytes.
const MOST: u64 = 1 << 30;

/// All that stands in a work directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    /// When it was begun, in ns by the clock of the store's file system. A file that changed shortly before may have
    /// changed again without another time.
    pub(super) taken: i64,
    /// The work directory itself first.
    pub(super) regions: Vec<Region>,
    pub(super) entries: Vec<Entry>,
}

/// A part of the work directory with a repository of its own, or the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Region {
    /// Relative to the work directory; empty for itself.
    pub(super) path: Vec<u8>,
    pub(super) is_repo: bool,
    /// Whether objects of the user's index need not be copied: their store is not in reach of what is snapshotted.
    pub(super) lends: bool,
    /// `sha1` or `sha256`; empty until it is asked for.
    pub(super) format: String,
    /// The user's index when objects were last looked up in it.
    pub(super) index: Stamp,
}

/// One name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Relative to the work directory.
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) stamp: Stamp,
    /// Index into [`Manifest::regions`].
    pub(super) region: u32,
    /// The object's id in hex, the target of a link, the fingerprint of a bulk directory.
    pub(super) text: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file whose content is in mux's own store.
    #[default]
    Own,
    /// A file whose content is in the user's repository.
    Lent,
    Link,
    Dir,
    /// A file that is only fingerprinted: ignored and large, or unreadable.
    Unkept,
    /// A directory full of what tools make, ignored: fingerprinted as a whole.
    Bulk,
    /// A FIFO, socket or device.
    Special,
    /// `.git`: never looked into.
    Repository,
}

const KINDS: [Kind; 8] =
    [Kind::Own, Kind::Lent, Kind::Link, Kind::Dir, Kind::Unkept, Kind::Bulk, Kind::Special, Kind::Repository];

/// What says that a file is still the one that was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Stamp {
    pub(super) mode: u32,
    pub(super) size: u64,
    /// In ns.
    pub(super) modified: i64,
    pub(super) changed: i64,
    pub(super) inode: u64,
}

impl Stamp {
    pub(super) fn of(meta: &Metadata) -> Stamp {
        let ns = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Stamp {
            mode: meta.mode(),
            size: meta.size(),
            modified: ns(meta.mtime(), meta.mtime_nsec()),
            changed: ns(meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
        }
    }

    /// Permissions, without the type.
    pub(super) fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }
}

impl Kind {
    pub(super) fn is_file(self) -> bool {
        matches!(self, Kind::Own | Kind::Lent)
    }
}

impl Manifest {
    /// Returns the entries by path.
    pub(super) fn by_path(&self) -> HashMap<&[u8], &Entry> {
        self.entries.iter().map(|entry| (entry.path.as_slice(), entry)).collect()
    }

    /// Reads a manifest back; `None` for anything that is not a whole one.
    pub(super) fn read(path: &Path) -> Option<Manifest> {
        fs_err::metadata(path).ok().filter(|meta| meta.is_file() && meta.len() <= MOST)?;
        let bytes = fs_err::read(path).ok()?;
        let mut rest = Rest(bytes.strip_prefix(MAGIC.as_slice())?);
        let mut manifest = Manifest { taken: rest.signed()?, ..Manifest::default() };
        for _ in 0..rest.long()? {
            let (path, format) = (rest.text()?, String::from_utf8(rest.text()?).ok()?);
            let (flags, index) = (rest.long()?, rest.stamp()?);
            manifest.regions.push(Region { path, is_repo: flags & 1 != 0, lends: flags & 2 != 0, format, index });
        }
        let n_entries = rest.long()?;
        for _ in 0..n_entries {
            let place = rest.long()?;
            let kind = *KINDS.get(usize::try_from(place & 0xff).ok()?)?;
            let region = u32::try_from(place >> 8).ok().filter(|region| (*region as usize) < manifest.regions.len())?;
            let (stamp, path, text) = (rest.stamp()?, rest.text()?, rest.text()?);
            manifest.entries.push(Entry { path, kind, stamp, region, text });
        }
        // The last word is there again, so that a file that was cut at an entry's end is not taken for a whole one.
        (rest.long()? == n_entries && rest.0.is_empty()).then_some(manifest)
    }

    /// Writes the manifest under a new name.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 16, fs_err::File::create(path)?);
        out.write_all(MAGIC)?;
        out.write_all(&self.taken.to_le_bytes())?;
        out.write_all(&(self.regions.len() as u64).to_le_bytes())?;
        for region in &self.regions {
            text(&mut out, &region.path)?;
            text(&mut out, region.format.as_bytes())?;
            let flags = u64::from(region.is_repo) | u64::from(region.lends) << 1;
            out.write_all(&flags.to_le_bytes())?;
            stamp(&mut out, &region.index)?;
        }
        out.write_all(&(self.entries.len() as u64).to_le_bytes())?;
        for entry in &self.entries {
            let place = KINDS.iter().position(|kind| *kind == entry.kind).unwrap_or(0) as u64;
            out.write_all(&(u64::from(entry.region) << 8 | place).to_le_bytes())?;
            stamp(&mut out, &entry.stamp)?;
            text(&mut out, &entry.path)?;
            text(&mut out, &entry.text)?;
        }
        out.write_all(&(self.entries.len() as u64).to_le_bytes())?;
        out.flush()
    }
}

fn text(out: &mut impl io::Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(&(bytes.len() as u64).to_le_bytes())?;
    out.write_all(bytes)
}

fn stamp(out: &mut impl io::Write, stamp: &Stamp) -> io::Result<()> {
    out.write_all(&u64::from(stamp.mode).to_le_bytes())?;
    out.write_all(&stamp.size.to_le_bytes())?;
    out.write_all(&stamp.modified.to_le_bytes())?;
    out.write_all(&stamp.changed.to_le_bytes())?;
    out.write_all(&stamp.inode.to_le_bytes())
}

/// Looks entries up in about the order in which they stand: two walks of one tree find most names in the same order, and
/// then no table of them is made.
pub(super) struct Following<'a> {
    entries: &'a [Entry],
    next: usize,
    table: Option<HashMap<&'a [u8], usize>>,
}

impl<'a> Following<'a> {
    pub(super) fn new(manifest: &'a Manifest) -> Following<'a> {
        Following { entries: &manifest.entries, next: 0, table: None }
    }

    /// Returns the entry of a path, and its number.
    pub(super) fn find(&mut self, path: &[u8]) -> Option<(usize, &'a Entry)> {
        let entries = self.entries;
        let number = match entries.get(self.next) {
            Some(entry) if entry.path == path => self.next,
            Some(_) | None => {
                let numbered = || entries.iter().enumerate().map(|(number, entry)| (entry.path.as_slice(), number));
                *self.table.get_or_insert_with(|| numbered().collect()).get(path)?
            }
        };
        self.next = number + 1;
        entries.get(number).map(|entry| (number, entry))
    }
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn word(&mut self) -> Option<[u8; 8]> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*word)
    }

    fn long(&mut self) -> Option<u64> {
        self.word().map(u64::from_le_bytes)
    }

    fn signed(&mut self) -> Option<i64> {
        self.word().map(i64::from_le_bytes)
    }

    fn text(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.long()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text.to_vec())
    }

    fn stamp(&mut self) -> Option<Stamp> {
        Some(Stamp {
            mode: u32::try_from(self.long()?).ok()?,
            size: self.long()?,
            modified: self.signed()?,
            changed: self.signed()?,
            inode: self.long()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_what_is_cut_does_not() {
        let stamp = Stamp { mode: 0o100_644, size: 1 << 40, modified: -1, changed: i64::MAX, inode: 7 };
        let region = |path: &[u8], format: &str| Region {
            path: path.to_vec(),
            is_repo: true,
            lends: false,
            format: format.into(),
            index: stamp,
        };
        let entry = |(region, kind): (usize, &Kind)| Entry {
            path: vec![b'a', 0xff, b'\n'],
            kind: *kind,
            stamp,
            region: u32::try_from(region % 2).unwrap(),
            text: vec![7; region * 40],
        };
        let manifest = Manifest {
            taken: -5,
            regions: vec![region(b"", "sha1"), region(b"sub", "")],
            entries: KINDS.iter().enumerate().map(entry).collect(),
        };
        let path = std::env::temp_dir().join(format!("mux-manifest-{}", std::process::id()));
        manifest.write(&path).unwrap();
        assert_eq!(Manifest::read(&path).as_ref(), Some(&manifest));
        let whole = fs_err::read(&path).unwrap();
        for end in 0..whole.len() {
            fs_err::write(&path, &whole[..end]).unwrap();
            assert_eq!(Manifest::read(&path), None, "cut at {end}");
        }
        fs_err::remove_file(&path).unwrap();
        assert_eq!(Manifest::read(&path), None);
    }
}
