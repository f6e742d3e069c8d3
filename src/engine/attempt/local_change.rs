//! A try of a `change` on the local model: ask, read, check as a whole, apply, prove. A try that fails leaves the tree as
//! it was; what it taught goes into the [`Effort`] of the next one.

use crate::engine::attempt::ask::{LocalModel, ask};
use crate::engine::attempt::lesser::prove_less;
use crate::engine::attempt::reading::{before, inside_prefix, read, seen_before, target};
use crate::engine::baseline::Baseline;
use crate::engine::experience::Experience;
use crate::engine::gathered::Gathered;
use crate::engine::judge::{self, Judged, Trial, take_back};
use crate::engine::syntax;
use crate::engine::verify::{self, Ground, Origin};
use crate::rules::confidence::{Question, Usual};
use crate::rules::config::EditFormat;
use crate::rules::form::{self, Size};
use crate::rules::loops::before_loop;
use crate::rules::prompt::{self, ChangePrompt};
use crate::rules::reply::{self, Fault};
use crate::rules::weaken::{self, Edited};
use crate::rules::{argv, confidence, diff, dropped, examples, names, stray};
use crate::sys::disk::{self, Applied, WorkDir};
use crate::sys::results::Results;
use crate::words::changes::{ChangeSet, FileOp};
use crate::words::chat::{Ask, Reply};
use crate::words::event::{Event, Watcher};
use crate::words::stop::Stop;
use crate::words::task::{Attempt, Failure, Form, Kind, Proof, Score, Verdict};

/// Small models hold on to their first idea; said so, some let go of it.
const SAME_AGAIN: &str = "it is the same change as in the try before, and the check still fails. Keep what is right in \
    it and change what the output of the check shows to be wrong.";

/// What earlier tries leave for the next one.
#[derive(Clone, Default)]
pub struct Effort {
    /// The failing command and the useful tail of its output.
    pub evidence: Option<String>,
    /// The diff, or the reply, of the try before.
    pub previous: Option<String>,
    /// What was wrong with the form of the reply before.
    pub fault: Option<String>,
    /// What a provider or a review says has to be done.
    pub advice: Option<String>,
}

impl Effort {
    /// Before the last try: only what the checks said stays. Small models hold on to their first idea as long as they
    /// see it (seen: the same diff three times), and there is no try left to lose.
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

    /// After a reply that brought nothing: what was known before it still stands. One that was given up is told why, without
    /// the text that may have led it there.
    fn keep(&mut self, before: &Effort, failure: &Failure) {
        if let Failure::Looped { .. } | Failure::Hopeless { .. } = failure {
            *self = Effort { fault: quoted(failure), previous: None, ..before.clone() };
        } else if let Failure::Cut
        | Failure::Empty
        | Failure::ReasoningOnly
        | Failure::ToolCalls
        | Failure::Declined { .. } = failure
        {
            self.clone_from(before);
        }
    }
}

/// Everything of a run that a try needs.
pub struct Site<'a> {
    pub task: &'a str,
    pub dir: &'a WorkDir,
    /// Journals and pre-images of the run lie there.
    pub results: &'a Results,
    pub run_id: &'a str,
    pub context: &'a mut Gathered,
    /// What earlier runs teach of the model.
    pub experience: &'a Experience,
    /// What a check said of the files as they were, where it was asked before the first try.
    pub red_before: Option<&'a str>,
    pub edit_format: EditFormat,
    /// A directory below which new files must lie.
    pub prefix: Option<&'a str>,
    pub proof: &'a verify::Plan,
    pub ground: Ground<'a>,
    /// What was red before the run.
    pub baseline: &'a mut Baseline,
    /// Of the local try, from 1; of others, how many there were.
    pub number: u32,
    /// Whether another try may follow this one.
    pub more_tries: bool,
    /// Show the diff, write nothing.
    pub preview: bool,
}

/// A usable changeset: applied unless this is a preview, and judged.
pub struct Changed {
    pub applied: Option<Applied>,
    pub files: Vec<FileOp>,
    pub proof: Proof,
    pub score: Score,
    pub diff: String,
    pub changes: ChangeSet,
}

