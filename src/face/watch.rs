//! The watchers of a run on standard error: one live line for a terminal, plain lines for everything else.
//!
//! **Invariant:** text that came from outside is escaped before it is shown.

use crate::face::screen::{Colour, Screen};
use crate::face::stream::Streamed;
use crate::rules::escape::one_line;
use crate::rules::width::cut;
use crate::sys::tty;
use crate::words::event::{Event, Watcher};
use crate::words::stop::Stop;
use crate::words::task::Provider;
use std::io::Write;
use std::time::{Duration, Instant};

/// How often the live line is drawn again, at most.
const REDRAW: Duration = Duration::from_millis(100);
/// A call that is expected to take longer is announced.
const PATIENCE: Duration = Duration::from_secs(10);
/// Columns of a terminal that does not say how many it has.
const WIDTH: usize = 80;
/// The columns of the line that parts an answer that does not count from what follows.
const RULE: usize = 40;

/// One line that is drawn over, and lines that stay for what the user should read.
pub struct Terminal<W: Write> {
    out: W,
    start: Instant,
    drawn: Option<Instant>,
    stop: Stop,
    show: Show,
    /// Whether what comes is an answer.
    is_answer: bool,
    streamed: Streamed,
    /// Whether the cursor stands behind a piece of it.
    is_open: bool,
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

impl<W: Write> Terminal<W> {
    pub fn new(out: W, stop: Stop, show: Show) -> Terminal<W> {
        let start = Instant::now();
        Terminal {
            out,
            start,
            drawn: None,
            stop,
            show,
            is_answer: false,
            streamed: Streamed::default(),
            is_open: false,
        }
    }

    /// Draws `text` over the live line. A terminal that cannot be written is no reason to stop working.
    fn draw(&mut self, text: &str) {
        self.settle();
        let seconds = self.start.elapsed().as_secs();
        // The last column stays free: in it some terminals go on to the next line.
        let columns = (self.show.columns)().unwrap_or(WIDTH).saturating_sub(1);
        let _ = write!(self.out, "\r{}\x1b[K", cut(&format!("mux: {text} · {seconds} s"), columns));
        let _ = self.out.flush();
        self.drawn = Some(Instant::now());
    }

    fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(self.out, "\r\x1b[K");
            let _ = self.out.flush();
        }
    }

    /// Whether an answer comes, or has begun to: before, a model may think.
    fn is_flowing(&self, text: &str) -> bool {
        self.streamed.is_begun() || !text.trim().is_empty()
    }

    /// Shows what came of an answer. While it flows, it is the sign of life: no line is drawn over it.
    fn stream(&mut self, text: &str) {
        let shown = self.streamed.push(text);
        if !shown.is_empty() {
            self.clear();
            let _ = write!(self.out, "{shown}");
            let _ = self.out.flush();
            self.is_open = true;
        }
    }

    /// Ends the line that an answer is on.
    fn settle(&mut self) {
        if std::mem::take(&mut self.is_open) {
            let _ = writeln!(self.out);
        }
    }

    /// Ends an answer. One that does not count is parted from what follows.
    fn end_stream(&mut self, counts: bool) {
        self.is_answer = false;
        self.settle();
        if self.streamed.is_begun() {
            let screen = Screen { columns: None, colour: self.show.colour };
            let end = if counts { String::new() } else { screen.paint(Colour::Dim, &"─".repeat(RULE)) };
            let _ = writeln!(self.out, "{end}");
        }
        if !counts {
            self.streamed = Streamed::default();
        }
    }
}

impl<W: Write> Watcher for Terminal<W> {
    fn event(&mut self, event: &Event<'_>) {
        let is_over = matches!(event, Event::Failed { .. } | Event::Escalating { .. });
        if is_over {
            self.end_stream(false);
        }
        if let Some(line) = lasting(event) {
            self.clear();
            self.settle();
            let screen = Screen { columns: None, colour: self.show.colour };
            let line = if is_over { screen.paint(Colour::Yellow, &line) } else { line };
            let _ = writeln!(self.out, "{line}");
            return;
        }
        match event {
            Event::Finding => self.draw("looking for the model server"),
            Event::Asking { model, attempt, expected, .. } => self.draw(&asking(model, *attempt, *expected)),
            Event::Generating { text, .. } if self.show.answers && self.is_answer && self.is_flowing(text) => {
                self.stream(text);
            }
            Event::Generating { tokens, elapsed, .. } => {
                if self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW) {
                    let rate = *tokens as f64 / elapsed.as_secs_f64().max(0.001);
                    self.draw(&format!("generating · {tokens} tokens · {rate:.1} tokens/s"));
                }
            }
            Event::Writing { files } => self.draw(&format!("writing {files} files")),
            Event::Verifying { command } => self.draw(&format!("verifying: {}", one_line(command))),
            Event::Working { provider, what } => self.draw(&format!("{}: {}", provider.name(), one_line(what))),
            Event::Done => {
                self.clear();
                self.end_stream(true);
            }
            Event::Queued { .. }
            | Event::DirBusy { .. }
            | Event::Failed { .. }
            | Event::Escalating { .. }
            | Event::Note(_) => {}
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
        self.clear();
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
        String::from_utf8(terminal.out).unwrap()
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
        // Without what was drawn and taken away again.
        let lasting: String =
            text.split('\r').map(|piece| piece.split_once("\x1b[K").map_or(piece, |(_, behind)| behind)).collect();
        let rule = "─".repeat(RULE);
        assert_eq!(lasting, format!("An answer\\x1b[2J.\n{rule}\nmux: local try 1 failed: x\nYes.\n\n"), "{text:?}");
    }

    #[test]
    fn a_live_line_never_wraps() {
        for columns in [1, 2, 10, 20, 40, 80] {
            let text = seen(columns, &[Event::Verifying { command: "python3 -m 测试 🦀🦀 ééééé --a-long-option" }]);
            let line = text.strip_prefix('\r').unwrap().strip_suffix("\x1b[K").unwrap();
            assert!(crate::rules::width::width(line) < columns, "{columns}: {line:?}");
        }
    }
}
