//! What git says of a change (`--raw -z -p`) → its files, their counts, their added lines. Pure, piece by piece as it
//! comes: a diff of 50 MB is read in a few KB, and only what fits a model is kept.
//!
//! Names come from the raw part, where they are not quoted; the n-th section of the patch belongs to the n-th of them. A
//! changed type (a link that becomes a file) is two sections. Hunks are counted, so that no line of a file is taken for
//! a header.

use crate::rules::escape::{one_line, plain};
use crate::rules::prompt::{fenced, push};
use crate::rules::sorted::sorted;
use std::io::BufRead;
use std::mem;

/// One file of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staged {
    /// Relative to the top of the work tree. Not escaped; bytes that are no UTF-8 are replaced.
    pub path: String,
    /// The old path of a renamed or copied file.
    pub from: Option<String>,
    /// `A`, `M`, `D`, `R`, `C`, `T`, as in git-diff-index(1).
    pub status: char,
    pub added: u64,
    pub removed: u64,
    pub is_binary: bool,
    /// Its hunks, as far as they were kept: whole hunks, in order.
    pub hunks: Vec<String>,
    /// Hunks that were not kept.
    pub left_out: u64,
}

/// Bytes of hunks that are kept of one file, and of all.
const KEEP_FILE: usize = 32 << 10;
const KEEP_ALL: usize = 256 << 10;
/// A longer line is handed on in pieces.
const LONGEST_LINE: usize = 1 << 20;
/// Files that a digest lists; of the others it tells the number.
const MOST_LISTED: usize = 40;

/// Told of an added line: the file, the number of the line, its bytes.
type OnAdded<'a> = dyn FnMut(&str, u64, &[u8]) + 'a;

/// Reads the output of git.
pub struct Reader<'a> {
    pub files: Vec<Staged>,
    on_added: Option<&'a mut OnAdded<'a>>,
    keeps: bool,
    /// What waits for its end: a field of the raw part, or a line of the patch.
    piece: Vec<u8>,
    part: Part,
    /// The file of the section, counted from 1; 0 before the first.
    section: usize,
    /// Sections of the present file.
    sections: u32,
    hunk: Hunk,
    kept: usize,
}

/// Where in the output the next byte stands.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    /// Before `:MODES STATUS`, or at the empty field that ends the raw part.
    Meta,
    /// Before a path.
    Path,
    /// Before the new path of a rename.
    NewPath,
    Patch,
}

#[derive(Default)]
struct Hunk {
    /// Lines that are still to come.
    old: u64,
    new: u64,
    /// The number of the next new line.
    line: u64,
    text: Vec<u8>,
    is_too_long: bool,
    /// The first byte of a line that is handed on in pieces.
    sign: u8,
    goes_on: bool,
}

impl Staged {
    /// Returns `M src/a.rs +3 -1`, safe to show.
    fn line(&self) -> String {
        let mut line = format!("{} ", self.status);
        if let Some(from) = &self.from {
            push(&mut line, &[&one_line(from), " -> "]);
        }
        line.push_str(&one_line(&self.path));
        if self.is_binary {
            line.push_str(" (binary)");
        } else {
            push(&mut line, &[" +", &self.added.to_string(), " -", &self.removed.to_string()]);
        }
        line
    }

    fn bytes(&self) -> usize {
        self.hunks.iter().map(String::len).sum()
    }
}

/// Returns a change as a model is shown it, in about `room` bytes: a line for each file, then hunks. What does not fit
/// is not cut in the middle: small files are shown whole, of large ones the first hunks, and what is missing is said.
pub fn digest(files: &[&Staged], room: usize) -> String {
    let mut text = String::new();
    let mut n_listed = 0;
    for file in files.iter().take(MOST_LISTED) {
        let line = file.line();
        if n_listed > 0 && text.len() + line.len() > room / 2 {
            break;
        }
        push(&mut text, &[&line, "\n"]);
        n_listed += 1;
    }
    let rest = files.get(n_listed..).unwrap_or_default();
    if !rest.is_empty() {
        let sum = |count: fn(&Staged) -> u64| rest.iter().map(|file| count(file)).sum::<u64>().to_string();
        let (added, removed) = (sum(|file| file.added), sum(|file| file.removed));
        push(&mut text, &["and ", &rest.len().to_string(), " more files, +", &added, " -", &removed, "\n"]);
    }
    let mut left = room.saturating_sub(text.len());
    let order = sorted(files.iter().enumerate().map(|(index, file)| (file.bytes(), index)).collect());
    let mut shown: Vec<(usize, usize)> = Vec::new();
    for (n, (_, index)) in order.iter().enumerate() {
        // The small ones come first, and what they leave goes to the large ones.
        let share = left / (order.len() - n);
        let (mut taken, mut bytes) = (0, 0);
        for hunk in files.get(*index).map(|file| file.hunks.as_slice()).unwrap_or_default() {
            if bytes + hunk.len() > share {
                break;
            }
            (taken, bytes) = (taken + 1, bytes + hunk.len());
        }
        left -= bytes;
        shown.push((*index, taken));
    }
    let mut hunks = String::new();
    for (index, taken) in sorted(shown) {
        let Some(file) = files.get(index).filter(|file| !file.hunks.is_empty() || file.left_out > 0) else { continue };
        let missing = (file.hunks.len() - taken) as u64 + file.left_out;
        if taken > 0 {
            push(&mut hunks, &["--- ", &one_line(&file.path), "\n"]);
            hunks.extend(file.hunks.iter().take(taken).map(|hunk| plain(hunk)));
        }
        if missing > 0 && (taken > 0 || files.len() <= MOST_LISTED) {
            let what = if taken > 0 { " more hunks of " } else { " hunks of " };
            push(&mut hunks, &["(", &missing.to_string(), what, &one_line(&file.path), " are not shown)\n"]);
        }
    }
    if !hunks.is_empty() {
        text.push('\n');
        fenced(&mut text, "diff", &hunks);
    }
    text
}

