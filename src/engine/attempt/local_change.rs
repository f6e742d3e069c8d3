//! A try of a `change` on the local model: ask, read, check as a whole, apply, prove. A try that fails leaves the tree as
//! it was; what it taught goes into the [`Effort`] of the next one.

use crate::engine::attempt::ask::{LocalModel, ask};
use crate::engine::attempt::effort::Effort;
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
use crate::words::chat::{Ask, Message, Reply};
use crate::words::event::{Event, Watcher};
use crate::words::stop::Stop;
use crate::words::task::{Attempt, Failure, Form, Kind, Proof, Score, Verdict};

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

/// Tries once, with the messages that [`question`] gave.
pub fn attempt(
    model: &LocalModel,
    site: &mut Site<'_>,
    effort: &mut Effort,
    messages: &[Message],
    how: Ask,
    watcher: &mut dyn Watcher,
    stop: &Stop,
) -> (Attempt, Result<Changed, Failure>) {
    let form = form(site, how.max_tokens);
    let before = std::mem::take(effort);
    let mut said = None;
    let (mut attempt, reply, usual) = ask(model, messages, how, site.number, watcher, stop);
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
            said = Some(reply.text);
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
                *effort = before.after_red(changed.proof.evidence.as_deref(), &changed.diff);
            }
        }
        Err(failure) => {
            *effort = before.after_failure(failure, said);
            // A model that sees no mistake is shown what the checks say of the files as they are.
            if *failure == Failure::Unchanged && !site.preview {
                effort.evidence = verify::verify(site.proof, &site.ground, stop, watcher).evidence;
            }
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

/// What a try asks, of a model whose reply may have so many tokens.
pub fn question(site: &Site<'_>, effort: &Effort, reply_tokens: u32) -> Vec<Message> {
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
        form: form(site, reply_tokens),
    })
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
