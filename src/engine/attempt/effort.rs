//! What the tries of a run leave for the next one. Pure; how it is put to the model is `prompt.rs`.
//!
//! **Invariant:** what a check or a provider has said outlives every reply that could not be used: it was paid for, and is
//! no less true.

use crate::words::task::Failure;

/// Small models hold on to their first idea; said so, some let go of it.
const SAME_AGAIN: &str = "it is the same change as in the try before, and the check still fails. Keep what is right in \
    it and change what the output of the check shows to be wrong.";

/// What earlier tries leave for the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// The failing command and the useful tail of its output, after a change that was taken back.
    pub evidence: Option<String>,
    /// The diff that failed, or where none did the reply that could not be used.
    pub previous: Option<String>,
    /// What was wrong with the reply before.
    pub fault: Option<String>,
    /// What a provider or a review says has to be done.
    pub advice: Option<String>,
}

impl Effort {
    /// Before the last try, and where advice comes: only what the checks said stays. Small models hold on to their first
    /// idea as long as they see it (seen: the same diff three times), and there is no try left to lose.
    pub fn start_over(&mut self) {
        if self.evidence.is_some() {
            self.forget();
        }
    }

    /// Before a try that begins anew: what was said of replies has not helped.
    pub fn forget(&mut self) {
        self.previous = None;
        self.fault = None;
    }

    /// After a try that brought no change. Beside what was wrong with its reply stands the reply itself, but where it would
    /// lead astray: a loop and a refusal lead into themselves again, and beside evidence the reply would be taken for what
    /// the check has run.
    pub fn after_failure(self, failure: &Failure, reply: Option<String>) -> Effort {
        let Some(fault) = quoted(failure) else { return self };
        let leads_astray = matches!(failure, Failure::Looped { .. } | Failure::Declined { .. });
        let previous = reply.filter(|_| self.evidence.is_none() && !leads_astray);
        Effort { fault: Some(fault), previous, ..self }
    }

    /// After a change that left the checks red.
    pub fn after_red(self, evidence: Option<&str>, diff: &str) -> Effort {
        let is_same = self.previous.as_deref() == Some(diff);
        Effort {
            evidence: evidence.map(str::to_string),
            previous: Some(diff.to_string()),
            fault: is_same.then(|| SAME_AGAIN.to_string()),
            advice: self.advice,
        }
    }
}

/// What the model is told about a reply that could not be used.
fn quoted(failure: &Failure) -> Option<String> {
    if let Failure::Unusable { fault } = failure {
        Some(fault.clone())
    } else if let Failure::Looped { times, .. } = failure {
        Some(format!(
            "it said the same {times} times over and did not come to an end. Write each part once, and end the reply \
             when the task is done."
        ))
    } else if let Failure::RefusedPath { path, rule } = failure {
        Some(format!("`{path}` must not be written: {rule}."))
    } else if let Failure::Syntax { path, why } = failure {
        Some(format!("`{path}` does not parse. Its language says:\n{why}"))
    } else if let Failure::Empty = failure {
        Some("it was empty. Reply with the files in the form that is described below.".to_string())
    } else if let Failure::ToolCalls = failure {
        Some("it called a tool, and there are none here. The reply itself has to hold the files.".to_string())
    } else if let Failure::Declined { .. } = failure {
        Some(
            "it held no files. All that you need is above: reply with the files in the form that is described below."
                .to_string(),
        )
    } else if let Failure::Unchanged = failure {
        Some("Every file in it is the same as before. Make the change that the task asks for.".to_string())
    } else if let Failure::Stale { path } = failure {
        Some(format!("`{path}` has changed while you wrote. It is shown above as it is now: change that."))
    } else if let Failure::Unseen { paths } = failure {
        Some(format!("{paths} exists already and was not shown to you. It is shown above now: keep what must stay."))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evidence, previous, fault and advice; "" for none.
    fn effort(texts: [&str; 4]) -> Effort {
        let [evidence, previous, fault, advice] =
            texts.map(|text| Some(text.to_string()).filter(|text| !text.is_empty()));
        Effort { evidence, previous, fault, advice }
    }

    fn unusable() -> Failure {
        Failure::Unusable { fault: "no files".to_string() }
    }

    #[test]
    fn the_last_try_forgets_the_diff_but_not_the_evidence() {
        let mut red = effort(["red", "diff", SAME_AGAIN, ""]);
        red.start_over();
        assert_eq!(red, effort(["red", "", "", ""]));
        // Without evidence the fault is all there is, and it speaks of the reply.
        let mut unusable = effort(["", "reply", "no files", ""]);
        unusable.start_over();
        assert_eq!(unusable, effort(["", "reply", "no files", ""]));
    }

    #[test]
    fn a_reply_that_brought_nothing_takes_nothing_away() {
        let before = effort(["red", "diff", SAME_AGAIN, "do"]);
        let after = |failure: &Failure| before.clone().after_failure(failure, Some("reply".to_string()));
        let overflow = Failure::ContextOverflow { needed: 0, window: 0 };
        for failure in [Failure::Cut, Failure::ReasoningOnly, overflow] {
            assert_eq!(after(&failure), before, "{failure}");
        }
        // What was wrong with it is told, and what a check and a provider said stays.
        let looped = Failure::Looped { block: 9, times: 99, after: 9999 };
        let syntax = Failure::Syntax { path: "a.py".to_string(), why: "line 2".to_string() };
        let declined = Failure::Declined { quote: "I cannot".to_string() };
        for failure in [unusable(), looped, syntax, Failure::Unchanged, Failure::Empty, Failure::ToolCalls, declined] {
            let fault = quoted(&failure).unwrap();
            assert_eq!(after(&failure), effort(["red", "", &fault, "do"]), "{failure}");
        }
    }

    #[test]
    fn a_reply_is_shown_again_where_it_does_not_lead_astray() {
        let shown = |failure: &Failure| {
            effort(["", "", "", "do"]).after_failure(failure, Some("reply".to_string())).previous.is_some()
        };
        assert!(shown(&unusable()) && !shown(&Failure::Looped { block: 9, times: 99, after: 9999 }));
    }

    #[test]
    fn a_red_change_is_shown_with_what_the_check_said_and_the_advice_stays() {
        let red = effort(["", "", "no files", "do"]).after_red(Some("red"), "diff");
        assert_eq!(red, effort(["red", "diff", "", "do"]));
        assert_eq!(red.after_red(Some("red"), "diff"), effort(["red", "diff", SAME_AGAIN, "do"]));
    }
}