impl<'a> Reader<'a> {
    /// Keeps the hunks of the files.
    pub fn keeping() -> Reader<'a> {
        Reader {
            files: Vec::new(),
            on_added: None,
            keeps: true,
            piece: Vec::new(),
            part: Part::Meta,
            section: 0,
            sections: 0,
            hunk: Hunk::default(),
            kept: 0,
        }
    }

    /// Tells of each added line, the file, the number of the line and its bytes, and keeps no hunk.
    pub fn telling(on_added: &'a mut OnAdded<'a>) -> Reader<'a> {
        Reader { on_added: Some(on_added), keeps: false, ..Reader::keeping() }
    }

    /// Takes the next bytes of the output.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let end = if self.part == Part::Patch { b'\n' } else { 0 };
            let mut piece = mem::take(&mut self.piece);
            // Reading from memory cannot fail. It looks for the byte many times faster than a loop in a debug build.
            let _ = bytes.read_until(end, &mut piece);
            if piece.last() == Some(&end) {
                piece.pop();
                self.whole(&piece);
                piece.clear();
            } else if self.part == Part::Patch && piece.len() >= LONGEST_LINE {
                self.line(&piece, false);
                piece.clear();
            }
            self.piece = piece;
        }
    }

    /// The end of the output.
    pub fn finish(&mut self) {
        self.end_hunk();
    }

    fn whole(&mut self, piece: &[u8]) {
        let text = || String::from_utf8_lossy(piece).into_owned();
        match self.part {
            Part::Meta if piece.is_empty() => self.part = Part::Patch,
            Part::Meta => {
                // `:100644 100644 0123… 4567… R086`
                let status = piece.split(|byte| *byte == b' ').next_back().and_then(<[u8]>::first);
                let status = char::from(status.copied().unwrap_or(b'M'));
                self.files.push(Staged { status, ..Staged::default() });
                self.part = Part::Path;
            }
            Part::Path => {
                let Some(file) = self.files.last_mut() else { return };
                file.path = text();
                self.part = if matches!(file.status, 'R' | 'C') { Part::NewPath } else { Part::Meta };
            }
            Part::NewPath => {
                let Some(file) = self.files.last_mut() else { return };
                file.from = Some(mem::replace(&mut file.path, text()));
                self.part = Part::Meta;
            }
            Part::Patch => self.line(piece, true),
        }
    }

    fn file(&mut self) -> Option<&mut Staged> {
        self.files.get_mut(self.section.checked_sub(1)?)
    }

    fn line(&mut self, line: &[u8], is_end: bool) {
        if self.hunk.goes_on {
            self.content(self.hunk.sign, line, is_end);
        } else if self.hunk.old > 0 || self.hunk.new > 0 {
            match line.split_first() {
                Some((sign @ (b' ' | b'+' | b'-'), rest)) => self.content(*sign, rest, is_end),
                // `\ No newline at end of file`
                Some(_) => {}
                None => self.content(b' ', line, is_end),
            }
        } else if line.starts_with(b"diff --git ") {
            self.end_hunk();
            self.next_section();
        } else if let Some(ranges) = line.strip_prefix(b"@@ -") {
            self.end_hunk();
            self.begin_hunk(ranges, line);
        } else if line.starts_with(b"Binary files ")
            && let Some(file) = self.file()
        {
            file.is_binary = true;
        }
    }

    fn next_section(&mut self) {
        if self.file().is_some_and(|file| file.status == 'T') && self.sections == 1 {
            self.sections = 2;
            return;
        }
        self.section += 1;
        // An unmerged file has no section.
        while self.file().is_some_and(|file| file.status == 'U') {
            self.section += 1;
        }
        self.sections = 1;
    }

    /// `@@ -OLD[,N] +NEW[,N] @@`
    fn begin_hunk(&mut self, ranges: &[u8], line: &[u8]) {
        let text = String::from_utf8_lossy(ranges);
        let range = |word: Option<&str>| {
            let word = word?.trim_start_matches('+');
            let (start, n) = word.split_once(',').unwrap_or((word, "1"));
            Some((start.parse::<u64>().ok()?, n.parse::<u64>().ok()?))
        };
        let mut words = text.split(' ');
        let ((_, old), (line_number, new)) =
            (range(words.next()).unwrap_or_default(), range(words.next()).unwrap_or_default());
        self.hunk = Hunk { old, new, line: line_number, ..Hunk::default() };
        self.keep(&[line, b"\n"]);
    }

    fn content(&mut self, sign: u8, text: &[u8], is_end: bool) {
        let is_first = !mem::replace(&mut self.hunk.goes_on, !is_end);
        self.hunk.sign = sign;
        let number = self.hunk.line;
        let index = self.section.wrapping_sub(1);
        if sign == b'+'
            && let (Some(on_added), Some(file)) = (&mut self.on_added, self.files.get(index))
        {
            on_added(&file.path, number, text);
        }
        if is_first {
            self.keep(&[&[sign], text, b"\n"]);
            if let Some(file) = self.file() {
                file.added += u64::from(sign == b'+');
                file.removed += u64::from(sign == b'-');
            }
        } else {
            // Nobody wants to read a line of a megabyte.
            self.hunk.is_too_long = true;
        }
        if is_end {
            self.hunk.old = self.hunk.old.saturating_sub(u64::from(sign != b'+'));
            self.hunk.new = self.hunk.new.saturating_sub(u64::from(sign != b'-'));
            self.hunk.line += u64::from(sign != b'-');
        }
    }

    fn keep(&mut self, parts: &[&[u8]]) {
        if !self.keeps || self.hunk.is_too_long {
            return;
        }
        for part in parts {
            self.hunk.text.extend_from_slice(part);
        }
        self.hunk.is_too_long = self.hunk.text.len() > KEEP_FILE;
    }

    fn end_hunk(&mut self) {
        let hunk = mem::take(&mut self.hunk);
        if !self.keeps || hunk.text.is_empty() {
            return;
        }
        let room = KEEP_ALL.saturating_sub(self.kept);
        let Some(file) = self.files.get_mut(self.section.wrapping_sub(1)) else { return };
        let has = file.hunks.iter().map(String::len).sum::<usize>();
        let fits = has + hunk.text.len() <= KEEP_FILE && hunk.text.len() <= room;
        // What stands behind a hunk that was left out is left out too: what is kept is the beginning.
        if hunk.is_too_long || !fits || file.left_out > 0 {
            file.left_out += 1;
        } else {
            self.kept += hunk.text.len();
            file.hunks.push(String::from_utf8_lossy(&hunk.text).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What git 2.47.3 says (`diff-index --cached --raw -z -p -U0 -M HEAD`) of a change with names that it quotes, a
    /// binary file, a link that becomes a file, a rename, and a line that looks like a header.
    const SAID: &[u8] = b":000000 100644 0000000 e556b83 A\0-x\ty\n\0:000000 100644 0000000 20b5be9 A\0bin\0\
        :100644 100644 7d6ef8f 3b711c2 R086\0old\0new\0:120000 100644 baf72b1 f73f309 T\0s\0\0\
        diff --git \"a/-x\\ty\\n\" \"b/-x\\ty\\n\"\nnew file mode 100644\nindex 0000000..e556b83\n--- /dev/null\n\
        +++ \"b/-x\\ty\\n\"\n@@ -0,0 +1,2 @@\n+w\n+++ b/other\n\
        diff --git a/bin b/bin\nnew file mode 100644\nindex 0000000..20b5be9\nBinary files /dev/null and b/bin differ\n\
        diff --git a/old b/new\nsimilarity index 86%\nrename from old\nrename to new\nindex 7d6ef8f..3b711c2 100644\n\
        --- a/old\n+++ b/new\n@@ -2 +2 @@ k\n-diff --git a/x b/x\n+q\n@@ -9,0 +10 @@ k\n+\xff\n\
        diff --git a/s b/s\ndeleted file mode 120000\nindex baf72b1..0000000\n--- a/s\n+++ /dev/null\n@@ -1 +0,0 @@\n-l\n\
        \\ No newline at end of file\ndiff --git a/s b/s\nnew file mode 100644\nindex 0000000..f73f309\n--- /dev/null\n\
        +++ b/s\n@@ -0,0 +1 @@\n+file\n";

    fn read(said: &[u8], step: usize) -> (Vec<Staged>, Vec<String>) {
        let mut added = Vec::new();
        let mut note = |path: &str, line, text: &[u8]| {
            added.push(format!("{path}:{line}:{}", String::from_utf8_lossy(text)));
        };
        let mut reader = Reader { keeps: true, ..Reader::telling(&mut note) };
        said.chunks(step).for_each(|chunk| reader.push(chunk));
        reader.finish();
        (reader.files, added)
    }

    #[test]
    fn every_line_finds_its_file_however_the_output_is_cut() {
        let file = |path: &str, status, added, removed, hunks: &[&str]| Staged {
            path: path.to_string(),
            status,
            added,
            removed,
            hunks: hunks.iter().map(ToString::to_string).collect(),
            ..Staged::default()
        };
        let files = vec![
            file("-x\ty\n", 'A', 2, 0, &["@@ -0,0 +1,2 @@\n+w\n+++ b/other\n"]),
            Staged { is_binary: true, ..file("bin", 'A', 0, 0, &[]) },
            Staged {
                from: Some("old".to_string()),
                ..file("new", 'R', 2, 1, &["@@ -2 +2 @@ k\n-diff --git a/x b/x\n+q\n", "@@ -9,0 +10 @@ k\n+\u{fffd}\n"])
            },
            file("s", 'T', 1, 1, &["@@ -1 +0,0 @@\n-l\n", "@@ -0,0 +1 @@\n+file\n"]),
        ];
        let added = ["-x\ty\n:1:w", "-x\ty\n:2:++ b/other", "new:2:q", "new:10:\u{fffd}", "s:1:file"];
        for step in [1, 2, 3, 7, 64, SAID.len()] {
            assert_eq!(read(SAID, step), (files.clone(), added.map(String::from).to_vec()), "in steps of {step}");
        }
    }

    #[test]
    fn a_line_of_megabytes_is_handed_on_in_pieces_and_not_kept() {
        let long = "x".repeat(3 << 20);
        let said = format!(
            ":100644 100644 1 2 M\0a\0\0diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1,2 @@\n-o\n+{long}\n+n\n\
             @@ -8 +9 @@\n-p\n+q\n"
        );
        let (files, added) = read(said.as_bytes(), 4096);
        let lines: Vec<(&str, usize)> = added.iter().map(|line| (line.split_at(4).0, line.len() - 4)).collect();
        assert!(lines.len() == 5 && lines[..3].iter().all(|(start, _)| *start == "a:1:"), "{lines:?}");
        assert_eq!(lines[..3].iter().map(|(_, n)| n).sum::<usize>(), long.len());
        assert_eq!(lines[3..], [("a:2:", 1), ("a:9:", 1)]);
        assert_eq!((files[0].added, files[0].removed, &files[0].hunks, files[0].left_out), (3, 2, &Vec::new(), 2));
    }

    fn change(path: &str, hunks: &[&str]) -> Staged {
        let hunks = hunks.iter().map(ToString::to_string).collect();
        Staged { path: path.to_string(), status: 'M', added: 1, hunks, ..Staged::default() }
    }

    #[test]
    fn a_digest_shows_whole_hunks_and_says_what_is_missing() {
        let small = change("a", &["@@ -1 +1 @@\n+a\n"]);
        let large = change("\u{1b}b", &["@@ -1 +1 @@\n+b\n", &"+long\n".repeat(99), "+last\n"]);
        let binary = Staged { path: "c".to_string(), status: 'A', is_binary: true, ..Staged::default() };
        let files = [&large, &small, &binary];
        let listed = "M \\x1bb +1 -0\nM a +1 -0\nA c (binary)\n";
        let expected = format!(
            "{listed}\n```diff\n--- \\x1bb\n@@ -1 +1 @@\n+b\n(2 more hunks of \\x1bb are not shown)\n--- a\n@@ -1 +1 @@\n+a\n```\n\n"
        );
        assert_eq!(digest(&files, 300), expected);
        assert!(digest(&files, 10_000).contains("+last\n"));
        let many: Vec<Staged> = (0..100).map(|n| change(&format!("dir/{n}"), &["@@ -1 +1 @@\n+a\n"])).collect();
        let text = digest(&many.iter().collect::<Vec<_>>(), 600);
        assert!(text.contains("and 80 more files, +80 -0\n") && text.len() < 1000, "{text}");
    }
}
