//! A page under way, and how it writes numbers.
//!
//! **Invariant:** markup is a literal of this program, and all else reaches the page through [`Html::put`], which escapes
//! it. The page is well-formed XML as well, so that a test can read it strictly.

use crate::rules::escape::{one_line, plain};
use crate::words::count::Count;

/// The page so far.
#[derive(Default)]
pub struct Html(pub String);

impl Html {
    /// Adds markup and a line end. Each `{}` in it is the place of the next of `texts`, which may be of any origin:
    /// between tags, or in the quotes of an attribute.
    pub fn put(&mut self, markup: &'static str, texts: &[&str]) {
        let mut texts = texts.iter();
        for (place, piece) in markup.split("{}").enumerate() {
            if place > 0 {
                self.escaped(texts.next().copied().unwrap_or_default());
            }
            self.0.push_str(piece);
        }
        debug_assert!(texts.next().is_none(), "a text without a place: {markup}");
        self.0.push('\n');
    }

    /// Adds a table. The first cell of a row is its header; `heads` says which columns are numbers.
    pub fn table(&mut self, caption: &'static str, heads: &[(&'static str, bool)], rows: &[Vec<String>]) {
        self.put(r#"<div class="wide" tabindex="0" role="region" aria-label="{}">"#, &[caption]);
        self.put("<table><caption>{}</caption><thead><tr>", &[caption]);
        self.heads(heads);
        self.put("</tr></thead><tbody>", &[]);
        for row in rows {
            self.put("<tr>", &[]);
            for (place, (cell, (_, is_number))) in row.iter().zip(heads).enumerate() {
                let markup = match (place, is_number) {
                    (0, _) => r#"<th scope="row">{}</th>"#,
                    (_, true) => r#"<td class="n">{}</td>"#,
                    (_, false) => "<td>{}</td>",
                };
                self.put(markup, &[&one_line(cell)]);
            }
            self.put("</tr>", &[]);
        }
        self.put("</tbody></table></div>", &[]);
    }

    /// Adds the heads of columns.
    pub fn heads(&mut self, heads: &[(&'static str, bool)]) {
        for (head, is_number) in heads {
            let markup = if *is_number { r#"<th scope="col" class="n">{}</th>"# } else { r#"<th scope="col">{}</th>"# };
            self.put(markup, &[head]);
        }
    }

    fn escaped(&mut self, text: &str) {
        for c in plain(text).chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // No characters of XML; browsers replace them.
                '\u{fffe}' | '\u{ffff}' => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
    }
}

/// A length or a place in an SVG, in percent of its parent.
pub fn percent(percent: f64) -> String {
    format!("{percent:.2}%")
}

/// A number for people, with a space that does not break between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

/// `1 run`, `12 runs`.
pub fn counted(number: u64, noun: &'static str) -> String {
    format!("{} {}", grouped(number), Count::of(number, noun).noun())
}

/// `83 %`; a dash of nothing.
pub fn share(part: u64, all: u64) -> String {
    if all == 0 { "–".to_string() } else { format!("{:.0}\u{a0}%", part as f64 * 100.0 / all as f64) }
}

/// A time for people, from milliseconds.
pub fn seconds(ms: u64) -> String {
    match ms {
        0..100_000 => format!("{:.1}\u{a0}s", ms as f64 / 1e3),
        100_000..6_000_000 => format!("{:.1}\u{a0}min", ms as f64 / 6e4),
        _ => format!("{:.1}\u{a0}h", ms as f64 / 3.6e6),
    }
}

/// From thousandths.
pub fn per_second(speed: u64) -> String {
    format!("{:.1}", speed as f64 / 1e3)
}

/// Dollars from millionths, to the cent, or closer where they are few.
pub fn dollars(micros: u64) -> String {
    let usd = micros as f64 / 1e6;
    if usd == 0.0 || usd >= 1.0 { format!("{usd:.2}\u{a0}USD") } else { format!("{usd:.4}\u{a0}USD") }
}

/// Dollars as whole millionths.
pub fn micros(usd: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; a price is not negative")]
    let micros = (usd * 1e6).round() as u64;
    micros
}
