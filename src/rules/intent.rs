//! What a task wants: its kind, its risk words, what it names. Pure, linear in the task, and no slicing inside
//! characters. What the text names is read in `named.rs`; here is the grammar of asking.
//!
//! **Verb first.** Every line is cut into sentences and clauses; the first clause that begins with a known verb or a
//! question word decides. Nothing is guessed from words inside a clause ("explain how to *create* a user" is an
//! answer), and what nothing decides is an answer, marked ambiguous: to answer a change costs one flag, to write
//! unasked costs trust.
//! Text in code fences and in backticks is matter, not wish.

use crate::rules::named::{self, Named};
use crate::rules::vocabulary::{
    ARTICLE, ASK, AUXILIARY, CHANGE, CJK_ANSWER, CJK_CHANGE, CJK_CREATE, CREATE, FILLER, LABELS, LEADS, LOOK,
    NOUN_FOLLOWS, PHRASE_ENDS, POLITE, POLITE_ABROAD, PROSE, PROSE_WRITTEN_BY, SET_UP, TELL, TOLD, WANTS, led_by,
    listed,
};
use crate::words::task::Kind;

/// What a task wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Never [`Kind::Undo`].
    pub kind: Kind,
    /// Nothing in the text decided, or two parts of it disagree; the kind is then `Answer`.
    pub ambiguous: bool,
    /// Absolute paths as written, `~/x` among them, in order. An endpoint (`/health`) looks the same: the caller, who
    /// can look at the disk, decides. None from code fences or stack traces.
    pub absolute: Vec<String>,
    /// Relative files and directories as written, in order, without places such as `:12`. Existing or not.
    pub files: Vec<String>,
    /// The verb makes something new.
    pub creates: bool,
    /// The relative directory that a task wants new files in ("create … in tools/report").
    pub prefix: Option<String>,
    /// The given risk words that occur, in the order they were given.
    pub risk_words: Vec<String>,
    /// Identifiers in backticks, before a `(`, in `CamelCase` or in `snake_case`, in order.
    pub ident: Vec<String>,
}

/// Reads a task. `risk_words` is `router.complexity_keywords`.
pub fn read(task: &str, risk_words: &[String]) -> Intent {
    let wish = wish(task);
    let creates = wish == Wish::Change { creates: true };
    let mut intent = Intent {
        kind: if matches!(wish, Wish::Change { .. }) { Kind::Change } else { Kind::Answer },
        ambiguous: matches!(wish, Wish::Unknown | Wish::Mixed),
        absolute: Vec::new(),
        files: Vec::new(),
        creates,
        prefix: None,
        risk_words: found_risk_words(task, risk_words),
        ident: Vec::new(),
    };
    for named in named::read(task) {
        match named {
            Named::Absolute(path) => intent.absolute.push(path),
            Named::Place(path) if creates && intent.prefix.is_none() => intent.prefix = Some(path),
            Named::File(path) | Named::Place(path) => intent.files.push(path),
            Named::Identifier(name) => intent.ident.push(name),
        }
    }
    intent
}

/// What the sentences seen so far ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Unknown,
    Answer,
    /// `creates`: the verb makes something new, so that a directory in the text is where it goes.
    Change {
        creates: bool,
    },
    /// An answer, and on a line of its own what reads like a change.
    Mixed,
}

fn wish(task: &str) -> Wish {
    let prose: Vec<&str> = named::lines(task).filter_map(|(line, fenced)| (!fenced).then_some(line)).collect();
    let only_code = prose.iter().all(|line| line.trim().is_empty());
    let lines = if only_code { task.lines().collect() } else { prose };
    let mut wish = Wish::Unknown;
    for line in lines {
        if forbids_changes(line) {
            return Wish::Answer;
        }
        let here = if named::is_cjk(line) { cjk_wish(line) } else { line_wish(line) };
        wish = match (wish, here) {
            (Wish::Unknown, here) => here,
            (Wish::Answer, Wish::Change { .. }) => Wish::Mixed,
            (before, _) => before,
        };
    }
    wish
}

