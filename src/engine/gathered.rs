//! The context of a task: what a model is shown, and how it is made to fit. Whole files while they fit, else the parts
//! that the task is about. Not how files are found: that is `gather.rs`.
//!
//! **Invariants:** nothing is cut silently: each file of which something is not shown is a note. What is named is never
//! left out to make room; what was found is, the least useful first.

use crate::rules::context::{self, Why};
use crate::rules::document::{self, Kind};
use crate::rules::kin;
use crate::rules::names::{self, RelPath};
use crate::rules::parts::{self, Sought};
use crate::rules::prompt::{Shown, estimate_tokens};
use crate::rules::sorted::sorted;
use crate::rules::stray;
use crate::sys::disk::{Cause, WorkDir};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

/// Largest file that is shown, in bytes; no local window holds more.
const LARGEST_SHOWN: u64 = 512 * 1024;
/// The fence and the `FILE:` line of a file, in tokens.
const AROUND_FILE: u64 = 12;
/// What is assumed of a server that does not tell its window, in tokens.
const USUAL_WINDOW: u64 = 8192;

/// A file in the context.
#[derive(Clone, Debug)]
pub struct ContextFile {
    /// Relative to the work directory.
    pub path: String,
    pub content: String,
    /// SHA-256 of its bytes as they were shown.
    pub sha256: String,
    pub why: Why,
    /// The lines that are shown, counted from 0; empty: all.
    pub parts: Vec<Range<usize>>,
    /// Whether bytes of it are no UTF-8: such a file is edited and never written whole.
    pub is_stray: bool,
}

/// The context of a task.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    pub files: Vec<ContextFile>,
    /// Files that the task names and that do not exist yet: what a change is to create.
    pub to_create: Vec<String>,
    /// Paths that the user named with `--file`.
    pub allowed: Vec<String>,
    /// Said to the user: what could not be shown, and why.
    pub notes: Vec<String>,
    /// Whether the task names a file that cannot be shown.
    pub hides: bool,
    /// What to look for in a file of which only parts fit.
    pub sought: Sought,
}

/// What the context has to fit into, in tokens.
#[derive(Clone, Copy, Debug)]
pub struct Room<'a> {
    pub window: Window,
    /// The longest reply.
    pub reply: u32,
    pub task: &'a str,
}

/// The window of a model, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// As the server says.
    Known(u64),
    /// Nobody says: [`USUAL_WINDOW`] bounds what mux adds by itself, and nothing that the user named.
    Assumed,
}

/// What a server counts against what is estimated, for the same text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    pub counted: u64,
    /// Not 0.
    pub estimated: u64,
}

impl Scale {
    /// The estimate is all there is.
    pub const SAME: Scale = Scale { counted: 1, estimated: 1 };

    /// Returns the count of what was estimated.
    fn count(self, estimated: u64) -> u64 {
        estimated.saturating_mul(self.counted).div_ceil(self.estimated.max(1))
    }

    /// Returns the estimate of what may be counted.
    fn estimate(self, counted: u64) -> u64 {
        counted.saturating_mul(self.estimated) / self.counted.max(1)
    }
}

impl Window {
    fn tokens(self) -> u64 {
        match self {
            Window::Known(tokens) => tokens,
            Window::Assumed => USUAL_WINDOW,
        }
    }
}

impl ContextFile {
    /// Returns the tokens of what is shown, estimated from above.
    fn tokens(&self) -> u64 {
        self.content_tokens() + estimate_tokens(&self.path) + AROUND_FILE
    }

    fn content_tokens(&self) -> u64 {
        if self.parts.is_empty() {
            return estimate_tokens(&self.content);
        }
        let lines: Vec<&str> = self.content.lines().collect();
        parts::cost(&lines, &self.parts)
    }

    /// Shows only the parts that the task is about. Returns whether there are some that fit.
    fn show_parts(&mut self, sought: &Sought, budget: u64) -> bool {
        let around = estimate_tokens(&self.path) + AROUND_FILE;
        let budget = budget.saturating_sub(around);
        let top = || parts::top(&self.content, budget).into_iter().collect();
        let found = match document::kind(&self.path) {
            Some(Kind::Log) => top(),
            Some(Kind::Other) => {
                Some(parts::parts(&self.content, sought, budget)).filter(|parts| !parts.is_empty()).unwrap_or_else(top)
            }
            None => parts::parts(&self.content, sought, budget),
        };
        let is_some = !found.is_empty();
        if is_some {
            self.parts = found;
        }
        is_some
    }

