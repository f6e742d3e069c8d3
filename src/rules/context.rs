//! Which files a task may need beside those that it names: the names in its text, a scan for their definitions, a ranking
//! with reasons, and the room that they get. Pure; listing and reading are `engine/gather.rs`, fitting is `gathered.rs`.
//!
//! **Invariant:** the same task and the same files give the same list, in the same order.
//!
//! The scan knows words, not grammars: `class NAME`, `fn NAME`, `NAME =` at the start of a line. It misses methods in
//! languages without a keyword for them (Java, C), and a keyword in a string fools it. A parser for each language would
//! cost a binary many times this size.

use crate::rules::definition::{self, is_in, is_word};
use crate::rules::intent::Intent;
use crate::rules::kin::{self, directory, is_test_file, key, shared_directories, stem, tested};
use crate::rules::named;
use crate::rules::parts::Sought;
use crate::rules::sorted::sorted;
use crate::rules::vocabulary;
use std::cmp::Reverse;

/// Why a file is in the context.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// `--file`.
    Demanded,
    /// Named in the task.
    Named,
    /// A reply rewrote it unseen; it is shown for the repair.
    Rewritten,
    /// It defines this identifier of the task.
    Defines(String),
    /// Its name is this word of the task.
    Called(String),
    /// It says these words of the task.
    Says(String),
    /// It tests this file.
    Tests(String),
    /// A red check names it.
    Red,
    /// This test, of which a red check speaks, is called after it.
    Tested(String),
    /// That test imports it.
    Imported(String),
}

impl Why {
    pub fn text(&self) -> String {
        match self {
            Why::Demanded => "--file".to_string(),
            Why::Named => "named in the task".to_string(),
            Why::Rewritten => "rewritten unseen".to_string(),
            Why::Defines(name) => format!("defines `{name}`"),
            Why::Called(name) => format!("called `{name}`"),
            Why::Says(words) => format!("says {words}"),
            Why::Tests(path) => format!("tests {path}"),
            Why::Red => "named by a red check".to_string(),
            Why::Tested(path) => format!("tested by {path}"),
            Why::Imported(path) => format!("imported by {path}"),
        }
    }

    /// Returns whether mux chose the file by itself: such a file may be left out again.
    pub fn is_found(&self) -> bool {
        match self {
            Why::Demanded | Why::Named | Why::Rewritten => false,
            Why::Defines(_)
            | Why::Called(_)
            | Why::Says(_)
            | Why::Tests(_)
            | Why::Red
            | Why::Tested(_)
            | Why::Imported(_) => true,
        }
    }
}

/// An identifier, or a plain word, of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub text: String,
    /// Lower case without `_`, `-` and `.`: `UserService` and `user_service.py` meet here.
    key: String,
    /// Written as only identifiers are: with an inner `_`, a hump or a capital. `parse` may be any word.
    is_telling: bool,
    /// What more files than this define, or are called, tells nothing about one of them.
    common: usize,
}

/// Which of the names a file defines: a bit for each, the first name's the lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defines(u32);

impl Defines {
    fn has(self, name: usize) -> bool {
        self.0 >> name & 1 == 1
    }

    pub fn is_any(self) -> bool {
        self.0 != 0
    }
}

/// More identifiers than this are no task but a listing.
const MOST_NAMES: usize = 8;
/// The same of plain words, with what two of them make. No more than [`Defines`] has bits.
const MOST_WORDS: usize = 16;
/// Points from which on a file is surely meant: a telling name speaks for it.
const SURE: u32 = 50;
/// [`Name::common`] of identifiers.
const COMMON: usize = 8;
/// The same of plain words, which name files less surely: `cache` is one file, or none.
const COMMON_WORD: usize = 2;
/// Tests that are shown for one file.
const MOST_TESTS: usize = 2;
/// The shortest plain word that may be a file's name, in bytes.
const SHORTEST_WORD: usize = 4;
/// Plain words that are looked for in a file.
const MOST_SOUGHT: usize = 24;
/// Tokens of found files, however large the window: a server on a CPU reads about a hundred a second, and a small model
/// finds less in more.
const MOST_FOUND_TOKENS: u64 = 8192;
/// Tokens of the prompt around the files: roles, rules, the example.
pub const AROUND: u64 = 500;

