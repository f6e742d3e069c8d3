//! How many columns of a terminal a text takes. Pure.
//!
//! The table holds the blocks that are two columns wide (East Asian Wide and Fullwidth of
//! <https://www.unicode.org/reports/tr11/>, and emoji with a picture of their own) and those of no width (combining marks
//! of general use, joiners, variation selectors). Its bounds: marks of scripts that are not listed count one column, an
//! emoji of several parts (a family, a flag) counts the sum of its parts, and characters of ambiguous width count one. All
//! but the last err to the wide side: a line that is cut by this table does not wrap where the terminal shows more
//! closely.

/// First and last character of each block of no width.
const NONE: [(u32, u32); 14] = [
    (0x0300, 0x036f),
    (0x0483, 0x0489),
    (0x0591, 0x05bd),
    (0x0610, 0x061a),
    (0x064b, 0x065f),
    (0x093c, 0x093c),
    (0x0941, 0x0948),
    (0x0e31, 0x0e31),
    (0x0e34, 0x0e3a),
    (0x0e47, 0x0e4e),
    (0x1ab0, 0x1aff),
    (0x1dc0, 0x1dff),
    (0x200b, 0x200f),
    (0x20d0, 0x20f0),
];

/// First and last character of each block of two columns.
const WIDE: [(u32, u32); 27] = [
    (0x1100, 0x115f),
    (0x231a, 0x231b),
    (0x23e9, 0x23ec),
    (0x23f0, 0x23f3),
    (0x25fd, 0x25fe),
    (0x2614, 0x2615),
    (0x2648, 0x2653),
    (0x26a1, 0x26a1),
    (0x26bd, 0x26be),
    (0x26c4, 0x26c5),
    (0x26ce, 0x26ce),
    (0x26d4, 0x26d4),
    (0x26ea, 0x26fd),
    (0x2705, 0x2705),
    (0x270a, 0x270b),
    (0x2728, 0x2728),
    (0x274c, 0x2757),
    (0x2795, 0x27bf),
    (0x2b1b, 0x2b55),
    (0x2e80, 0x303e),
    (0x3041, 0xa4cf),
    (0xa960, 0xa97f),
    (0xac00, 0xd7a3),
    (0xf900, 0xfaff),
    (0xfe30, 0xfe6f),
    (0xff01, 0xff60),
    (0xffe0, 0xffe6),
];

/// Returns the columns of a text on one line. Control characters have none: what is shown has been escaped before.
pub fn width(text: &str) -> usize {
    text.chars().map(of).sum()
}

/// Returns the columns of a character: 0, 1 or 2.
pub fn of(c: char) -> usize {
    let code = u32::from(c);
    match code {
        0..0x20 | 0x7f..0xa0 | 0xfe00..=0xfe0e | 0xfe20..=0xfe2f | 0xe0100..=0xe01ef => 0,
        // The variation selector for pictures makes some terminals show the character before on two columns.
        0x20..0x300 | 0xfe0f => 1,
        0x1f000..=0x1faff | 0x20000..=0x3fffd => 2,
        _ if within(&NONE, code) => 0,
        _ if within(&WIDE, code) => 2,
        _ => 1,
    }
}

fn within(blocks: &[(u32, u32)], code: u32) -> bool {
    let at = blocks.partition_point(|(_, last)| *last < code);
    blocks.get(at).is_some_and(|(first, _)| *first <= code)
}

/// Returns a text that takes at most so many columns; where something is left out, it ends with `…`.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_string();
    }
    let mut shown = String::with_capacity(text.len());
    let mut left = columns.saturating_sub(1);
    for c in text.chars() {
        match left.checked_sub(of(c)) {
            Some(rest) => left = rest,
            None => break,
        }
        shown.push(c);
    }
    if columns > 0 {
        shown.push('…');
    }
    shown
}

/// Returns a text of exactly so many columns: cut, or with blanks behind it.
pub fn pad(text: &str, columns: usize) -> String {
    let mut shown = cut(text, columns);
    let blanks = columns.saturating_sub(width(&shown));
    shown.extend(std::iter::repeat_n(' ', blanks));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_those_of_a_terminal() {
        for (text, columns) in [
            ("", 0),
            ("abc é ñ", 7),
            ("e\u{301}", 1),
            ("中文", 4),
            ("ひらがな한글", 12),
            ("ｆｕｌｌ", 8),
            ("⚡🦀", 4),
            ("👩\u{200d}💻", 4),
            ("สวัสดี", 4),
            ("·…→─█▁", 6),
            ("𠮷", 2),
        ] {
            assert_eq!(width(text), columns, "{text:?}");
        }
    }

    #[test]
    fn a_cut_text_never_takes_more_and_says_that_it_is_cut() {
        for (text, columns, cut_text) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("中文字", 5, "中文…"),
            ("中文字", 4, "中…"),
            ("中", 1, "…"),
            ("abc", 0, ""),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
        ] {
            assert_eq!(cut(text, columns), cut_text);
            assert!(width(cut_text) <= columns);
        }
        assert_eq!(pad("中", 4), "中  ");
        assert_eq!(pad("abcdef", 4), "abc…");
    }

    #[test]
    fn the_tables_are_in_order() {
        for blocks in [&NONE[..], &WIDE[..]] {
            assert!(blocks.iter().all(|(first, last)| first <= last));
            assert!(blocks.windows(2).all(|two| two[0].1 < two[1].0));
        }
    }
}