/// Returns whether the text says that nothing may be written. "Do not modify any *other* files" does not.
fn forbids_changes(line: &str) -> bool {
    let line = line.to_lowercase().replace('’', "'");
    let ban = |at: &str| {
        let object = ["any files", "anything", "files", "any code", "code", "the code", "any file", "the files"];
        let Some(end) = object.iter().filter(|object| at.starts_with(**object)).map(|object| object.len()).max() else {
            return false;
        };
        at.get(end..).is_some_and(|rest| rest.trim_start().chars().next().is_none_or(|next| ".,;:!)".contains(next)))
    };
    ["don't ", "do not ", "without ", "never "].iter().any(|no| {
        line.match_indices(no).any(|(at, _)| {
            let rest = line.get(at + no.len()..).unwrap_or_default();
            let (verb, object) = rest.split_once(' ').unwrap_or((rest, ""));
            listed("change changing modify modifying edit editing touch touching write writing", verb) && ban(object)
        })
    }) || ["不要修改", "不要改动", "不修改", "変更しないで", "修正しないで"].iter().any(|no| line.contains(no))
}

/// Decides a line in a language that puts spaces between words.
fn line_wish(line: &str) -> Wish {
    let mut first: Option<Lean> = None;
    for sentence in sentences(line) {
        for clause in &sentence.clauses {
            match (first, lean(clause, sentence.asks)) {
                (None, found) => first = found,
                (Some(Lean::Look), Some(change @ Lean::Change { .. })) if named_object(clause) => first = Some(change),
                (Some(Lean::Tell), Some(change @ Lean::Change { .. })) if says_then(clause) => first = Some(change),
                (Some(_), _) => {}
            }
            if let Some(change) = first.and_then(|lean| joined_change(clause, lean)) {
                first = Some(change);
            }
        }
        if first.is_none() && sentence.asks {
            first = Some(Lean::Tell);
        }
    }
    match first {
        None => Wish::Unknown,
        Some(Lean::Change { creates }) => Wish::Change { creates },
        Some(Lean::Look | Lean::Tell) => Wish::Answer,
    }
}

/// How one clause leans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lean {
    Change {
        creates: bool,
    },
    /// An answer that may end in a change: "review it and fix what you find".
    Look,
    Tell,
}

struct Sentence {
    /// Lower-case words, with bare punctuation and Markdown marks taken off; at least one clause, none empty.
    clauses: Vec<Vec<String>>,
    /// Whether it ends in a question mark.
    asks: bool,
}

/// More words than this of one clause decide nothing that fewer would not.
const CLAUSE_WORDS: usize = 40;

fn sentences(line: &str) -> Vec<Sentence> {
    let mut sentences = Vec::new();
    let mut clauses: Vec<Vec<String>> = Vec::new();
    let mut clause: Vec<String> = Vec::new();
    let mut in_code = false;
    let mut asks = false;
    for raw in line.split_whitespace() {
        let was_in_code = in_code;
        in_code ^= raw.matches('`').count() % 2 == 1;
        let bare = raw.trim_end_matches(['"', '\'', ')', ']', '*', '_', '”', '’', '»']);
        let word = bare.trim_start_matches(['"', '\'', '(', '[', '*', '_', '“', '‘', '«', '¿', '¡', '#', '>', '•']);
        let word = word.trim_end_matches(['.', ',', ';', ':', '!', '?', '…']);
        let is_mark = word.chars().all(|char| !char.is_alphanumeric() && char != '`');
        let is_dash = is_mark && bare.chars().all(|char| matches!(char, '-' | '—' | '–' | '*' | '+'));
        if !is_mark && clause.len() < CLAUSE_WORDS && !is_list_number(bare) {
            clause.push(if was_in_code || word.contains('`') { "`".to_string() } else { plain(word) });
        }
        let ends = bare.ends_with(['.', '!', '?', '…']) && !is_abbreviation(bare);
        if (ends || is_dash || bare.ends_with([',', ';', ':'])) && !clause.is_empty() {
            clauses.push(std::mem::take(&mut clause));
        }
        asks = bare.ends_with('?');
        if ends && !clauses.is_empty() {
            sentences.push(Sentence { clauses: std::mem::take(&mut clauses), asks });
        }
    }
    if !clause.is_empty() {
        clauses.push(clause);
    }
    if !clauses.is_empty() {
        sentences.push(Sentence { clauses, asks });
    }
    sentences
}

fn plain(word: &str) -> String {
    word.to_lowercase().replace('’', "'")
}

fn is_list_number(word: &str) -> bool {
    word.strip_suffix(['.', ')']).is_some_and(|number| number.len() < 4 && number.bytes().all(|b| b.is_ascii_digit()))
}