/// Returns the identifiers of a task: those of its intent, and what is written like one inside a longer word
/// (`UserService.parse`). Names of files are none.
pub fn identifiers(task: &str, intent: &Intent) -> Vec<Name> {
    let mut found: Vec<&str> = intent.ident.iter().map(String::as_str).collect();
    for (line, _) in named::lines(task).filter(|(_, fenced)| !fenced) {
        let words = line.split_whitespace().filter(|word| !names_a_file(word, intent));
        found.extend(words.flat_map(|word| word.split(|char| !is_word(char))).filter(|word| is_telling(word)));
    }
    distinct(found.into_iter().filter(|name| name.len() > 2 && !is_in(EVERYWHERE, name)), MOST_NAMES, COMMON)
}

/// Returns the plain words of a task that a file or a definition may be called by: those behind "the", "in" and their like,
/// what has a capital inside a sentence, what the first verb is about ("Fix wrap: …"), and what a task without one begins
/// with; each also with the word behind it, as code would join them. To be asked where there is no better sign.
pub fn words(task: &str, intent: &Intent) -> Vec<Name> {
    let mut found: Vec<String> = Vec::new();
    for (line, _) in named::lines(task).filter(|(_, fenced)| !fenced) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut before = "";
        for (nth, word) in words.iter().enumerate() {
            let plain = word.trim_matches(|char| !is_word(char));
            let is_inside = !before.is_empty() && !before.ends_with(['.', '!', '?', ':']);
            let begins = nth == 1 || nth == 0 && !vocabulary::is_verb(plain);
            let is_pointed_at = is_in("the The this our in", before) || is_inside && is_type(plain) || begins;
            if is_pointed_at && !names_a_file(word, intent) {
                let next = words.get(nth + 1).filter(|_| word.ends_with(is_word));
                found.extend(next.into_iter().flat_map(|next| joined(plain, next.trim_matches(|char| !is_word(char)))));
                let may_be_any = before == "in" || !is_in(EVERYWHERE, &plain.to_lowercase());
                found.extend((plain.len() >= SHORTEST_WORD && may_be_any).then(|| plain.to_string()));
            }
            before = word;
        }
    }
    distinct(found.iter().map(String::as_str), MOST_WORDS, COMMON_WORD)
}

/// Two words as code joins them: `ProgressBar`, `progressBar`, `progress_bar`. Their like name files too.
fn joined(one: &str, two: &str) -> Vec<String> {
    let is_plain =
        |word: &str| word.len() > 2 && word.chars().all(char::is_alphabetic) && !is_in(SMALL, &word.to_lowercase());
    if !is_plain(one) || !is_plain(two) {
        return Vec::new();
    }
    let (one, two) = (one.to_lowercase(), two.to_lowercase());
    let capital = |word: &str| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_uppercase().chain(chars).collect::<String>()).unwrap_or_default()
    };
    vec![capital(&one) + &capital(&two), one.clone() + &capital(&two), format!("{one}_{two}")]
}

/// Returns what to look for in a file of which only parts fit: the identifiers, and the words that any text may hold.
pub fn sought(task: &str, intent: &Intent) -> Sought {
    let mut words: Vec<String> = Vec::new();
    for (line, _) in named::lines(task).filter(|(_, fenced)| !fenced) {
        for word in line.split_whitespace().filter(|word| !names_a_file(word, intent)) {
            let word = word.trim_matches(|char| !is_word(char)).to_lowercase();
            let tells = word.len() > SHORTEST_WORD && !is_in(EVERYWHERE, &word) && !words.contains(&word);
            if tells && words.len() < MOST_SOUGHT {
                words.push(word);
            }
        }
    }
    Sought { names: identifiers(task, intent), words }
}

fn names_a_file(word: &str, intent: &Intent) -> bool {
    word.contains('/') || intent.files.iter().any(|file| word.contains(file.as_str()))
}

fn distinct<'a>(texts: impl Iterator<Item = &'a str>, most: usize, common: usize) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    for text in texts {
        if names.len() < most && !names.iter().any(|name| name.text == text) {
            names.push(Name {
                text: text.to_string(),
                key: key(text),
                is_telling: is_telling(text) || is_type(text),
                common,
            });
        }
    }
    names
}