impl Changed {
    /// Returns the check that another changeset left red in the very same words, where nobody can tell by which test:
    /// perhaps none ever ran.
    pub fn mute_like(&self, other: &Changed) -> Option<String> {
        let (this, other) = (&self.proof, &other.proof);
        let is_same = this.evidence.is_some() && this.evidence == other.evidence;
        let red = this.red.first().filter(|red| is_same && red.failures.is_none())?;
        Some(argv::spell(&red.argv))
    }
}

/// Tries once.
pub fn attempt(
    model: &LocalModel,
    site: &mut Site<'_>,
    effort: &mut Effort,
    how: Ask,
    number: u32,
    watcher: &mut dyn Watcher,
    stop: &Stop,
) -> (Attempt, Result<Changed, Failure>) {
    let form = form(site, how.max_tokens);
    let messages = messages(site, effort, form);
    let before = std::mem::take(effort);
    let (mut attempt, reply, usual) = ask(model, &messages, how, number, watcher, stop);
    attempt.form = Some(form);
    if let Some(saved) = attempt.saved_ms() {
        watcher.event(&Event::Note(&format!("about {:.1} s of the predicted time are saved", saved as f64 / 1000.0)));
    }
    let end = reply.and_then(|reply| {
        // What it said before it went round in circles may be all that was asked for.
        let (reply, lost) = match reply.finish.failure() {
            Some(lost) => {
                let end = before_loop(&reply.text);
                (reply.up_to(end), Some(lost))
            }
            None => (reply, None),
        };
        let score = judge_reply(model, site, (&reply, usual), form, &mut attempt);
        let read = read(site, &reply.text, form);
        let changed = match lost {
            Some(lost) => read.map_or(Err(lost.clone()), |changes| salvage(site, changes, score, lost, watcher, stop)),
            None => read.and_then(|changes| materialise(site, changes, score, watcher, stop)),
        };
        let changed = changed.map(|changed| prove_less(site, changed, watcher, stop));
        if let Err(failure) = &changed {
            if let Failure::Stale { path } = failure {
                site.context.show_again(site.dir, path);
            }
            effort.fault = quoted(failure);
            effort.previous = effort.fault.is_some().then_some(reply.text);
        }
        // A model that sees no mistake is shown what the checks say of the files as they are.
        if matches!(changed, Err(Failure::Unchanged)) && !site.preview {
            effort.evidence = verify::verify(site.proof, &site.ground, stop, watcher).evidence;
        }
        changed
    });
    match &end {
        Ok(changed) => {
            attempt.verdict = Some(changed.proof.verdict);
            if changed.proof.examples > 0 {
                attempt.confidence = Some(changed.score.value);
                attempt.signals.insert("term.examples".to_string(), examples::TERM);
                attempt.signals.insert("examples".to_string(), changed.proof.examples as f64);
            }
            attempt.edits.clone_from(&changed.changes.edits);
            attempt.left_out.clone_from(&changed.changes.left_out);
            if changed.proof.verdict == Verdict::Failed {
                effort.evidence.clone_from(&changed.proof.evidence);
                effort.previous = Some(changed.diff.clone());
                if effort.previous == before.previous {
                    effort.fault = Some(SAME_AGAIN.to_string());
                }
            }
        }
        Err(failure) => {
            effort.keep(&before, failure);
            attempt.failure = Some(failure.clone());
        }
    }
    (attempt, end)
}

/// Takes the changes of a reply that did not come to an end where the checks say what they are worth; else they are none.
fn salvage(
    site: &mut Site<'_>,
    changes: ChangeSet,
    score: Score,
    lost: Failure,
    watcher: &mut dyn Watcher,
    stop: &Stop,
) -> Result<Changed, Failure> {
    if site.preview || site.proof.origin == Origin::Nowhere {
        return Err(lost);
    }
    let Ok(mut made) = materialise(site, changes, score, watcher, stop) else { return Err(lost) };
    if matches!(made.proof.verdict, Verdict::Passed | Verdict::Failed) {
        made.changes.notes.push(format!("{lost}; what it held before that was used"));
        return Ok(made);
    }
    if let Some(applied) = made.applied.take() {
        take_back(site.dir, applied, watcher);
    }
    Err(lost)
}

