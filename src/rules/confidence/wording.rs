//! What the words of an answer say about it: refusals, hedges, loops, ends in the middle. Pure; table lookups, no model.

use crate::rules::numbers::count;
use crate::rules::sorted::sorted;

/// Whether the last line stops in the middle: at a comma, a colon, a conjunction.
pub fn trails_off(text: &str) -> bool {
    let text = text.trim_end();
    let last = text.rsplit(char::is_whitespace).next().unwrap_or_default();
    text.ends_with([',', ':', '(', '，', '：', '、'])
        || matches!(last, "and" | "or" | "the" | "a" | "to" | "of" | "with")
}

/// Whether the first sentences decline the task. `prose` is in lower case.
pub fn declines(prose: &str) -> bool {
    let start: String = prose.trim_start().chars().take(160).collect();
    let begins = ["i'm sorry", "i am sorry", "sorry,", "sorry, but", "i can't", "i cannot", "i can not", "as an ai"];
    let says = [
        "i'm unable to",
        "i am unable to",
        "i'm not able to",
        "i am not able to",
        "i cannot help",
        "i can't help",
        "i cannot assist",
        "i can't assist",
        "i cannot provide",
        "i can't provide",
        "as an ai language model",
        "i don't have access",
        "i do not have access",
        "无法提供",
        "抱歉",
        "对不起",
        "申し訳",
        "できません",
        "tut mir leid",
        "je suis désolé",
        "lo siento",
    ];
    begins.iter().any(|phrase| start.starts_with(phrase)) || says.iter().any(|phrase| start.contains(phrase))
}

/// Returns how much a text hedges, 0 to 10: 1 for a plain statement of not knowing, else mild hedges for each 40 words.
/// `prose` is in lower case.
pub fn hedges(prose: &str, n_words: usize) -> f64 {
    let strong = [
        "i'm not sure",
        "i am not sure",
        "i'm not certain",
        "i am not certain",
        "i don't know",
        "i do not know",
        "hard to say without",
        "without more context",
        "without seeing the",
        "please provide more",
        "could you provide",
        "can you provide",
        "could you clarify",
        "need more information",
        "i can only guess",
        "i would guess",
    ];
    let mild = ["probably", "perhaps", "maybe", "i think", "i guess", "i believe", "possibly", "it seems"];
    // One pass: a search for each of them through the whole text is a third of what a score costs. They are looked at
    // where a word begins with the first two bytes of some of them.
    let all = || strong.iter().chain(&mild).map(|phrase| phrase.as_bytes());
    let set = |at: usize| all().filter_map(|phrase| phrase.get(at)).fold(0_u128, |set, byte| set | 1 << (byte & 127));
    let (firsts, seconds) = (set(0), set(1));
    let is_in = |set: u128, byte: u8| byte < 128 && set >> byte & 1 == 1;
    let (mut n_strong, mut n_mild, mut before) = (0, 0, b' ');
    for (at, pair) in prose.as_bytes().windows(2).enumerate() {
        let (first, second) = (pair.first().copied().unwrap_or(0), pair.last().copied().unwrap_or(0));
        if !before.is_ascii_alphanumeric() && is_in(firsts, first) && is_in(seconds, second) {
            let rest = prose.get(at..).unwrap_or_default();
            let begins = |phrases: &[&str]| phrases.iter().filter(|phrase| rest.starts_with(**phrase)).count();
            n_strong += begins(&strong);
            n_mild += begins(&mild);
        }
        before = first;
    }
    f64::min(count(n_strong) + 40.0 * count(n_mild) / count(n_words.max(120)), 10.0)
}

/// Returns the share of runs of six words that have occurred before: a loop is near 1, a long good answer below 0.1.
pub fn repetition(words: &[&str]) -> f64 {
    const RUN: usize = 6;
    if words.len() < 4 * RUN {
        return 0.0;
    }
    // FNV-1a: stable over runs, unlike the hasher of std.
    let hash = |run: &[&str]| {
        let bytes = run.iter().flat_map(|word| word.bytes().chain([b' ']));
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    };
    let mut runs: Vec<u64> = words.windows(RUN).map(hash).collect();
    let all = runs.len();
    runs = sorted(runs);
    runs.dedup();
    count(all - runs.len()) / count(all)
}

/// Returns the share, 0 to 1, of the names that a task sets in backticks which the reply uses too; `None` where it sets
/// none. An answer about something else has none of them.
pub fn fit(task: &str, reply: &str) -> Option<f64> {
    let names = || task.split('`').skip(1).step_by(2).map(str::trim).filter(|name| (1..80).contains(&name.len()));
    let n = names().count();
    (n > 0).then(|| count(names().filter(|name| reply.contains(name)).count()) / count(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_in_the_middle_is_seen() {
        for (text, expected) in [
            ("Here is how:", true),
            ("It reads the file and\n", true),
            ("因为，", true),
            ("It ends.", false),
            ("It returns 4", false),
            ("", false),
        ] {
            assert_eq!(trails_off(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_refusal_stands_at_the_start() {
        for (text, expected) in [
            ("i'm sorry, but i can't help with that.", true),
            ("抱歉，我不能回答。", true),
            ("it prints \"sorry\" when the page is missing.", false),
            ("use `git stash`; i cannot stress this enough.", false),
        ] {
            assert_eq!(declines(text), expected, "{text:?}");
        }
    }

    #[test]
    fn hedges_are_counted_for_each_forty_words() {
        let near = |text: &str, expected: f64| {
            let value = hedges(text, text.split_whitespace().count());
            assert!((value - expected).abs() < 0.01, "{text:?}: {value}");
        };
        near("it waits for the lock.", 0.0);
        near("i'm not sure.", 1.0);
        near("perhaps it waits.", 40.0 / 120.0);
        near(&"i don't know ".repeat(20), 10.0);
        near("it is improbably (maybe) \"perhaps\", probably.", 3.0 * 40.0 / 120.0);
    }

    #[test]
    fn a_loop_repeats_its_runs_of_words() {
        let of = |text: &str| repetition(&text.split_whitespace().collect::<Vec<_>>());
        assert!(of(&"it loops and it loops again and ".repeat(30)) > 0.9);
        assert!(of("too short to loop too short to loop") < 1e-9);
        let counted: Vec<String> = (0..100).map(|n| format!("word{n}")).collect();
        assert!(of(&counted.join(" ")) < 1e-9);
    }

    #[test]
    fn an_answer_uses_the_names_of_its_task() {
        for (task, reply, expected) in [
            ("What does `git stash` do?", "`git stash` puts changes aside.", Some(1.0)),
            ("How do `a` and `bee` differ?", "One is short, bee is not.", Some(0.5)),
            ("What is a mutex?", "A lock.", None),
            ("an `open tick", "x", Some(0.0)),
        ] {
            let fit = fit(task, reply);
            assert_eq!(fit.map(|fit| (fit * 100.0).round()), expected.map(|fit: f64| fit * 100.0), "{task:?}");
        }
    }
}
