//! The watchers of a run on standard error: one live line for a terminal, plain lines for everything else.
//!
//! **Invariant:** text that came from outside is escaped before it is shown.

use crate::face::live::Live;
use crate::face::screen::{Colour, Screen};
use crate::face::stream::Streamed;
use crate::rules::escape::one_line;
use crate::sys::tty;
use crate::words::count::Count;
use crate::words::event::{Event, Watcher};
use crate::words::stop::Stop;
use crate::words::task::Provider;
use std::io::Write;
use std::time::{Duration, Instant};

/// How often the live line is drawn again, at most.
const REDRAW: Duration = Duration::from_millis(100);
/// A speed of a shorter time says nothing.
const LEAST: Duration = Duration::from_millis(500);
/// A call that is expected to take longer is announced.
const PATIENCE: Duration = Duration::from_secs(10);
/// The columns of the line that parts an answer that does not count from what follows.
const RULE: usize = 40;

/// One line that is drawn over, and lines that stay for what the user should read.
pub struct Terminal<W: Write> {
    live: Live<W>,
    /// When the first token came, and the tokens then: what was before is no part of the speed.
    begun: Option<(Instant, u64)>,
    /// When the tokens were last counted on the live line.
    counted: Option<Instant>,
    stop: Stop,
    show: Show,
    /// Whether what comes is an answer.
    is_answer: bool,
    streamed: Streamed,
}

/// What a terminal can show, and shall.
#[derive(Clone, Copy)]
pub struct Show {
    /// Asked at each draw: a window may be made narrower while a run goes on.
    pub columns: fn() -> Option<usize>,
    pub colour: bool,
    /// Answers as they come: where the result is read on the same terminal.
    pub answers: bool,
}

/// Lines that stay, nothing else.
pub struct Lines<W: Write> {
    out: W,
}

/// `--quiet`.
pub struct Silent;

impl<W: Write + Send + 'static> Terminal<W> {
    pub fn new(out: W, stop: Stop, show: Show) -> Terminal<W> {
        let live = Live::new(out, show.columns);
        Terminal { live, begun: None, counted: None, stop, show, is_answer: false, streamed: Streamed::default() }
    }

    fn say(&mut self, text: String) {
        (self.begun, self.counted) = (None, None);
        self.live.panel().say(text);
    }

    /// Whether an answer comes, or has begun to: before, a model may think.
    fn is_flowing(&self, text: &str) -> bool {
        self.streamed.is_begun() || !text.trim().is_empty()
    }

    /// Shows what came: of an answer its text, and how fast it comes.
    fn generating(&mut self, tokens: u64, text: &str) {
        let (first, before) = *self.begun.get_or_insert_with(|| (Instant::now(), tokens));
        let seconds = first.elapsed().as_secs_f64();
        let rate = (tokens - before.min(tokens)) as f64 / seconds.max(0.001);
        let rate = if seconds < LEAST.as_secs_f64() { String::new() } else { format!(" · {rate:.1} tokens/s") };
        let count = format!("generating · {tokens} tokens{rate}");
        let is_shown = self.show.answers && self.is_answer && self.is_flowing(text);
        let piece = if is_shown { self.streamed.push(text) } else { String::new() };
        if !piece.is_empty() {
            self.live.panel().print(&piece, count);
        } else if self.counted.is_none_or(|counted| counted.elapsed() >= REDRAW) {
            self.live.panel().say(count);
        } else {
            return;
        }
        self.counted = Some(Instant::now());
    }

    /// Ends an answer. One that does not count is parted from what follows.
    fn end_stream(&mut self, counts: bool) {
        self.is_answer = false;
        let mut panel = self.live.panel();
        panel.clear();
        panel.settle();
        if self.streamed.is_begun() {
            let screen = Screen { columns: None, colour: self.show.colour };
            let end = if counts { String::new() } else { screen.paint(Colour::Dim, &"─".repeat(RULE)) };
            panel.line(&end);
        }
        drop(panel);
        if !counts {
            self.streamed = Streamed::default();
        }
    }
}