    /// `lines 3 to 9 of 400`, for a file that is shown in parts.
    pub fn lines(&self) -> Option<String> {
        (!self.parts.is_empty()).then(|| parts::named(&self.parts, self.content.lines().count()))
    }

    fn note_of_parts(&self) -> Option<String> {
        let (path, bytes) = (&self.path, self.content.len());
        self.lines().map(|lines| format!("`{path}` ({bytes} bytes) is shown to the model in parts: {lines}"))
    }
}

impl Gathered {
    /// Returns the tokens that the shown files need, roughly.
    pub fn tokens(&self) -> u64 {
        self.files.iter().map(ContextFile::content_tokens).sum()
    }

    /// Returns the hash of each shown file: what a reply was based on.
    pub fn seen(&self) -> BTreeMap<String, Option<String>> {
        let seen = self.files.iter().map(|file| (file.path.clone(), Some(file.sha256.clone())));
        let mut all = BTreeMap::new();
        all.extend(seen.chain(self.to_create.iter().map(|path| (path.clone(), None))));
        all
    }

    /// Returns the files as a prompt takes them.
    pub fn shown(&self) -> Vec<Shown<'_>> {
        let files = self.files.iter();
        files.map(|file| Shown { path: &file.path, content: &file.content, parts: &file.parts }).collect()
    }

    /// Returns the files that the task, the user or a reply named: all but what mux found.
    pub fn named(&self) -> impl Iterator<Item = &ContextFile> {
        self.files.iter().filter(|file| !file.why.is_found())
    }

    /// Returns the source that a red check is most likely about: what its test is called after, else the only one that it
    /// leads to.
    pub fn led_to(&self) -> Option<&str> {
        let is_led = |why: &Why| matches!(why, Why::Red | Why::Tested(_) | Why::Imported(_));
        let only = |is: &dyn Fn(&Why) -> bool| {
            let mut files = self.files.iter().filter(|file| is(&file.why) && !kin::is_test_file(&file.path));
            files.next().filter(|_| files.next().is_none()).map(|file| file.path.as_str())
        };
        only(&|why| matches!(why, Why::Tested(_))).or_else(|| only(&is_led))
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Makes the context fit: of named files that are too large together the largest are shown in parts, of found ones
    /// too, and what is found and does not fit even so is left out. Returns a note for each file of which something is
    /// not shown.
    pub fn cut(&mut self, room: &Room<'_>, scale: Scale) -> Vec<String> {
        self.cut_because(room, scale, &format!("it does not fit a window of {} tokens", room.window.tokens()))
    }

    /// After a model has not read its prompt in time: shows what of it is so many tokens, as [`Gathered::cut`] does for a
    /// window. Returns as that; nothing to be done is no note.
    pub fn cut_to_read(&mut self, tokens: u64, task: &str) -> Vec<String> {
        let room = Room { window: Window::Known(tokens), reply: 0, task };
        self.cut_because(&room, Scale::SAME, &format!("the model reads about {tokens} tokens in time"))
    }

    fn cut_because(&mut self, room: &Room<'_>, scale: Scale, because: &str) -> Vec<String> {
        let window = room.window.tokens();
        let mut notes = Vec::new();
        if let Window::Known(window) = room.window {
            notes.extend(self.part_named(window, room, scale));
        }
        let needed = estimate_tokens(room.task) + self.named().map(|file| scale.count(file.tokens())).sum::<u64>();
        let mut left = context::room(window, u64::from(room.reply), needed);
        let mut fits = Vec::new();
        for file in self.files.iter_mut().filter(|file| file.why.is_found()) {
            let mut cost = scale.count(file.tokens());
            // A part of the room, so that one long file does not keep all others out.
            let budget = scale.estimate(left / 2);
            if cost > left && file.show_parts(&self.sought, budget) {
                cost = scale.count(file.tokens()).min(left);
                notes.extend(file.note_of_parts());
            }
            fits.push(cost <= left);
            left -= if cost <= left { cost } else { 0 };
        }
        notes.extend(self.leave_out(&fits, because));
        notes
    }

    /// Shows the largest of the named files in parts until all of them fit. One in which nothing is what the task says
    /// stays whole: the result is then `context_overflow`, which names it.
    fn part_named(&mut self, window: u64, room: &Room<'_>, scale: Scale) -> Vec<String> {
        let around = estimate_tokens(room.task) + context::AROUND + u64::from(room.reply).min(window / 4);
        let room = window.saturating_sub(around);
        let whole = self.files.iter().enumerate().filter(|(_, file)| !file.why.is_found() && file.parts.is_empty());
        let order = sorted(whole.map(|(at, file)| (Reverse(file.tokens()), at)).collect());
        let mut notes = Vec::new();
        for (_, at) in order {
            let all: u64 = self.named().map(|file| scale.count(file.tokens())).sum();
            if all <= room {
                break;
            }
            let Some(file) = self.files.get_mut(at) else { continue };
            let others = all - scale.count(file.tokens());
            if file.show_parts(&self.sought, scale.estimate(room.saturating_sub(others))) {
                notes.extend(file.note_of_parts());
            }
        }
        notes
    }

    /// After the server found the prompt too long: leaves out all that was found, or else shows parts of what was named.
    /// Returns as [`Gathered::cut`]; nothing to be done is no note.
    pub fn cut_further(&mut self, room: &Room<'_>) -> Vec<String> {
        let notes = self.leave_out(&[], "the prompt was too long with it");
        match room.window {
            Window::Known(window) if notes.is_empty() => self.part_named(window, room, Scale::SAME),
            Window::Known(_) | Window::Assumed => notes,
        }
    }

    fn leave_out(&mut self, fits: &[bool], because: &str) -> Vec<String> {
        let (mut fits, mut notes) = (fits.iter(), Vec::new());
        self.files.retain(|file| {
            let stays = !file.why.is_found() || fits.next().is_some_and(|fits| *fits);
            if !stays {
                let (path, bytes, why) = (&file.path, file.content.len(), file.why.text());
                notes.push(format!("`{path}` ({bytes} bytes, {why}) is not shown to the model: {because}"));
            }
            stays
        });
        notes
    }

    /// Returns the files that the model cannot repeat: it sees parts of them, or bytes are no text.
    pub fn only_edited(&self) -> impl Iterator<Item = &ContextFile> {
        self.files.iter().filter(|file| !file.parts.is_empty() || file.is_stray)
    }

    /// Returns whether a shown file has bytes that are no UTF-8.
    pub fn is_stray(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path && file.is_stray)
    }

    pub fn shows(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path)
    }

    /// Reads a file again that somebody has saved, made or deleted since it was shown. In one that is shown in parts, they
    /// are looked for again.
    pub fn show_again(&mut self, dir: &WorkDir, path: &str) {
        let at = self.files.iter().position(|file| file.path == path);
        let old = at.map(|at| self.files.remove(at));
        self.to_create.retain(|other| other != path);
        let why = old.as_ref().map_or(Why::Named, |file| file.why.clone());
        let now = names::readable(path).ok().and_then(|path| read(dir, &path, why).ok().flatten());
        let Some(mut file) = now else {
            self.to_create.push(path.to_string());
            return;
        };
        if let Some(old) = old.filter(|old| !old.parts.is_empty()) {
            file.show_parts(&self.sought, old.tokens());
        }
        self.files.insert(at.unwrap_or(self.files.len()), file);
    }

    /// Adds a file that a reply rewrote without having seen it. Returns whether it is shown now and was not before.
    ///
    /// # Errors
    /// Why a file that is there cannot be shown. What is no file is for the disk to refuse.
    pub fn add_rewritten(&mut self, dir: &WorkDir, path: &RelPath) -> Result<bool, String> {
        if self.shows(path.as_str()) {
            return Ok(false);
        }
        match read(dir, path, Why::Rewritten) {
            Ok(Some(file)) => {
                self.files.push(file);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(why) => match dir.read(path, 0) {
                Ok(_) | Err(Cause::TooLarge { .. }) => Err(why),
                Err(_) => Ok(false),
            },
        }
    }
}