/// `e.g.`, `vs.`: a full stop that ends no sentence.
fn is_abbreviation(word: &str) -> bool {
    let word = word.trim_start_matches(['(', '"']).to_lowercase();
    listed("e.g. i.e. etc. vs. cf. approx. z.b. d.h. bzw.", &word)
}

/// Decides how a clause leans by its first words; `None` when they say nothing.
fn lean(clause: &[String], asks: bool) -> Option<Lean> {
    let words: Vec<&str> = clause.iter().map(String::as_str).collect();
    let mut words = words.as_slice();
    let mut is_polite = false;
    loop {
        let fillers = words.iter().take_while(|word| listed(FILLER, word)).count();
        words = words.get(fillers..).unwrap_or_default();
        if let Some(behind) = led_by(LEADS, words) {
            words = behind;
        } else if let Some(behind) = led_by(POLITE, words) {
            (words, is_polite) = (behind, true);
        } else {
            break;
        }
    }
    if let Some(words) = led_by(POLITE_ABROAD, words) {
        let verb = words.iter().rev().take(4).chain(words.first()).find_map(|word| verb_lean(word));
        return verb.or(Some(Lean::Tell));
    }
    if let Some(words) = led_by(WANTS, words) {
        return wanted_thing(words);
    }
    let first = words.first().copied().unwrap_or_default();
    let found = if listed(ASK, first) || led_by(TOLD, words).is_some() || asks && !is_polite && listed(AUXILIARY, first)
    {
        Some(Lean::Tell)
    } else if led_by(SET_UP, words).is_some() {
        Some(Lean::Change { creates: true })
    } else if led_by("get rid of", words).is_some() || words.len() == 1 && listed(LABELS, first) {
        Some(Lean::Change { creates: false })
    } else {
        match words {
            ["in" | "inside" | "on" | "at" | "for" | "to", place, rest @ ..] if is_path_like(place) => imperative(rest),
            _ => imperative(words),
        }
    };
    found.or_else(|| if is_polite { gerund_lean(first).or(Some(Lean::Tell)) } else { None })
}

fn is_path_like(word: &str) -> bool {
    word == "`" || word.contains(['/', '.'])
}

/// "I need a script that …" asks for the script; "I want an explanation" for words.
fn wanted_thing(words: &[&str]) -> Option<Lean> {
    let first = words.first()?;
    if is_prose(words) {
        return Some(Lean::Tell);
    }
    (listed("a an some", first) && !listed("help way hint", words.get(1).copied().unwrap_or_default()))
        .then_some(Lean::Change { creates: true })
}

fn imperative(words: &[&str]) -> Option<Lean> {
    let (verb, rest) = words.split_first()?;
    // "Summary of the design", "a short overview of src".
    if listed(PROSE, verb) && rest.first().is_some_and(|word| listed(PHRASE_ENDS, word))
        || listed("a an the short quick brief", verb) && is_prose(words)
    {
        return Some(Lean::Tell);
    }
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    if rest.first().is_some_and(|next| listed(NOUN_FOLLOWS, next) || *verb == "port" && is_number(next)) {
        return None;
    }
    if listed(PROSE_WRITTEN_BY, verb) && is_prose(rest) {
        return Some(if goes_to_a_file(rest) { Lean::Change { creates: true } } else { Lean::Tell });
    }
    if *verb == "translate" {
        return rest.iter().any(|word| is_path_like(word)).then_some(Lean::Change { creates: false });
    }
    verb_lean(verb)
}

/// "Would you mind *fixing* it".
fn gerund_lean(verb: &str) -> Option<Lean> {
    let stem = verb.strip_suffix("ing")?;
    verb_lean(stem).or_else(|| verb_lean(&format!("{stem}e")))
}

fn verb_lean(verb: &str) -> Option<Lean> {
    if listed(CREATE, verb) {
        Some(Lean::Change { creates: true })
    } else if listed(CHANGE, verb) {
        Some(Lean::Change { creates: false })
    } else if listed(LOOK, verb) {
        Some(Lean::Look)
    } else {
        listed(TELL, verb).then_some(Lean::Tell)
    }
}

/// Returns whether the first noun phrase names prose: its last word counts, so that a "report generator" is a program.
fn is_prose(words: &[&str]) -> bool {
    let phrase: Vec<&str> = words.iter().copied().take_while(|word| !listed(PHRASE_ENDS, word)).collect();
    let next = words.get(phrase.len()).copied().unwrap_or_default();
    match phrase.as_slice() {
        [.., "commit", "message"] => true,
        [.., kind, "list" | "report"] => listed("of on about", next) && !listed("linked sorted", kind),
        _ => phrase.last().is_some_and(|head| listed(PROSE, head)),
    }
}

