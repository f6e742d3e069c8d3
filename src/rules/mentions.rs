//! Which files a change is likely about when its task names none and nothing in it leads to one: those that say the same
//! words. "Show the newest payment first" is about the file that speaks of payments. Pure.

use crate::rules::context::{Source, Why};
use crate::rules::intent::Intent;
use crate::rules::kin::is_test_file;
use crate::rules::named;
use crate::rules::sorted::sorted;
use std::cmp::Reverse;

/// Words that are looked for. No more than the bits of [`Held`].
const MOST_WORDS: usize = 10;
/// Words that a file has to say, where there are more than [`FEW`] files.
const LEAST_SAID: usize = 2;
/// So few sources that one word is enough.
const FEW: usize = 6;
/// A word that more files say than this, and more than a tenth of them, tells nothing.
const COMMON: usize = 3;
/// Files that are shown: a small model finds less in more.
const MOST_FILES: usize = 3;
/// Verbs that add to what is there, among those that make something new.
const ADDS: &str = "add adds adding make let implement ajoute ajouter añade aggiungi ergänze ergänzen";

/// Words of any task, which any comment says too. Without a plural.
const PROSE: &str = "\
    about above after again allow alway another because before being below between both could empty every everything \
    false first given instead large least might never newest nothing number oldest other place please problem really \
    return right second should simple small something start still stop string support there these thing think third \
    those three through until using value wants where which while whole without work would wrong";

/// Which of the words a file says: a bit for each, the first word's the lowest.
pub type Held = u16;

/// Returns the words to look for, lower case and without a plural: none where the task makes something new beside what is
/// there ("Write a script that …").
pub fn words(task: &str, sought: &[String], intent: &Intent) -> Vec<String> {
    if makes_new(task, intent) {
        return Vec::new();
    }
    let singular = |word: &String| word.strip_suffix('s').unwrap_or(word).to_string();
    let tells = |word: &String| !PROSE.split_whitespace().any(|prose| prose == word);
    sought.iter().map(singular).filter(tells).take(MOST_WORDS).collect()
}

/// Whether a task makes something new beside what is there.
pub fn makes_new(task: &str, intent: &Intent) -> bool {
    let adds = || {
        let mut words = named::lines(task).flat_map(|(line, _)| line.split_whitespace());
        words.any(|word| ADDS.split_whitespace().any(|verb| word.eq_ignore_ascii_case(verb)))
    };
    intent.creates && !adds()
}

/// Returns which of the words a text says, also inside of longer ones.
pub fn held(text: &str, words: &[String]) -> Held {
    if words.is_empty() {
        return 0;
    }
    let text = lower(text);
    words.iter().enumerate().fold(0, |held, (nth, word)| held | Held::from(text.contains(word.as_str())) << nth)
}

/// Returns a text with the capitals of ASCII in lower case, eight bytes at a time: the standard library's way, compiled for
/// size, takes as long as all that is looked for in it.
fn lower(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let (eights, rest) = bytes.as_chunks_mut();
    for eight in eights {
        *eight = lower_eight(u64::from_le_bytes(*eight)).to_le_bytes();
    }
    rest.make_ascii_lowercase();
    String::from_utf8(bytes).unwrap_or_default()
}

/// The same of eight bytes: the highest bit of each tells what is at least `A`, and no more than `Z`.
fn lower_eight(eight: u64) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = LOW << 7;
    let ascii = eight & !HIGH;
    let capitals = (ascii + LOW * (0x80 - 0x41)) & !(ascii + LOW * (0x80 - 0x5B)) & !eight & HIGH;
    eight | capitals >> 2
}

