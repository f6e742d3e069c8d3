//! In which form a model is asked for a change: whole files, or edits of them. Pure: by the size of the files, and by
//! what the ledger says that this model has got right before. Not the words of the question: that is `prompt.rs`.
//!
//! A try counts for the form that it was asked in. It was right when its reply could be applied, and, where edits were
//! asked for, held some; whether the code in it was right is no question of form. Failures of the server say nothing.

use crate::rules::json::{self, List, Take};
use crate::rules::prompt::estimate_tokens;
use crate::words::task::Form;
use std::collections::BTreeMap;

/// Files up to here are cheap to repeat.
const SHORT_LINES: usize = 60;
/// Longer files are not asked for whole (routing.md §1).
const WHOLE_LINES: usize = 150;
/// Tries of a form before its history counts.
const ENOUGH: u32 = 5;
/// Newest tries of a form that are counted, so that a model that was set up anew is soon judged anew.
const MOST: u32 = 20;

/// How much a change may have to repeat when it is asked for whole: the size of the longest file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    #[default]
    Short,
    Medium,
    Long,
    /// 1.3 times as much does not fit the reply, or the model sees only parts of the file.
    Endless,
}

/// Tries in one form, and how many of them were right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub tries: u32,
    pub right: u32,
}

/// What a model has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    pub whole: Tally,
    pub edits: Tally,
}

/// What counts of an attempt in the ledger. Not all of it: reading every kind of failure would be 40 KB of program for
/// two that matter.
#[derive(Default)]
struct Try {
    model: String,
    failure: Option<Fault>,
    form: String,
    edits: Edits,
}

/// The kind of a failure.
#[derive(Default)]
struct Fault(String);

/// Whether there are any.
#[derive(Default)]
struct Edits(bool);

/// The attempts of a line.
#[derive(Default)]
struct Tries(List<Vec<Try>>);

/// Histories by the name that a model answers by.
#[derive(Debug, Default)]
pub struct Histories(BTreeMap<String, History>);

/// Returns the form to ask for.
pub fn choose(size: Size, history: &History) -> Form {
    let (whole, edits) = (history.whole, history.edits);
    let as_edits = match size {
        Size::Short => whole.is_poor() && edits.is_good(),
        Size::Medium => edits.is_good() || whole.is_poor() && !edits.is_poor(),
        Size::Long => whole.is_poor() || !edits.is_poor(),
        Size::Endless => true,
    };
    if as_edits { Form::Edits } else { Form::Whole }
}

/// Returns the size of one file. `reply_tokens` is the longest reply that can come, when it is known.
pub fn size(content: &str, reply_tokens: Option<u64>) -> Size {
    let needed = estimate_tokens(content).saturating_mul(13) / 10;
    let lines = content.lines().count();
    if reply_tokens.is_some_and(|most| needed > most) {
        Size::Endless
    } else if lines > WHOLE_LINES {
        Size::Long
    } else if lines > SHORT_LINES {
        Size::Medium
    } else {
        Size::Short
    }
}

impl Tally {
    fn is_good(self) -> bool {
        self.tries >= ENOUGH && self.right * 5 >= self.tries * 4
    }

    fn is_poor(self) -> bool {
        self.tries >= ENOUGH && self.right * 2 < self.tries
    }
}

impl Histories {
    /// Counts the tries in a ledger line. Lines come newest first; one of another version counts nothing.
    pub fn add_line(&mut self, line: &str) {
        // Most lines hold no such try, and parsing is what costs.
        if !line.contains("\"form\":") {
            return;
        }
        let mut tries = Tries::default();
        if json::read(line.as_bytes(), &mut tries).is_err() {
            return;
        }
        for attempt in tries.0.0 {
            self.0.entry(attempt.model.clone()).or_default().add(&attempt);
        }
    }

    /// Returns whether there is any history at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the history of a model; `None` for one that has none.
    pub fn of(&self, model: &str) -> Option<History> {
        self.0.get(model).copied()
    }
}

impl History {
    /// Counts one try.
    fn add(&mut self, attempt: &Try) {
        let came = match attempt.failure.as_ref().map(|failure| failure.0.as_str()) {
            None => true,
            Some("unusable" | "cut") => false,
            Some(_) => return,
        };
        let (tally, is_right) = match attempt.form.as_str() {
            "whole" => (&mut self.whole, came),
            "edits" => (&mut self.edits, came && attempt.edits.0),
            _ => return,
        };
        if tally.tries < MOST {
            tally.tries += 1;
            tally.right += u32::from(is_right);
        }
    }
}

impl<'t> Take<'t> for Tries {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        if key == "attempts" { Some(&mut self.0) } else { None }
    }
}

impl<'t> Take<'t> for Try {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        Some(match key {
            "model" => &mut self.model,
            "failure" => &mut self.failure,
            "form" => &mut self.form,
            "edits" => &mut self.edits,
            _ => return None,
        })
    }
}