impl<W: Write + Send + 'static> Watcher for Terminal<W> {
    fn event(&mut self, event: &Event<'_>) {
        let is_over = matches!(event, Event::Failed { .. } | Event::Escalating { .. });
        if is_over {
            self.end_stream(false);
        }
        if let Some(line) = lasting(event) {
            let screen = Screen { columns: None, colour: self.show.colour };
            let line = if is_over { screen.paint(Colour::Yellow, &line) } else { line };
            self.live.panel().line(&line);
        }
        match event {
            Event::Finding => self.say("looking for the model server".into()),
            Event::Asking { model, attempt, expected, .. } => self.say(asking(model, *attempt, *expected)),
            Event::Generating { tokens, text, .. } => self.generating(*tokens, text),
            Event::Writing { files } => self.say(format!("writing {}", Count::of(*files, "file"))),
            Event::Verifying { command } => self.say(format!("verifying: {}", one_line(command))),
            Event::Working { provider, what } => self.say(format!("{}: {}", provider.name(), one_line(what))),
            Event::Queued { ahead } => self.say(format!("waiting for the model server · {ahead} ahead")),
            Event::DirBusy { .. } => self.say("waiting for the work directory".into()),
            Event::Done => self.end_stream(true),
            Event::Failed { .. } | Event::Escalating { .. } | Event::Note(_) => {}
        }
    }

    fn answering(&mut self) {
        self.is_answer = true;
    }

    fn streamed(&self) -> Option<&str> {
        Some(self.streamed.text())
    }

    fn can_ask(&self) -> bool {
        true
    }

    fn agrees(&mut self, question: &str, deadline: Instant) -> bool {
        self.live.panel().clear();
        tty::ask(&format!("mux: {question} [y/N] "), &self.stop.until(deadline))
    }

    fn allow_hands(&mut self, provider: Provider, deadline: Instant) -> bool {
        let question = format!("escalate to {}, which then edits files here?", provider.name());
        self.agrees(&question, deadline)
    }
}

impl<W: Write> Lines<W> {
    pub fn new(out: W) -> Lines<W> {
        Lines { out }
    }
}

impl<W: Write> Watcher for Lines<W> {
    fn event(&mut self, event: &Event<'_>) {
        if let Some(line) = lasting(event) {
            let _ = writeln!(self.out, "{line}");
        }
    }

    fn allow_hands(&mut self, _provider: Provider, _deadline: Instant) -> bool {
        false
    }
}

