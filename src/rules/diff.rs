//! Two texts → the unified diff between them. Pure.
//!
//! The method is Myers' greedy one on lines, after the common head and tail are set aside. Texts that differ in more than
//! [`MOST_EDITS`] lines are shown as replaced whole: a diff for people does not gain from a longer search.

use std::fmt::Write as _;

const MOST_EDITS: usize = 600;
const CONTEXT: usize = 3;

/// Which text a line of a comparison is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Both,
    Old,
    New,
}

/// Returns the unified diff of one file, empty when nothing differs. `None` stands for an absent file.
pub fn unified(path: &str, old: Option<&str>, new: Option<&str>) -> String {
    let (old_text, new_text) = (old.unwrap_or_default(), new.unwrap_or_default());
    if old == new {
        return String::new();
    }
    let name = |side: char, text: Option<&str>| text.map_or("/dev/null".to_string(), |_| format!("{side}/{path}"));
    let mut out = format!("--- {}\n+++ {}\n", name('a', old), name('b', new));
    if old_text.contains('\0') || new_text.contains('\0') {
        out.push_str("Binary files differ\n");
        return out;
    }
    let lines = compare(&split(old_text), &split(new_text));
    for hunk in hunks(&lines) {
        print_hunk(&mut out, &lines, hunk);
    }
    out
}