/// Reads one file as text. `Ok(None)`: there is none.
pub fn read(dir: &WorkDir, path: &RelPath, why: Why) -> Result<Option<ContextFile>, String> {
    read_within(dir, path, LARGEST_SHOWN, why)
}

pub fn read_within(dir: &WorkDir, path: &RelPath, limit: u64, why: Why) -> Result<Option<ContextFile>, String> {
    let found = dir.read(path, limit).map_err(|error| error.to_string())?;
    let Some(file) = found else { return Ok(None) };
    let (content, is_stray) = stray::to_text(&file.bytes).ok_or_else(|| "it is not UTF-8 text".to_string())?;
    if content.contains('\0') {
        return Err("it is a binary file".to_string());
    }
    Ok(Some(ContextFile {
        path: path.as_str().to_string(),
        content,
        sha256: file.sha256,
        why,
        parts: Vec::new(),
        is_stray,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::intent;

    fn file(path: &str, why: Why, content: &str) -> ContextFile {
        let (path, content) = (path.to_string(), content.to_string());
        ContextFile { path, content, sha256: String::new(), why, parts: Vec::new(), is_stray: false }
    }

    fn gathered(task: &str, files: Vec<ContextFile>) -> Gathered {
        Gathered { files, sought: context::sought(task, &intent::read(task, &[])), ..Gathered::default() }
    }

    fn known(window: u64) -> Room<'static> {
        Room { window: Window::Known(window), reply: 6000, task: "task" }
    }

    /// `path: lines` of each file, in order.
    fn shown(gathered: &Gathered) -> Vec<String> {
        let lines = |file: &ContextFile| format!("{}: {}", file.path, file.lines().unwrap_or("all".to_string()));
        gathered.files.iter().map(lines).collect()
    }

    fn functions(n: usize) -> String {
        let one = |n: usize| format!("def step_{n}(x):\n    return x + {n}\n\n");
        (0..n).map(one).collect::<Vec<_>>().concat()
    }

    #[test]
    fn what_was_found_makes_room_and_what_was_named_does_not() {
        let long = "# long\n".repeat(1000);
        let big = Why::Defines("UserService".to_string());
        let files = vec![
            file("named.py", Why::Named, &long),
            file("big.py", big, &long),
            file("user_service.py", Why::Called("UserService".to_string()), "x = 1"),
        ];
        let mut found = gathered("Fix UserService in named.py", files);
        assert_eq!(found.cut(&known(32_768), Scale::SAME), Vec::<String>::new());
        let notes = found.cut(&known(8192), Scale::SAME);
        assert_eq!(shown(&found), ["named.py: all", "user_service.py: all"]);
        let because =
            "(7000 bytes, defines `UserService`) is not shown to the model: it does not fit a window of 8192 tokens";
        assert_eq!(notes, [format!("`big.py` {because}")]);
        assert_eq!(found.cut(&known(16), Scale::SAME).len(), 1);
        assert_eq!(shown(&found), ["named.py: all"]);
        assert_eq!(found.cut_further(&known(16)), Vec::<String>::new());
    }

    #[test]
    fn the_largest_named_file_is_shown_in_parts() {
        let files =
            || vec![file("small.py", Why::Named, &functions(20)), file("large.py", Why::Named, &functions(900))];
        let mut context = gathered("Fix step_700", files());
        let notes = context.cut(&known(8192), Scale::SAME);
        assert_eq!(shown(&context), ["small.py: all", "large.py: lines 2101 to 2102 of 2700"]);
        let note = "is shown to the model in parts: lines 2101 to 2102 of 2700";
        assert_eq!(notes, [format!("`large.py` ({} bytes) {note}", functions(900).len())]);
        assert!(context.tokens() < 500, "{}", context.tokens());
        // What a server counts decides, where it counts.
        let mut context = gathered("Fix step_700", files());
        assert_eq!(
            (context.cut(&known(16_384), Scale { counted: 1, estimated: 2 }), shown(&context)[1].as_str()),
            (Vec::new(), "large.py: all")
        );
        // Nobody says how large the window is: what was named stays whole, until the server has cut it.
        let assumed = Room { window: Window::Assumed, ..known(0) };
        assert_eq!((context.cut(&assumed, Scale::SAME), shown(&context)[1].as_str()), (Vec::new(), "large.py: all"));
        assert_eq!((context.cut_further(&known(4096)).len(), context.cut_further(&known(4096)).len()), (1, 0));
        // Nothing in it is what the task says.
        let mut context = gathered("Make it better", files());
        assert_eq!(
            (context.cut(&known(8192), Scale::SAME), shown(&context)[1].as_str()),
            (Vec::new(), "large.py: all")
        );
    }

    #[test]
    fn a_long_found_file_is_shown_in_parts() {
        let why = Why::Defines("step_700".to_string());
        let mut context = gathered("Fix `step_700`", vec![file("large.py", why, &functions(900))]);
        assert_eq!(context.cut(&Room { window: Window::Assumed, ..known(0) }, Scale::SAME).len(), 1);
        assert_eq!(shown(&context), ["large.py: lines 2101 to 2102 of 2700"]);
    }
}