impl Watcher for Silent {
    fn event(&mut self, _event: &Event<'_>) {}

    fn allow_hands(&mut self, _provider: Provider, _deadline: Instant) -> bool {
        false
    }
}

/// Returns `asking MODEL, try 2, about 47 s`.
pub fn asking(model: &str, attempt: u32, expected: Option<Duration>) -> String {
    let again = if attempt > 1 { format!(", try {attempt}") } else { String::new() };
    let expected = expected.map(|expected| format!(", about {} s", expected.as_secs().max(1))).unwrap_or_default();
    format!("asking {}{again}{expected}", one_line(model))
}

/// The line of an event that stays on the screen.
fn lasting(event: &Event<'_>) -> Option<String> {
    Some(match event {
        Event::Queued { ahead } => format!("mux: queued, {ahead} ahead at the model server"),
        Event::DirBusy { holder } => format!("mux: waiting: run {} holds the work directory", one_line(holder)),
        Event::Failed { route, attempt, why } => {
            format!("mux: {} try {attempt} failed: {}", route.name(), one_line(why))
        }
        Event::Escalating { provider, step, reason } => {
            format!("mux: escalating to {} ({step}): {}", provider.name(), one_line(&reason.to_string()))
        }
        Event::Note(text) => format!("mux: {}", one_line(text)),
        Event::Asking { expected: Some(expected), .. } if *expected > PATIENCE => {
            format!("mux: local will take about {} s", expected.as_secs())
        }
        Event::Finding
        | Event::Asking { .. }
        | Event::Generating { .. }
        | Event::Writing { .. }
        | Event::Verifying { .. }
        | Event::Working { .. }
        | Event::Done => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::task::Route;
    use std::cell::Cell;

    fn events() -> [Event<'static>; 4] {
        [
            Event::Finding,
            Event::Asking { route: Route::Local, model: "m\x1b[31m", attempt: 1, expected: None },
            Event::Failed { route: Route::Local, attempt: 1, why: "red\nGREEN" },
            Event::Done,
        ]
    }

    #[test]
    fn lines_hold_only_what_stays() {
        let mut lines = Lines::new(Vec::new());
        for event in &events() {
            lines.event(event);
        }
        let text = String::from_utf8(lines.out).unwrap();
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(text.starts_with("mux: local try 1 failed: red"), "{text:?}");
    }

    #[test]
    fn the_live_line_is_taken_away_and_holds_no_foreign_escapes() {
        let text = seen(80, &events());
        assert!(!text.contains("\x1b[31m"), "{text:?}");
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        let last = text.rsplit('\n').next().unwrap();
        assert_eq!(last, "", "the failure cleared the live line and nothing is drawn after it: {text:?}");
    }

    /// What a terminal of so many columns gets.
    fn seen(columns: usize, events: &[Event<'_>]) -> String {
        thread_local!(static COLUMNS: Cell<usize> = const { Cell::new(0) });
        COLUMNS.set(columns);
        let columns = || Some(COLUMNS.get());
        let stop = Stop::at(Instant::now() + Duration::from_mins(1));
        let mut terminal = Terminal::new(Vec::new(), stop, Show { columns, colour: false, answers: true });
        for event in events {
            if matches!(event, Event::Asking { .. }) {
                terminal.answering();
            }
            terminal.event(event);
        }
        String::from_utf8(terminal.live.panel().shown().clone()).unwrap()
    }

    /// What is on the screen at last: without the live lines, on a row of their own or below an answer.
    fn stays(text: &str) -> String {
        let mut stays = String::new();
        let mut rest = text;
        while let Some(char) = rest.chars().next() {
            rest = if let Some(line) = rest.strip_prefix('\r') {
                line.split_once('\r').unwrap().1
            } else if let Some(line) = rest.strip_prefix("\x1b7") {
                line.split_once("\x1b8").unwrap().1
            } else if let Some(moved) = ["\x1bD", "\x1b[A", "\x1b[J"].iter().find_map(|it| rest.strip_prefix(it)) {
                moved
            } else {
                stays.push(char);
                &rest[char.len_utf8()..]
            };
        }
        stays
    }

    fn generating(text: &str) -> Event<'_> {
        Event::Generating { tokens: 7, elapsed: Duration::from_secs(1), text }
    }

    #[test]
    fn an_answer_is_shown_as_it_comes_and_what_does_not_count_is_parted() {
        let asking = || Event::Asking { route: Route::Local, model: "m", attempt: 1, expected: None };
        let failed = Event::Failed { route: Route::Local, attempt: 1, why: "x" };
        let events = [
            asking(),
            generating("\n An "),
            generating("answer\x1b[2J.\n"),
            failed,
            asking(),
            generating("Yes."),
            Event::Done,
        ];
        let text = seen(80, &events);
        let lasting = stays(&text);
        let rule = "─".repeat(RULE);
        assert_eq!(lasting, format!("An answer\\x1b[2J.\n{rule}\nmux: local try 1 failed: x\nYes.\n\n"), "{text:?}");
    }

    #[test]
    fn a_live_line_never_wraps() {
        for columns in [1, 2, 10, 20, 40, 80] {
            let text = seen(columns, &[Event::Verifying { command: "python3 -m 测试 🦀🦀 ééééé --a-long-option" }]);
            assert!(text.contains("\r\x1b[J") && text.ends_with('\r'), "{columns}: {text:?}");
            for line in text.split('\r').map(|line| line.trim_start_matches("\x1b[J")) {
                assert!(crate::rules::width::width(line) < columns, "{columns}: {line:?}");
            }
        }
    }
}