fn is_telling(word: &str) -> bool {
    let has_letters = word.chars().any(char::is_alphabetic);
    let mut humps = word.chars().zip(word.chars().skip(1));
    has_letters
        && (word.trim_matches('_').contains('_') || humps.any(|(one, two)| one.is_lowercase() && two.is_uppercase()))
}

/// `Pager`, where it is known to be an identifier.
fn is_type(word: &str) -> bool {
    word.starts_with(char::is_uppercase) && word.contains(char::is_lowercase)
}

/// Names that many files of any project have, and words of any task.
const EVERYWHERE: &str = "\
    test tests main index code file files line lines bug bugs util utils common helper helpers types init setup config \
    that this with from into when then what does have make must should keep passing please tool tools change update \
    create print write read return function class module name names value values error errors self result import \
    failing failed fails broken passes";
/// Words that are no part of a name.
const SMALL: &str = "the this that our your and for with from into when then not all every some any its are has should";
/// Returns whether mux may choose a file by itself: source text, below no hidden directory.
pub fn is_candidate(path: &str) -> bool {
    let (_, ending) = stem(path);
    let hidden = path.split('/').any(|part| part.starts_with('.') || part == "node_modules");
    !hidden && kin::is_code(ending) && !path.ends_with(".min.js")
}

/// A file that mux may choose by itself.
pub struct Source {
    pub path: String,
    /// Of its name, as [`Name::key`].
    key: String,
}

/// Returns those of a list of files that mux may choose, in its order. Made once: it takes as long as a ranking.
pub fn sources(paths: Vec<String>) -> Vec<Source> {
    let may = paths.into_iter().filter(|path| is_candidate(path));
    may.map(|path| Source { key: key(stem(&path).0), path }).collect()
}

/// Returns the indices of the files to look into, in the order of a scan that is bounded: those first whose path has a
/// part of a name in it, then the shallow ones. Files of one directory stay together.
pub fn scan_order(sources: &[Source], names: &[Name]) -> Vec<usize> {
    let parts: Vec<String> = names.iter().flat_map(|name| parts(&name.text)).collect();
    let keys = sources.iter().enumerate().map(|(index, Source { path, .. })| {
        let lower = path.to_lowercase();
        let is_unlikely = !parts.iter().any(|part| lower.contains(part.as_str()));
        (is_unlikely, path.matches('/').count(), path.as_str(), index)
    });
    sorted(keys.collect()).into_iter().map(|(.., index)| index).collect()
}

/// The words inside an identifier, lower case: `user`, `service`.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut was_lower = false;
    for char in name.chars() {
        if (char == '_' || was_lower && char.is_uppercase()) && parts.last().is_some_and(|part| !part.is_empty()) {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut().filter(|_| char != '_') {
            part.extend(char.to_lowercase());
        }
        was_lower = char.is_lowercase();
    }
    parts.retain(|part| part.len() >= SHORTEST_WORD);
    parts
}

/// Returns which of the names a text defines.
pub fn defined(text: &str, names: &[Name]) -> Defines {
    let bits = names
        .iter()
        .enumerate()
        .filter(|(_, name)| definition::stands_in(text, &name.text))
        .map(|(index, _)| 1 << index);
    Defines(bits.sum())
}

/// What is known before the ranking.
pub struct Known<'a> {
    /// Files that are shown already.
    pub shown: &'a [String],
    /// Files that are to be created.
    pub to_create: &'a [String],
    /// Whether tests help: they do where files change.
    pub tests: bool,
}

impl Known<'_> {
    fn shows(&self, path: &str) -> bool {
        self.shown.iter().any(|shown| shown == path)
    }
}