/// Scores a reply before anything has checked it.
fn judge_reply(
    model: &LocalModel,
    site: &Site<'_>,
    (reply, usual): (&Reply, Option<Usual>),
    form: Form,
    attempt: &mut Attempt,
) -> Score {
    let shown: Vec<&str> = site.context.files.iter().map(|file| file.content.as_str()).collect();
    let asked = Question { kind: Kind::Change, task: site.task, shown: &shown, window: model.known_window(), usual };
    let prior = site.experience.past.of(&reply.model, &site.ground.workdir.to_string_lossy(), form);
    let (score, signals) = confidence::score(reply, &asked, &site.experience.weights, &prior);
    attempt.scored(score, signals.into(), &site.experience.weights.id);
    score
}

/// The form to ask for: by the largest file that may have to change. A file of which the model sees parts, or that it
/// cannot write, is never asked for whole, whatever the configuration says.
fn form(site: &Site<'_>, reply_tokens: u32) -> Form {
    let (target, files) = (target(site.context, site.number), &site.context.files);
    let may_change = files.iter().filter(|file| target.is_none_or(|target| target == file.path));
    let sizes = may_change.map(|file| {
        let is_endless = !file.parts.is_empty() || file.is_stray;
        if is_endless { Size::Endless } else { form::size(&file.content, Some(u64::from(reply_tokens))) }
    });
    let longest = sizes.max().unwrap_or_default();
    let is_parted = site.context.only_edited().next().is_some();
    match site.edit_format {
        EditFormat::Auto => form::choose(longest, &site.experience.history),
        EditFormat::Whole if is_parted => Form::Edits,
        EditFormat::Whole => Form::Whole,
        EditFormat::Edits => Form::Edits,
    }
}