/// Splits into lines that keep their line end, so that a missing last newline is a difference.
fn split(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Compares two texts line by line: what is in both, and what only in one, in order.
pub fn compare<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(Side, &'a str)> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (old.get(head..).unwrap_or_default(), new.get(head..).unwrap_or_default());
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let old_mid = old_rest.get(..old_rest.len() - tail).unwrap_or_default();
    let new_mid = new_rest.get(..new_rest.len() - tail).unwrap_or_default();
    let both = |lines: &[&'a str]| lines.iter().map(|line| (Side::Both, *line)).collect::<Vec<_>>();
    let mut out = both(old.get(..head).unwrap_or_default());
    out.extend(middle(old_mid, new_mid));
    out.extend(both(old_rest.get(old_rest.len() - tail..).unwrap_or_default()));
    out
}

/// The lines between the common head and tail. `furthest[k]` is how far into `old` the diagonal `k` has come; the rows of
/// every round are kept to walk back.
fn middle<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(Side, &'a str)> {
    let most = (old.len() + new.len()).min(MOST_EDITS);
    let width = 2 * most + 3;
    let at = |k: isize| usize::try_from(k + isize::try_from(most).unwrap_or(0) + 1).unwrap_or(0);
    let mut furthest = vec![0_usize; width];
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    for edits in 0..=most {
        rounds.push(furthest.clone());
        let reach = isize::try_from(edits).unwrap_or(0);
        for k in (-reach..=reach).step_by(2) {
            let mut x = step(&furthest, k, reach, at);
            while let (Some(a), Some(b)) = (old.get(x), new.get(down(x, k))) {
                if a != b {
                    break;
                }
                x += 1;
            }
            if let Some(place) = furthest.get_mut(at(k)) {
                *place = x;
            }
            if x >= old.len() && down(x, k) >= new.len() {
                return walk_back(old, new, &rounds, at);
            }
        }
    }
    let gone = old.iter().map(|line| (Side::Old, *line));
    gone.chain(new.iter().map(|line| (Side::New, *line))).collect()
}

/// Where the diagonal `k` goes on from: a line of `new` taken (from k + 1) or a line of `old` dropped (from k − 1).
fn step(furthest: &[usize], k: isize, reach: isize, at: impl Fn(isize) -> usize) -> usize {
    let get = |k: isize| furthest.get(at(k)).copied().unwrap_or(0);
    if k == -reach || (k != reach && get(k - 1) < get(k + 1)) { get(k + 1) } else { get(k - 1) + 1 }
}

fn down(x: usize, k: isize) -> usize {
    usize::try_from(isize::try_from(x).unwrap_or(isize::MAX) - k).unwrap_or(0)
}

fn walk_back<'a>(
    old: &[&'a str],
    new: &[&'a str],
    rounds: &[Vec<usize>],
    at: impl Fn(isize) -> usize + Copy,
) -> Vec<(Side, &'a str)> {
    let (mut x, mut y) = (old.len(), new.len());
    let mut out = Vec::new();
    for (edits, furthest) in rounds.iter().enumerate().rev() {
        let reach = isize::try_from(edits).unwrap_or(0);
        let k = isize::try_from(x).unwrap_or(0) - isize::try_from(y).unwrap_or(0);
        let start = if edits == 0 { 0 } else { step(furthest, k, reach, at) };
        // Common lines back to where this round began, then the one edit of the round.
        while x > start && y > down(start, k) {
            (x, y) = (x - 1, y - 1);
            out.extend(old.get(x).map(|line| (Side::Both, *line)));
        }
        if edits == 0 {
            break;
        }
        let get = |k: isize| furthest.get(at(k)).copied().unwrap_or(0);
        if k == -reach || (k != reach && get(k - 1) < get(k + 1)) {
            y = y.saturating_sub(1);
            out.extend(new.get(y).map(|line| (Side::New, *line)));
        } else {
            x = x.saturating_sub(1);
            out.extend(old.get(x).map(|line| (Side::Old, *line)));
        }
    }
    out.reverse();
    out
}

/// Groups the changed lines with their context.
fn hunks(lines: &[(Side, &str)]) -> Vec<std::ops::Range<usize>> {
    let mut hunks: Vec<std::ops::Range<usize>> = Vec::new();
    for (index, (side, _)) in lines.iter().enumerate() {
        if *side == Side::Both {
            continue;
        }
        let (start, end) = (index.saturating_sub(CONTEXT), (index + CONTEXT + 1).min(lines.len()));
        match hunks.last_mut() {
            Some(last) if start <= last.end => last.end = end,
            Some(_) | None => hunks.push(start..end),
        }
    }
    hunks
}

fn print_hunk(out: &mut String, lines: &[(Side, &str)], hunk: std::ops::Range<usize>) {
    let before = lines.get(..hunk.start).unwrap_or_default();
    let inside = lines.get(hunk).unwrap_or_default();
    let count = |lines: &[(Side, &str)], skip: Side| lines.iter().filter(|(side, _)| *side != skip).count();
    let range = |skip: Side| {
        let length = count(inside, skip);
        // An empty range names the line before it, as diff(1) does.
        (count(before, skip) + usize::from(length > 0), length)
    };
    let ((old_start, old_length), (new_start, new_length)) = (range(Side::New), range(Side::Old));
    let _ = writeln!(out, "@@ -{old_start},{old_length} +{new_start},{new_length} @@");
    for (side, line) in inside {
        let mark = match side {
            Side::Both => ' ',
            Side::Old => '-',
            Side::New => '+',
        };
        let _ = write!(out, "{mark}{line}");
        if !line.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(old: Option<&str>, new: Option<&str>, expected: &str) {
        assert_eq!(unified("f", old, new), expected);
    }

    #[test]
    fn diffs_read_like_those_of_diff() {
        check(Some("a\n"), Some("a\n"), "");
        check(None, Some("a\nb\n"), "--- /dev/null\n+++ b/f\n@@ -0,0 +1,2 @@\n+a\n+b\n");
        check(Some("a\n"), None, "--- a/f\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a\n");
        check(
            Some("1\n2\n3\n4\n5\n6\n7\n8\n9\n"),
            Some("1\n2\n3\n4\nfive\n6\n7\n8\n9\n"),
            "--- a/f\n+++ b/f\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n",
        );
        check(
            Some("a\nb"),
            Some("a\nb\n"),
            "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n",
        );
        check(Some("a\0"), Some("b\0"), "--- a/f\n+++ b/f\nBinary files differ\n");
    }

    /// Applies a diff of one file to check that it says what happened.
    fn apply(old: &str, diff: &str) -> String {
        let (mut rest, mut out, mut at) = (old.split_inclusive('\n'), String::new(), 0);
        let lines: Vec<&str> = diff.split_inclusive('\n').skip(2).collect();
        for (index, line) in lines.iter().enumerate() {
            let bare = lines.get(index + 1).is_some_and(|next| next.starts_with('\\'));
            let text = line.get(1..).unwrap_or_default();
            let text = if bare { text.trim_end_matches('\n') } else { text };
            match line.as_bytes().first() {
                Some(b'@') => {
                    let start: usize = line.split(['-', ',']).nth(1).unwrap().parse().unwrap();
                    let length: usize = line.split([',', ' ']).nth(2).unwrap().parse().unwrap();
                    let until = if length == 0 { start } else { start - 1 };
                    while at < until {
                        out.push_str(rest.next().unwrap());
                        at += 1;
                    }
                }
                Some(b' ') => {
                    assert_eq!(rest.next(), Some(text));
                    at += 1;
                    out.push_str(text);
                }
                Some(b'-') => {
                    assert_eq!(rest.next(), Some(text));
                    at += 1;
                }
                Some(b'+') => out.push_str(text),
                _ => {}
            }
        }
        out.extend(rest);
        out
    }

    #[test]
    fn every_diff_applies_to_its_old_text() {
        // A small generator: all pairs of texts over two lines, up to length five.
        let mut texts = vec![String::new()];
        for length in 1..=5_u32 {
            for bits in 0..(1_u32 << length) {
                texts.push((0..length).map(|bit| if bits >> bit & 1 == 0 { "x\n" } else { "y\n" }).collect());
            }
        }
        for old in &texts {
            for new in &texts {
                let diff = unified("f", Some(old), Some(new));
                assert_eq!(&apply(old, &diff), new, "{old:?} -> {new:?}:\n{diff}");
            }
        }
    }

    #[test]
    fn texts_without_a_common_line_are_replaced_whole() {
        let old: String =
            (0..3000).flat_map(|line: u32| ["old ".to_string(), line.to_string(), "\n".to_string()]).collect();
        let new: String = old.replace("old", "new");
        assert_eq!(apply(&old, &unified("f", Some(&old), Some(&new))), new);
    }
}