/// Ranks files by what the task says; `defines` goes with `sources`, and what it lacks defines nothing. The best first:
/// sources before tests, by points, beside a shown file, by what the task says first, by depth, by path; then the
/// tests of what is shown, to be
/// created or found. Files that nothing speaks for, and those that are shown already, are not in the list.
pub fn rank<'a>(sources: &'a [Source], defines: &[Defines], names: &[Name], known: &Known<'_>) -> Vec<(&'a str, Why)> {
    let all_defines = defines.iter().copied().chain(std::iter::repeat(Defines::default()));
    let files: Vec<File<'_>> =
        sources.iter().zip(all_defines).map(|(source, defines)| File { source, defines }).collect();
    // What too many files define, or are called, is passed over.
    let count = |speaks: &dyn Fn(&File<'_>) -> bool| files.iter().filter(|file| speaks(file)).count();
    let signs: Vec<Sign<'_>> = (0..)
        .zip(names)
        .map(|(index, name)| Sign {
            name,
            index,
            by_definition: count(&|file| file.defines.has(index)) <= name.common,
            by_name: count(&|file| file.source.key == name.key) <= name.common,
        })
        .collect();
    let mut ranked = Vec::new();
    for file in files.iter().filter(|file| !known.shows(&file.source.path)) {
        let path = file.source.path.as_str();
        let (points, first, best) = speak(file, &signs);
        if points > 0 {
            let is_far = !known.shown.iter().any(|shown| directory(shown) == directory(path));
            let depth = path.matches('/').count();
            ranked.push((is_test_file(path), Reverse(points), is_far, first, depth, path, best));
        }
    }
    // Where one file is surely meant, those that merely have a `parse` too are not.
    let surest = ranked.iter().map(|(_, Reverse(points), ..)| *points).max().unwrap_or(0);
    ranked.retain(|(_, Reverse(points), ..)| surest < SURE || *points >= SURE);
    let best = sorted(ranked).into_iter().filter_map(|(.., path, best)| Some((path, best?.1)));
    let list: Vec<(&str, Why)> = best.collect();
    with_tests(list, sources, known)
}

/// A file as the ranking sees it.
struct File<'a> {
    source: &'a Source,
    defines: Defines,
}

/// A name of the task, and what it may speak by.
struct Sign<'a> {
    name: &'a Name,
    index: usize,
    by_definition: bool,
    by_name: bool,
}

/// Returns the points of a file, the first name of the task that speaks for it, and its best reason with what that is
/// worth.
fn speak(file: &File<'_>, signs: &[Sign<'_>]) -> (u32, usize, Option<(u32, Why)>) {
    let (mut points, mut first) = (0, usize::MAX);
    let mut best: Option<(u32, Why)> = None;
    for Sign { name, index, by_definition, by_name } in signs {
        let (defining, called) = if name.is_telling { (60, 50) } else { (30, 20) };
        let reasons = [
            (*by_definition && file.defines.has(*index), defining, Why::Defines as fn(String) -> Why),
            (*by_name && file.source.key == name.key, called, Why::Called),
        ];
        for (_, worth, why) in reasons.into_iter().filter(|(holds, ..)| *holds) {
            points += worth;
            first = first.min(*index);
            if best.as_ref().is_none_or(|(most, _)| worth > *most) {
                best = Some((worth, why(name.text.clone())));
            }
        }
    }
    (points, first, best)
}

/// Adds the tests of what is found, shown or to be created, where tests help.
pub fn with_tests<'a>(mut list: Vec<(&'a str, Why)>, sources: &'a [Source], known: &Known<'_>) -> Vec<(&'a str, Why)> {
    if !known.tests {
        return list;
    }
    let tests: Vec<(&str, String)> =
        sources.iter().filter_map(|file| tested(&file.path).map(|key| (file.path.as_str(), key))).collect();
    let found: Vec<&str> = list.iter().map(|(path, _)| *path).collect();
    let named = known.shown.iter().chain(known.to_create).map(String::as_str);
    for source in named.chain(found).filter(|source| !is_test_file(source)) {
        let (name, ending) = stem(source);
        if kin::stands_for_directory(name) {
            continue;
        }
        let wanted = key(name);
        let of_it = tests.iter().filter(|(path, key)| *key == wanted && kin::is_same_language(stem(path).1, ending));
        let nearest = sorted(of_it.map(|(path, _)| (Reverse(shared_directories(path, source)), *path)).collect());
        for (_, path) in nearest.into_iter().take(MOST_TESTS) {
            if !known.shows(path) && !list.iter().any(|(listed, _)| *listed == path) {
                list.push((path, Why::Tests(source.to_string())));
            }
        }
    }
    list
}

