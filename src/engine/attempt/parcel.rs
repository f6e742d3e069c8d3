//! What a run has to tell a provider: the task, the few files concerned, the best try and why it failed. Packed here for
//! every step, so that `never_send` and the bounds hold for all of them.

use crate::engine::attempt::local_change::Changed;
use crate::engine::gate::{Gate, Open, Parcel, Refused, Sent};
use crate::engine::gathered::{ContextFile, Gathered};
use crate::rules::brief::{self, Brief};
use crate::rules::config::Scope;
use crate::rules::prompt::Shown;
use crate::sys::ledger::egress::{SentFile, Step};
use crate::words::event::{Event, Watcher};
use crate::words::stop::Stop;
use crate::words::task::Reason;

/// Bytes of files that go along at most; what does not fit is said.
const MOST_BYTES: usize = 128 * 1024;
/// Bytes of a diff that goes along at most: a larger one explains nothing.
const LARGEST_DIFF: usize = 32 * 1024;

/// What there is to tell.
pub struct Story<'a> {
    pub task: &'a str,
    pub context: &'a Gathered,
    /// The try that the provider is told of: the best failed one, or the one under review.
    pub changed: Option<&'a Changed>,
    /// The failing command and the useful tail of its output.
    pub evidence: Option<&'a str>,
    /// What the local model answered, or why it gave nothing.
    pub local: Option<&'a str>,
    /// The commands that judge the result, spelled.
    pub checks: &'a [String],
    /// Whether a provider said before that it was done, and had changed no file.
    pub unchanged: bool,
}

/// Packs the story for a step and sends it.
///
/// # Errors
/// As [`Gate::send`].
pub fn send(
    gate: &Gate<'_>,
    open: &Open<'_>,
    story: &Story<'_>,
    reason: &Reason,
    watcher: &mut dyn Watcher,
    stop: &Stop,
) -> Result<Sent, Refused> {
    let concerned = concerned(story);
    let (files, mut notes) = allowed(gate, &concerned);
    let diff = story.changed.map(|changed| changed.diff.as_str()).filter(|diff| !diff.is_empty());
    let diff = diff.filter(|diff| {
        let secret = story.changed.iter().flat_map(|changed| changed.changes.changes.iter());
        let secret = secret.map(crate::words::changes::Change::path).find(|path| !gate.may_send(path));
        if let Some(path) = secret {
            notes.push(format!("the diff is not sent: `{path}` is in `privacy.never_send`"));
        }
        if diff.len() > LARGEST_DIFF {
            notes.push(format!("the diff is not sent: {} bytes are too many", diff.len()));
        }
        secret.is_none() && diff.len() <= LARGEST_DIFF
    });
    // Where the provider may read, names do; where it may not, what it has to know is in the text.
    let (shown, readable): (Vec<Shown<'_>>, Vec<&str>) = match open.scope {
        Scope::Prompt => (
            files.iter().map(|file| Shown { path: &file.path, content: &file.content, parts: &[] }).collect(),
            Vec::new(),
        ),
        Scope::Workdir | Scope::Machine => (Vec::new(), files.iter().map(|file| file.path.as_str()).collect()),
    };
    for note in &notes {
        watcher.event(&Event::Note(note));
    }
    let brief = Brief {
        task: story.task,
        shown: &shown,
        readable: &readable,
        has_tools: open.scope != Scope::Prompt,
        local: story.local,
        diff,
        evidence: story.evidence,
        checks: story.checks,
        unchanged: story.unchanged,
    };
    let text = match open.step() {
        Step::Answer | Step::Probe => brief::answer(&brief),
        Step::Advice => brief::advice(&brief),
        Step::Review | Step::Hook => brief::review(&brief),
        Step::Hands => brief::hands(&brief),
    };
    let enclosed = if shown.is_empty() { Vec::new() } else { files.iter().map(|file| sent(file)).collect() };
    gate.send(open, Parcel { text, files: enclosed, reason }, watcher, stop)
}

/// The files that a provider has to see: those that are named, that the try touches or that the evidence speaks of.
/// Where that is none, all that the local model saw.
fn concerned<'a>(story: &Story<'a>) -> Vec<&'a ContextFile> {
    let touched = |path: &str| {
        story.changed.is_some_and(|changed| changed.changes.changes.iter().any(|change| change.path() == path))
    };
    let spoken_of = |path: &str| story.evidence.is_some_and(|evidence| evidence.contains(path));
    let few: Vec<&ContextFile> = story
        .context
        .files
        .iter()
        .filter(|file| !file.why.is_found() || touched(&file.path) || spoken_of(&file.path))
        .collect();
    if few.is_empty() { story.context.files.iter().collect() } else { few }
}

/// Those of the files that may leave and fit, and a note for each that does not.
fn allowed<'a>(gate: &Gate<'_>, files: &[&'a ContextFile]) -> (Vec<&'a ContextFile>, Vec<String>) {
    let (mut room, mut notes) = (MOST_BYTES, Vec::new());
    let files = files.iter().copied().filter(|file| {
        let why = match (gate.may_send(&file.path), room.checked_sub(file.content.len())) {
            (true, Some(left)) => {
                room = left;
                return true;
            }
            (false, _) => "it is in `privacy.never_send`",
            (true, None) => "there is no room for it",
        };
        notes.push(format!("`{}` is not sent: {why}", file.path));
        false
    });
    (files.collect(), notes)
}

fn sent(file: &ContextFile) -> SentFile {
    SentFile { path: file.path.clone(), bytes: file.content.len() as u64, sha256: file.sha256.clone() }
}