impl<'t> Take<'t> for Fault {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        if key == "kind" { Some(&mut self.0) } else { None }
    }
}

impl<'t> Take<'t> for Edits {
    fn key(&mut self, _: &str) -> Option<&mut dyn Take<'t>> {
        self.0 = true;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Form::{Edits, Whole};
    use Size::{Endless, Long, Medium, Short};

    #[test]
    fn size_decides_until_the_model_has_shown_otherwise() {
        let tally = |right, tries| Tally { tries, right };
        let none = tally(0, 0);
        let check = |size: Size, whole: Tally, edits: Tally, want: Form| {
            assert_eq!(choose(size, &History { whole, edits }), want, "{size:?} whole {whole:?} edits {edits:?}");
        };
        for (size, want) in [(Short, Whole), (Medium, Whole), (Long, Edits), (Endless, Edits)] {
            check(size, none, none, want);
            // Four tries are luck.
            check(size, tally(0, 4), tally(4, 4), want);
            check(size, tally(4, 4), tally(0, 4), want);
            // Neither form works: the measured default stays.
            check(size, tally(1, 9), tally(1, 9), want);
        }
        // It can: longer files are spared the repetition.
        check(Short, none, tally(8, 10), Whole);
        check(Medium, none, tally(8, 10), Edits);
        check(Medium, none, tally(7, 10), Whole);
        check(Medium, tally(20, 20), tally(20, 20), Edits);
        // Its whole files fail.
        check(Short, tally(2, 5), none, Whole);
        check(Short, tally(2, 5), tally(5, 5), Edits);
        check(Medium, tally(2, 5), none, Edits);
        // It cannot: whole files while they fit.
        check(Long, none, tally(2, 5), Whole);
        check(Long, tally(2, 5), tally(2, 5), Edits);
        check(Endless, tally(20, 20), tally(0, 20), Edits);
    }

    #[test]
    fn a_size_is_lines_and_what_fits_the_reply() {
        for (lines, reply, want) in [
            (0, None, Short),
            (60, None, Short),
            (61, Some(1000), Medium),
            (150, None, Medium),
            (151, Some(6000), Long),
            (150, Some(300), Endless),
        ] {
            assert_eq!(size(&"x = 1\n".repeat(lines), reply), want, "{lines} {reply:?}");
        }
    }

    #[test]
    fn a_try_counts_by_its_form_and_failures_of_the_server_do_not() {
        let line = |form: &str, failure: &str, edits: &str| {
            format!(
                r#"{{"attempts":[{{"route":"local","model":"m","duration_ms":1,"ttft_ms":null,"prompt_tokens":null,"completion_tokens":null,"tokens_per_sec":null,"failure":{failure},"verdict":"failed","confidence":null,"signals":{{}},{form}{edits}"cost_usd":null}}]}}"#
            )
        };
        let (whole, edits) = (r#""form":"whole","#, r#""form":"edits","#);
        let some = r#""edits":{"exact":2},"#;
        let check = |line: &str, want: [(u32, u32); 2]| {
            let mut histories = Histories::default();
            histories.add_line(line);
            let history = histories.of("m").unwrap_or_default();
            let said = [history.whole, history.edits].map(|tally| (tally.right, tally.tries));
            assert_eq!(said, want, "{line}");
            assert_eq!(histories.of("another"), None);
        };
        check(&line(whole, "null", ""), [(1, 1), (0, 0)]);
        check(&line(edits, "null", some), [(0, 0), (1, 1)]);
        check(&line(edits, "null", ""), [(0, 0), (0, 1)]);
        check(&line(edits, r#"{"kind":"unusable","fault":"x"}"#, ""), [(0, 0), (0, 1)]);
        check(&line(whole, r#"{"kind":"cut"}"#, ""), [(0, 1), (0, 0)]);
        check(&line(whole, r#"{"kind":"unchanged"}"#, ""), [(0, 0), (0, 0)]);
        check(&line(whole, r#"{"kind":"down","why":"x"}"#, ""), [(0, 0), (0, 0)]);
        check(&line("", "null", ""), [(0, 0), (0, 0)]);
        check(&line(whole, r#"{"kind":"from a later version"}"#, ""), [(0, 0), (0, 0)]);
    }

    #[test]
    fn only_the_newest_tries_count() {
        let mut attempt = Try { form: "whole".to_string(), ..Try::default() };
        let mut history = History::default();
        for _ in 0..MOST {
            history.add(&attempt);
        }
        attempt.failure = Some(Fault("cut".to_string()));
        history.add(&attempt);
        assert_eq!(history.whole, Tally { tries: MOST, right: MOST });
        attempt.form = "edits".to_string();
        (0..MOST).for_each(|_| history.add(&attempt));
        assert_eq!(history.edits, Tally { tries: MOST, right: 0 });
    }
}