/// Returns the tokens that found files may take of a window: what the named files, the task and the reply leave, and at
/// most half of it, since evidence of red tests and a diff come with later tries.
///
/// `needed` are the tokens of the named files and the task, `reply` is the longest reply; half the window is enough
/// for one.
pub fn room(window: u64, reply: u64, needed: u64) -> u64 {
    let left = window.saturating_sub(reply.min(window / 2) + needed + AROUND);
    left.min(window / 2).min(MOST_FOUND_TOKENS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::intent;

    fn texts(names: &[Name]) -> Vec<&str> {
        names.iter().map(|name| name.text.as_str()).collect()
    }

    #[test]
    fn identifiers_are_read_from_prose_and_not_from_file_names() {
        let check = |task: &str, want: &[&str]| {
            assert_eq!(texts(&identifiers(task, &intent::read(task, &[]))), want, "{task}");
        };
        check("Fix the null pointer bug in UserService and keep tests passing", &["UserService"]);
        check("Fix UserService.parse in user_service.py", &["UserService", "parse"]);
        check("rename `fetch` to load_all, see src/fetch_all.rs", &["fetch", "load_all"]);
        check("why is MAX_SIZE so small?\n```\nlet in_fence = 1;\n```", &["MAX_SIZE"]);
        check("explain the cache of 1_000 entries", &[]);
    }

    #[test]
    fn words_are_those_that_are_pointed_at() {
        let check = |task: &str, want: &[&str]| {
            assert_eq!(texts(&words(task, &intent::read(task, &[]))), want, "{task}");
        };
        check("Fix the bug in the pager so that tests of the pager.py pass", &["pager"]);
        check("Add docstrings in utils", &["docstrings", "utils"]);
        check("echo: accepts 8 bytes", &["echo", "accepts"]);
        check("In 2 sentences: what is a race condition?", &[]);
        let bar = ["ProgressBar", "progressBar", "progress_bar", "progress"];
        let want = [&["wrap"], &bar[..], &["Pager", "Python"]].concat();
        check("Fix wrap: the progress bar is off. Then check Pager, Python.", &want);
    }

    /// Paths with the identifiers that each defines, separated by blanks.
    #[track_caller]
    fn check_rank(task: &str, files: &[(&str, &str)], shown: &[&str], tests: bool, want: &[(&str, &str)]) {
        let intent = intent::read(task, &[]);
        let names = identifiers(task, &intent);
        let files: Vec<_> = files.iter().filter(|(path, _)| is_candidate(path)).collect();
        let paths: Vec<String> = files.iter().map(|(path, _)| path.to_string()).collect();
        let text_of = |defined: &str| defined.split(' ').flat_map(|name| ["class ", name, "\n"]).collect::<String>();
        let defines: Vec<_> = files.iter().map(|(_, names_of)| defined(&text_of(names_of), &names)).collect();
        let shown: Vec<String> = shown.iter().map(ToString::to_string).collect();
        let known = Known { shown: &shown, to_create: &intent.files, tests };
        let list = sources(paths.clone());
        let ranked: Vec<_> =
            rank(&list, &defines, &names, &known).into_iter().map(|(p, why)| (p, why.text())).collect();
        let ranked: Vec<_> = ranked.iter().map(|(path, why)| (*path, why.as_str())).collect();
        assert_eq!(ranked, want, "{task}");
        let backwards: (Vec<String>, Vec<Defines>) = paths.iter().cloned().zip(defines.iter().copied()).rev().unzip();
        let backwards = (sources(backwards.0), backwards.1);
        let again = rank(&backwards.0, &backwards.1, &names, &known);
        assert!(
            again.iter().map(|(path, _)| *path).eq(want.iter().map(|(path, _)| *path)),
            "the order of the list counts"
        );
    }

    #[test]
    fn definitions_lead_names_follow_and_tests_come_last() {
        let files = [
            ("docs/UserService.md", ""),
            ("app/services/user_service.py", "UserRepo"),
            ("app/core.py", "UserService"),
            ("app/other.py", "Other"),
            ("tests/test_user_service.py", "TestUserService"),
            ("tests/test_core.py", ""),
            (".hidden/user_service.py", "UserService"),
        ];
        let found =
            [("app/core.py", "defines `UserService`"), ("app/services/user_service.py", "called `UserService`")];
        let tests = [
            ("tests/test_core.py", "tests app/core.py"),
            ("tests/test_user_service.py", "tests app/services/user_service.py"),
        ];
        check_rank("What does UserService do?", &files, &[], false, &found);
        check_rank("Fix UserService", &files, &[], true, &[found, tests].concat());
    }

    #[test]
    fn a_sure_file_leaves_out_those_that_share_a_plain_name() {
        let files = [("a.py", "UserService"), ("b.py", "parse"), ("c/a.py", "Pager")];
        check_rank("Fix UserService.parse(x)", &files, &[], true, &[("a.py", "defines `UserService`")]);
        check_rank("Fix `Pager` and `parse`", &files, &[], true, &[("c/a.py", "defines `Pager`")]);
        check_rank("Fix parse(x)", &files, &[], true, &[("b.py", "defines `parse`")]);
    }

    #[test]
    fn ties_are_decided_by_neighbourhood_depth_and_path() {
        let files = [("b/x.rs", "load_all"), ("a/c/x.rs", "load_all"), ("z.rs", "load_all"), ("a/x.rs", "load_all")];
        let paths = |want: [&'static str; 4]| want.map(|path| (path, "defines `load_all`"));
        check_rank("fix load_all", &files, &[], false, &paths(["z.rs", "a/x.rs", "b/x.rs", "a/c/x.rs"]));
        check_rank("fix load_all", &files, &["b/y.rs"], false, &paths(["b/x.rs", "z.rs", "a/x.rs", "a/c/x.rs"]));
        check_rank("fix load_all", &files, &["z.rs"], false, &paths(["z.rs", "a/x.rs", "b/x.rs", "a/c/x.rs"])[1..]);
    }

    #[test]
    fn what_the_task_says_first_comes_first() {
        let files = [("a/errors.py", "BadName"), ("b/text.py", "valid_name")];
        let want = [("b/text.py", "defines `valid_name`"), ("a/errors.py", "defines `BadName`")];
        check_rank("Let valid_name raise BadName", &files, &[], true, &want);
    }

    #[test]
    fn what_everything_defines_says_nothing() {
        let names: Vec<String> = (0..=COMMON).map(|n| format!("f{n}.py")).collect();
        let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "load_all")).collect();
        check_rank("fix load_all", &files, &[], true, &[]);
        let want: Vec<_> = files[1..].iter().map(|(path, _)| (*path, "defines `load_all`")).collect();
        check_rank("fix load_all", &files[1..], &[], true, &want);
    }

    #[test]
    fn tests_are_known_by_their_names() {
        for (source, test) in [
            ("src/pager.py", "tests/test_pager.py"),
            ("pager.py", "pager_test.py"),
            ("net/x.go", "net/x_test.go"),
            ("src/x.ts", "src/__tests__/x.spec.ts"),
            ("src/x.tsx", "src/x.test.js"),
            ("src/pager.rs", "tests/pager.rs"),
            ("src/main/java/a/Pager.java", "src/test/java/a/PagerTest.java"),
        ] {
            check_rank("fix it", &[(source, ""), (test, "")], &[source], true, &[(test, &format!("tests {source}"))]);
            check_rank("why?", &[(source, ""), (test, "")], &[source], false, &[]);
        }
        check_rank("fix it", &[("a/mod.rs", ""), ("tests/mod.rs", "")], &["a/mod.rs"], true, &[]);
        check_rank("fix it", &[("x.py", ""), ("x_test.go", "")], &["x.py"], true, &[]);
        // The nearest two of many, also for a file that does not exist yet.
        let files = ["a/tests/test_x.py", "b/tests/test_x.py", "c/tests/test_x.py"].map(|path| (path, ""));
        let want = [("c/tests/test_x.py", "tests c/x.py"), ("a/tests/test_x.py", "tests c/x.py")];
        check_rank("create c/x.py", &files, &[], true, &want);
    }

    #[test]
    fn files_of_likely_directories_are_scanned_first() {
        let paths = ["a.py", "z/c.py", "z/service/b.py", "service.md"].map(String::from);
        let names = distinct(["UserService"].into_iter(), MOST_NAMES, COMMON);
        assert_eq!(scan_order(&sources(paths.into()), &names), [2, 0, 1]);
    }

    #[test]
    fn found_files_get_what_is_left_and_no_more_than_half() {
        for (window, reply, needed, want) in [
            (8192, 1200, 0, 4096),
            (8192, 6000, 3000, 8192 - 4096 - 3000 - AROUND),
            (2048, 6000, 1000, 0),
            (u64::MAX, u64::MAX, 0, MOST_FOUND_TOKENS),
        ] {
            assert_eq!(room(window, reply, needed), want, "{window} {reply} {needed}");
        }
    }
}