fn messages(site: &Site<'_>, effort: &Effort, form: Form) -> Vec<crate::words::chat::Message> {
    prompt::change(&ChangePrompt {
        task: site.task,
        shown: &site.context.shown(),
        target: target(site.context, site.number),
        required_prefix: site.prefix,
        existing: &[],
        red_before: site.red_before.filter(|_| effort.evidence.is_none()),
        evidence: effort.evidence.as_deref(),
        previous: effort.previous.as_deref(),
        fault: effort.fault.as_deref(),
        advice: effort.advice.as_deref(),
        form,
    })
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

/// From changes that were read to applied and proven files.
pub fn materialise(
    site: &mut Site<'_>,
    mut changes: ChangeSet,
    score: Score,
    watcher: &mut dyn Watcher,
    stop: &Stop,
) -> Result<Changed, Failure> {
    let mut planned = names::check_all(&changes.changes, &site.context.allowed)
        .map_err(|(path, rule)| Failure::RefusedPath { path, rule: rule.to_string() })?;
    for plan in &mut planned {
        plan.raw = plan.content.filter(|_| site.context.is_stray(plan.path.as_str())).map(stray::to_bytes);
    }
    inside_prefix(site.prefix, &changes)?;
    seen_before(site, &planned)?;
    let before = |path: &str| before(site.dir, path);
    reply::veto(&changes, &before).map_err(|fault| {
        if fault == Fault::Unchanged { Failure::Unchanged } else { Failure::Unusable { fault: fault.to_string() } }
    })?;
    let old: Vec<Option<String>> = planned.iter().map(|plan| before(plan.path.as_str())).collect();
    let edited: Vec<Edited<'_>> = planned
        .iter()
        .zip(&old)
        .map(|(plan, old)| Edited { path: plan.path.as_str(), before: old.as_deref(), after: plan.content })
        .collect();
    let mut diff = whole_diff(&edited);
    // Where nothing may run, this does not either.
    if site.proof.origin != Origin::Nowhere
        && let Some((path, why)) = syntax::fault(&edited, &site.ground, stop)
    {
        return Err(Failure::Syntax { path, why });
    }
    let weakened = weaken::weakened(&edited);
    let dropped = dropped::dropped(site.task, &edited);
    let examples = examples::examples(site.task, &edited);
    if site.preview {
        let would = disk::would_apply(site.dir, &planned, &site.context.seen(), stop);
        would.map_err(|cause| Failure::from(&cause))?;
        changes.notes.extend(dropped);
        let remarks = judge::remark(&weakened).into_iter().collect();
        let proof = Proof { remarks, ..verify::unjudged("a preview".to_string()) };
        return Ok(Changed { applied: None, files: Vec::new(), proof, score, diff, changes });
    }
    watcher.event(&Event::Writing { files: planned.len() });
    let made = site.results.make(site.run_id).map_err(|error| Failure::Disk { why: error.to_string() });
    let run_dir = made?;
    let seen = site.context.seen();
    let trial = Trial {
        dir: site.dir,
        run_dir: &run_dir,
        planned: &planned,
        seen: &seen,
        plan: site.proof,
        ground: Ground { examples: examples.as_ref(), ..site.ground },
        weakened: &weakened,
        may_weaken: weaken::asks_for(site.task),
        task: site.task,
        more_tries: site.more_tries,
    };
    let Judged { applied, files, proof, settled } = judge::judge(&trial, site.baseline, stop, watcher)?;
    changes.notes.extend(dropped);
    if applied.is_some() {
        changes.notes.extend(judge::told(&settled));
        if settled.is_formatted {
            let now: Vec<Option<String>> = planned.iter().map(|plan| before(plan.path.as_str())).collect();
            let formatted = edited.iter().zip(&now).map(|(one, now)| Edited { after: now.as_deref(), ..*one });
            diff = whole_diff(&formatted.collect::<Vec<_>>());
        }
    } else {
        // The next try is about what is there now.
        settled.moved.iter().for_each(|path| site.context.show_again(site.dir, path));
    }
    let score = if proof.examples > 0 { examples::raised(score) } else { score };
    Ok(Changed { applied, files, proof, score, diff, changes })
}

fn whole_diff(files: &[Edited<'_>]) -> String {
    let diffs = files.iter().map(|file| diff::unified(file.path, file.before, file.after));
    stray::shown(&diffs.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_try_forgets_the_diff_but_not_the_evidence() {
        let text = |text: &str| Some(text.to_string());
        let mut red = Effort { evidence: text("red"), previous: text("diff"), fault: text(SAME_AGAIN), advice: None };
        red.start_over();
        assert_eq!((red.evidence, red.previous, red.fault), (text("red"), None, None));
        // Without evidence the fault is all there is, and it speaks of the reply.
        let mut unusable = Effort { evidence: None, previous: text("reply"), fault: text("no files"), advice: None };
        unusable.start_over();
        assert_eq!((unusable.evidence, unusable.previous, unusable.fault), (None, text("reply"), text("no files")));
    }

    #[test]
    fn a_reply_that_brought_nothing_takes_nothing_away() {
        let text = |text: &str| Some(text.to_string());
        let before =
            Effort { evidence: text("red"), previous: text("diff"), fault: text(SAME_AGAIN), advice: text("do") };
        let after = |failure: &Failure| {
            let mut effort = Effort { fault: text("no files"), ..Effort::default() };
            effort.keep(&before, failure);
            (effort.evidence, effort.previous, effort.fault, effort.advice)
        };
        let all = (text("red"), text("diff"), text(SAME_AGAIN), text("do"));
        let declined = Failure::Declined { quote: "I cannot".to_string() };
        for failure in [Failure::Cut, Failure::Empty, Failure::ReasoningOnly, Failure::ToolCalls, declined] {
            assert_eq!(after(&failure), all, "{failure}");
        }
        let looped = Failure::Looped { block: 9, times: 99, after: 9999 };
        assert_eq!(after(&looped), (text("red"), None, quoted(&looped), text("do")));
        let unusable = Failure::Unusable { fault: "no files".to_string() };
        assert_eq!(after(&unusable), (None, None, text("no files"), None), "it is told what is wrong with this one");
    }
}