/// "… to docs/summary.md" is written; "a summary of main.py" is told.
fn goes_to_a_file(words: &[&str]) -> bool {
    let mut about = false;
    words.windows(2).any(|pair| match pair {
        ["to" | "into" | "as" | "called" | "named", file] => is_path_like(file),
        ["in", file] => !about && is_path_like(file),
        [word, _] => {
            about |= listed("of about for on", word);
            false
        }
        _ => false,
    })
}

/// Returns whether a later clause has a real object ("fix the bugs"), so that it is not one more item of a list.
fn named_object(clause: &[String]) -> bool {
    let mut words = clause.iter().map(String::as_str).skip_while(|word| listed(FILLER, word));
    words.nth(1).is_some_and(|object| listed(ARTICLE, object))
}

fn says_then(clause: &[String]) -> bool {
    clause.iter().take(2).any(|word| word == "then") && named_object(clause)
}

/// Finds "… and fix it" behind an answer's verb in the same clause.
fn joined_change(clause: &[String], before: Lean) -> Option<Lean> {
    let has = |list: &str| clause.iter().any(|word| listed(list, word));
    let asked_how = clause.windows(2).any(|pair| matches!(pair, [how, to] if how == "how" && to == "to"));
    match before {
        Lean::Change { .. } => return None,
        Lean::Tell if has(ASK) || has("to") => return None,
        Lean::Look if asked_how => return None,
        Lean::Tell | Lean::Look => {}
    }
    let found = clause.iter().enumerate().find_map(|(at, and)| {
        let rest: Vec<&str> = clause.get(at + 1..)?.iter().map(String::as_str).collect();
        let fillers = rest.iter().take_while(|word| listed(FILLER, word)).count();
        let rest = rest.get(fillers..)?;
        let object = rest.get(1)?;
        // Right after the first verb, "investigate and fix flaky tests", any object will do.
        let adjacent = at == 1 && before == Lean::Look && !listed(NOUN_FOLLOWS, object);
        let pronoun = listed("it them this that", object);
        let joins = adjacent || pronoun || before == Lean::Look && listed(ARTICLE, object);
        (and == "and" && joins).then(|| imperative(rest)).flatten()
    })?;
    matches!(found, Lean::Change { .. }).then_some(found)
}

/// Decides a line in Chinese, Japanese or Korean: no spaces, so known words are looked for. Chinese puts its verb
/// first, Japanese and Korean last.
fn cjk_wish(line: &str) -> Wish {
    let verb_last = line.chars().any(|char| matches!(char, '\u{3040}'..='\u{30ff}' | '\u{ac00}'..='\u{d7af}'));
    let place = |words: &str| {
        let places = words.split(' ').filter_map(|word| if verb_last { line.rfind(word) } else { line.find(word) });
        if verb_last { places.max() } else { places.min() }
    };
    let wins = |place: Option<usize>, other: Option<usize>| match (place, other) {
        (Some(place), Some(other)) => (place > other) == verb_last,
        (place, _) => place.is_some(),
    };
    let (change, create, answer) = (place(CJK_CHANGE), place(CJK_CREATE), place(CJK_ANSWER));
    let asked_for = ["ください", "下さい", "もらえ", "くれ", "いただけ", "て。", "주세요", "줘"];
    let asks = line.trim_end().ends_with(['?', '？']) && verb_last && !asked_for.iter().any(|word| line.contains(word));
    let prose = ["写一个解释", "写一份说明", "写一份总结", "写一个总结", "写一篇总结", "写一段", "写一首", "写个总结"];
    if asks || prose.iter().any(|word| line.contains(word)) {
        return Wish::Answer;
    }
    let changes = if verb_last { change.max(create) } else { change.into_iter().chain(create).min() };
    if wins(changes, answer) {
        return Wish::Change { creates: wins(create, change) };
    }
    if answer.is_some() || line.trim_end().ends_with(['?', '？', '吗', '呢']) {
        return Wish::Answer;
    }
    line_wish(line)
}