/// Ranks sources by the words that they say, the best first: a rare word counts for more. `held` goes with `sources`.
pub fn rank<'a>(sources: &'a [Source], held: &[Held], words: &[String]) -> Vec<(&'a str, Why)> {
    let sources = sources.iter().zip(held).filter(|(source, _)| !is_test_file(&source.path));
    let sources: Vec<(&str, Held)> = sources.map(|(source, held)| (source.path.as_str(), *held)).collect();
    let says = |held: Held, nth: usize| held >> nth & 1 == 1;
    let worth = |nth: usize| {
        let said = sources.iter().filter(|(_, held)| says(*held, nth)).count();
        let is_common = said > COMMON.max(sources.len() / 10);
        if said == 0 || is_common { 0 } else { 1 + (sources.len() / said).ilog2() }
    };
    // The words that tell something, each with its place, its spelling and what it is worth.
    let telling: Vec<(usize, &String, u32)> =
        (0..).zip(words).map(|(nth, word)| (nth, word, worth(nth))).filter(|(.., worth)| *worth > 0).collect();
    let mut ranked = Vec::new();
    for (path, held) in &sources {
        let said = telling.iter().filter(|(nth, ..)| says(*held, *nth));
        let points: u32 = said.clone().map(|(.., worth)| worth).sum();
        let said: Vec<String> = said.map(|(_, word, _)| format!("`{word}`")).collect();
        if said.len() >= LEAST_SAID || !said.is_empty() && sources.len() <= FEW {
            ranked.push((Reverse(points), path.matches('/').count(), *path, said.join(", ")));
        }
    }
    let ranked = sorted(ranked);
    let best = ranked.first().map_or(0, |(Reverse(points), ..)| *points);
    let near = ranked.into_iter().filter(|(Reverse(points), ..)| points * 2 > best);
    near.take(MOST_FILES).map(|(.., path, said)| (path, Why::Says(said))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::parts::Sought;
    use crate::rules::{context, intent};

    const LEDGER: &str = "class Ledger:\n    def pay(self): ...\n    def statement(self):  # payments, oldest first\n";
    const SERVER: &str = "def serve():\n    listen()\n    # one request after the other\n";

    /// `path: why` of each file that a task leads to.
    fn found(task: &str, files: &[(&str, &str)]) -> Vec<String> {
        let intent = intent::read(task, &[]);
        let Sought { words: sought, .. } = context::sought(task, &intent);
        let words = words(task, &sought, &intent);
        let sources = context::sources(files.iter().map(|(path, _)| path.to_string()).collect());
        let text = |source: &Source| files.iter().find(|(path, _)| *path == source.path).unwrap().1;
        let held: Vec<Held> = sources.iter().map(|source| held(text(source), &words)).collect();
        rank(&sources, &held, &words).iter().map(|(path, why)| format!("{path}: {}", why.text())).collect()
    }

    #[test]
    fn a_change_is_about_the_file_that_says_the_same() {
        let files = [("ledger.py", LEDGER), ("server.py", SERVER), ("test_ledger.py", LEDGER), ("notes.md", LEDGER)];
        let newest = "Show the newest payments first in each statement";
        assert_eq!(found(newest, &files), ["ledger.py: says `payment`, `statement`"]);
        assert_eq!(found("Add a limit on requests", &files), ["server.py: says `request`"]);
        assert_eq!(found("Write a script that prints a statement", &files), Vec::<String>::new());
        assert_eq!(found("Make everything faster", &files), Vec::<String>::new());
    }

    #[test]
    fn every_byte_is_compared_in_lower_case() {
        let all: String = (0..0x250_u32).filter_map(char::from_u32).collect();
        for start in all.char_indices().map(|(at, _)| at).take(9) {
            assert_eq!(lower(&all[start..]), all[start..].to_ascii_lowercase());
        }
    }

    #[test]
    fn in_many_files_one_word_or_a_common_one_is_not_enough() {
        let names: Vec<String> = (0..30).map(|n| format!("m{n}.py")).collect();
        let mut files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "# the request")).collect();
        files.push(("ledger.py", LEDGER));
        assert_eq!(found("Show the newest payments first", &files), Vec::<String>::new());
        assert_eq!(found("Count each request and payment", &files), Vec::<String>::new());
        assert_eq!(found("Sort payments in the statement", &files), ["ledger.py: says `payment`, `statement`"]);
        files.push(("report.py", "payment, statement"));
        files.push(("other.py", "payment"));
        let both = ["ledger.py: says `payment`, `statement`", "report.py: says `payment`, `statement`"];
        assert_eq!(found("Sort payments in the statement", &files), both);
    }
}