/// Returns the risk words that stand in the text, not inside a longer ASCII word: *grouping* has no *ping*;
/// `multi-file` and words without ASCII letters match as they are.
fn found_risk_words(task: &str, risk_words: &[String]) -> Vec<String> {
    let task = task.to_lowercase();
    let is_letter = |char: Option<char>| char.is_some_and(|char| char.is_ascii_alphabetic());
    let stands_free = |word: &str, at: usize| {
        let (before, after) = (task.get(..at).unwrap_or_default(), task.get(at + word.len()..).unwrap_or_default());
        let joined_left = is_letter(word.chars().next()) && is_letter(before.chars().next_back());
        let joined_right = is_letter(word.chars().next_back()) && is_letter(after.chars().next());
        !joined_left && !joined_right
    };
    let occurs = |word: &str| !word.is_empty() && task.match_indices(word).any(|(at, _)| stands_free(word, at));
    let mut found: Vec<String> = Vec::new();
    for word in risk_words {
        if occurs(word.trim().to_lowercase().as_str()) && !found.contains(word) {
            found.push(word.clone());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` creates, `~` changes, `?` answers, `-` decides nothing, `±` is of two minds.
    #[track_caller]
    fn check(want: char, task: &str) {
        let got = match wish(task) {
            Wish::Change { creates: true } => '+',
            Wish::Change { creates: false } => '~',
            Wish::Answer => '?',
            Wish::Unknown => '-',
            Wish::Mixed => '±',
        };
        assert_eq!(got, want, "{task:?}\n{:?}", sentences(task).iter().map(|s| &s.clauses).collect::<Vec<_>>());
    }

    #[test]
    fn the_verb_decides() {
        check('~', "Fix the JWT validation bug in auth/middleware.py");
        check('+', "Create a Python CLI project in /tmp/my-app");
        check('+', "add tests for the parser");
        check('+', "Build a small HTTP server in Go");
        check('+', "Scaffold a React component");
        check('+', "Add 3 unit tests for pager.rs");
        check('+', "Implement LRU eviction in cache.rs");
        check('+', "Write a function that reverses a string");
        check('~', "Rename `fetch` to `load` everywhere");
        check('~', "extract the retry loop into its own function");
        check('~', "Move src/a.py to src/b.py");
        check('~', "Update the README with the new flags");
        check('~', "Port this module to Rust");
        check('~', "Delete the unused imports");
        check('~', "Refactor UserService for readability");
        check('~', "Speed up the tests without using mocks");
        check('~', "REMOVE the debug prints");
        check('~', "Replace all uses of os.path with pathlib");
        check('~', "Get rid of the global state");
        check('+', "Set up a pre-commit configuration");
        check('~', "fix(auth): handle expired tokens");
        check('~', "fix: off-by-one in pager");
        check('~', "Use dataclasses in models.py");
        check('?', "Explain how the build works");
        check('?', "explain what src/main.rs does");
        check('?', "Review the changes in auth/middleware.py");
        check('?', "Compare add and remove");
        check('?', "Compare create and update endpoints");
        check('?', "Discuss the trade-offs of adding a cache");
        check('?', "Investigate the flaky test in ci");
        check('?', "Summarise the last release");
        check('?', "Propose a schema for orders");
        check('?', "List all functions that write files");
        check('?', "Suggest how to fix the bug");
        check('?', "Describe the steps to create a user and delete it");
    }

    #[test]
    fn a_question_is_an_answer_even_with_a_path() {
        check('?', "Why does src/parser.rs fail on empty input?");
        check('?', "how do I add a flag to cli.py");
        check('?', "What would break if I delete config.yaml?");
        check('?', "Is the lock in sys/lane.rs fair?");
        check('?', "Should we refactor the parser?");
        check('?', "Does create_user() validate emails?");
        check('?', "Can I remove this line?");
        check('?', "The build is slow, why?");
        check('?', "main.py is too slow, any ideas?");
        check('?', "Where is the retry implemented?");
        check('?', "What's the difference between add and append?");
        check('?', "How to fix a detached HEAD");
        check('?', "\"Why is the sky blue?\"");
    }

    #[test]
    fn a_polite_request_is_what_it_asks_for() {
        check('~', "Can you fix the login bug?");
        check('+', "please add a --json flag");
        check('+', "Could you create a Dockerfile for this?");
        check('~', "Could you please rename the module?");
        check('~', "Would you mind fixing the typo in README.md?");
        check('+', "Would you mind writing a test for it?");
        check('?', "Can you explain the retry logic?");
        check('?', "could you tell me how to create a migration?");
        check('?', "Can you see the problem?");
        check('~', "I want you to fix the failing test");
        check('+', "I'd like to add a dark mode");
        check('?', "I want to understand how add_user works");
        check('+', "I need a script that counts lines");
        check('?', "I want a summary of the design");
        check('+', "Let's add a health endpoint");
        check('~', "Help me fix the parser");
        check('?', "help me understand this code");
        check('~', "Go ahead and delete the old module");
        check('+', "Hi! Please just add a license file, thanks");
        check('?', "Give me a list of endpoints");
        check('?', "Let me know what you think");
    }

    #[test]
    fn prose_is_told_unless_a_file_is_named() {
        check('?', "Write an explanation of the borrow checker");
        check('?', "write a summary of main.py");
        check('?', "Write a short one-paragraph overview of src");
        check('?', "Create a list of all endpoints");
        check('?', "Draft a commit message for the staged diff");
        check('?', "Generate a detailed comparison of A and B");
        check('?', "Do a review of auth.py");
        check('?', "Summary of the design");
        check('?', "A brief overview of the crate");
        check('+', "Write a summary of the project to docs/summary.md");
        check('+', "Write a linked list in C");
        check('+', "Create a report generator");
        check('+', "Create a list component");
        check('+', "Write documentation for the config module");
        check('~', "Translate the comments in app.py to English");
        check('-', "Translate this sentence to German");
    }

    #[test]
    fn what_follows_an_answer_can_turn_it_into_a_change() {
        check('~', "Investigate and fix flaky tests");
        check('~', "Review the module and fix any bugs you find");
        check('~', "Explain the bug and fix it");
        check('~', "Find out why test_login fails, then fix it");
        check('~', "Investigate why the suite is red and fix it");
        check('~', "Run the tests and fix the failures");
        check('?', "Analyze main.py and write a report on it");
        check('?', "Explain how to create a table and delete it");
        check('?', "Check how to update the lock file and rename it");
        check('±', "Explain this commit message:\n\nAdd retry to the client");
        check('±', "Why does it fail?\n\nFix the parser.");
        check('~', "Fix the parser.\nWhy did it fail?");
    }

    #[test]
    fn a_later_clause_or_line_decides_when_the_first_says_nothing() {
        check('~', "The login page crashes on empty input. Fix it.");
        check('~', "When the list is empty, the app crashes; please fix");
        check('+', "Using only the standard library, write a JSON parser");
        check('~', "In src/auth.py, replace md5 with sha256");
        check('~', "In src/auth.py replace md5 with sha256");
        check('~', "Task: Fix the off-by-one");
        check('+', "Context: we use axum.\n\n- Add a /health route\n- return 200");
        check('~', "1. Rename the module\n2. Update imports");
        check('~', "## Fix the pager");
        check('~', "**Fix** the pager");
        check('~', "There is a bug in pager.rs: fix it");
        check('?', "TypeError: x is undefined\n  at foo.js:3\nwhat is wrong?");
        check('~', "Fix this:\n```python\nwhy = 1\n```");
        check('?', "Explain this:\n```\nfix the bug\nadd a test\n```");
        check('~', "```\nFix the bug\n```");
    }

    #[test]
    fn what_nothing_decides_is_ambiguous() {
        let tasks = [
            "",
            "   \n ",
            "- - -",
            "auth/middleware.py JWT bug",
            "the tests fail",
            "Build fails with E0502",
            "Support for YAML is missing",
            "`add` crashes",
            "add(1, 2) returns 4",
            "Port 8080 is already in use",
            "dark mode",
        ];
        for task in tasks {
            check('-', task);
            let intent = read(task, &[]);
            assert_eq!((intent.kind, intent.ambiguous), (Kind::Answer, true), "{task:?}");
        }
    }

    #[test]
    fn a_ban_on_changes_wins() {
        check('?', "Fix nothing yet, do not change any files, just look");
        check('?', "Improve the parser without modifying any code.");
        check('?', "Refactor ideas for x.py. Don't edit anything!");
        check('~', "Fix the bug without changing the API");
        check('~', "Fix a.py. Do not modify any other files.");
        check('~', "Fix the parser but don't touch the tests");
    }

    #[test]
    fn other_languages_are_decided_too() {
        check('~', "修复登录页面的错误");
        check('+', "请创建一个 Python 命令行工具");
        check('+', "用 Rust 写一个 JSON 解析器");
        check('~', "能不能修复 auth.py 里的 bug？");
        check('?', "为什么测试失败？");
        check('?', "解释一下如何添加用户");
        check('?', "如何修复这个错误");
        check('?', "写一份说明");
        check('?', "这个函数有问题吗？");
        check('+', "添加注释解释算法");
        check('~', "ログイン画面のバグを修正してください");
        check('+', "テストを追加して");
        check('+', "設定ファイルを作成してもらえますか？");
        check('?', "このコードを説明してください");
        check('?', "なぜテストが失敗するのか教えて");
        check('?', "テストを追加する方法を説明して");
        check('~', "エラーの原因を調査して修正してください");
        check('?', "修正方法は？");
        check('~', "로그인 버그를 수정해 주세요");
        check('?', "이 코드를 설명해 주세요");
        check('~', "Behebe den Fehler in app.py");
        check('+', "Erstelle bitte eine Klasse für Rechnungen");
        check('~', "Kannst du den Fehler beheben?");
        check('?', "Kannst du den Fehler erklären?");
        check('?', "Erkläre, wie der Bau funktioniert");
        check('?', "Warum schlägt der Test fehl?");
        check('~', "Corrige le bug dans app.py");
        check('?', "Explique le fonctionnement du cache");
        check('+', "Crea una función que sume dos números");
        check('?', "¿Por qué falla la prueba?");
        check('-', "Ошибка в модуле");
    }

    #[test]
    fn risk_words_stand_at_letter_boundaries() {
        let check = |words: &[&str], task: &str, want: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            assert_eq!(read(task, &words).risk_words, want, "{task:?}");
        };
        check(&["ping"], "fix the grouping, helping nobody", &[]);
        check(&["ping"], "Ping the server", &["ping"]);
        check(&["ping"], "ping_timeout is 3", &["ping"]);
        check(&["multi-file"], "a multi-file change", &["multi-file"]);
        check(&["multi-file"], "multi file", &[]);
        check(&["refactor", "security"], "Security: REFACTOR the SECURITY layer", &["refactor", "security"]);
        check(&["refactor"], "refactoring", &[]);
        check(&["重构"], "请重构模块ABC重构", &["重构"]);
        check(&["架构", "race"], "讨论架构,race!", &["架构", "race"]);
        check(&["", " ", "a"], "bab", &[]);
        check(&["İ", "ß"], "Straße İ", &["İ", "ß"]);
    }

    #[test]
    fn a_create_task_with_a_directory_wants_its_files_there() {
        let check = |task: &str, prefix: Option<&str>, files: &[&str]| {
            let intent = read(task, &[]);
            assert_eq!(
                (intent.prefix.as_deref(), intent.files.as_slice()),
                (prefix, &files.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
                "{task:?}"
            );
        };
        check("Create a CLI in tools/report", Some("tools/report"), &[]);
        check("Create a CLI `main.py` in tools/report.", Some("tools/report"), &["main.py"]);
        check("Add a helper in the scripts directory", Some("scripts"), &[]);
        check("Scaffold an app in a new folder called demo", Some("demo"), &[]);
        check("Build it in `out/web`", Some("out/web"), &[]);
        check("Write a parser in src/", Some("src"), &[]);
        check("Write a test in tests/test_a.py", None, &["tests/test_a.py"]);
        check("Create a CLI in Python", None, &[]);
        check("Create it in the current directory", None, &[]);
        check("Add retry in read/write mode", None, &[]);
        check("Fix the crash in src/auth", None, &["src/auth"]);
        check("Explain the code in src/auth", None, &["src/auth"]);
        check("Create x.py in ../other", Some("../other"), &["x.py"]);
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        let pieces = [
            "修",
            "\u{0}",
            "`",
            "'",
            "/",
            "~",
            "é",
            ":12",
            "```\n",
            "👩‍👩‍👧",
            "\r\n",
            "don't change ",
            "a.py",
            "“",
            "\u{301}",
            "?",
        ];
        let mut seed = 7_u32;
        for _ in 0..3000 {
            let mut task = String::new();
            for _ in 0..12 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                task.push_str(pieces[(seed >> 16) as usize % pieces.len()]);
            }
            let intent = read(&task, &["修".to_string()]);
            assert_eq!(intent.risk_words.is_empty(), !task.contains('修'), "{task:?}");
        }
        let long = "word/word.py `x_y` ".repeat(60_000) + "\nfix it";
        assert_eq!(read(&long, &[]).kind, Kind::Change);
    }
}
