//! The watchers of a run on standard error: one live line for a terminal, plain lines for everything else.
//!
//! **Invariant:** text that came from outside is escaped before it is shown.

use crate::rules::escape::one_line;
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
/// Columns that the live line keeps to.
const WIDTH: usize = 78;

/// One line that is drawn over, and lines that stay for what the user should read.
pub struct Terminal<W: Write> {
    out: W,
    start: Instant,
    drawn: Option<Instant>,
    stop: Stop,
}

/// Lines that stay, nothing else.
pub struct Lines<W: Write> {
    out: W,
}

/// `--quiet`.
pub struct Silent;

impl<W: Write> Terminal<W> {
    pub fn new(out: W, stop: Stop) -> Terminal<W> {
        Terminal { out, start: Instant::now(), drawn: None, stop }
    }

    /// Draws `text` over the live line. A terminal that cannot be written is no reason to stop working.
    fn draw(&mut self, text: &str) {
        let seconds = self.start.elapsed().as_secs();
        let line: String = format!("mux: {text} · {seconds} s").chars().take(WIDTH).collect();
        let _ = write!(self.out, "\r{line}\x1b[K");
        let _ = self.out.flush();
        self.drawn = Some(Instant::now());
    }

    fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(self.out, "\r\x1b[K");
            let _ = self.out.flush();
        }
    }
}

impl<W: Write> Watcher for Terminal<W> {
    fn event(&mut self, event: &Event<'_>) {
        if let Some(line) = lasting(event) {
            self.clear();
            let _ = writeln!(self.out, "{line}");
            return;
        }
        match event {
            Event::Finding => self.draw("looking for the model server"),
            Event::Asking { model, attempt, expected, .. } => self.draw(&asking(model, *attempt, *expected)),
            Event::Generating { tokens, elapsed, .. } => {
                if self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW) {
                    let rate = *tokens as f64 / elapsed.as_secs_f64().max(0.001);
                    self.draw(&format!("generating · {tokens} tokens · {rate:.1} tokens/s"));
                }
            }
            Event::Writing { files } => self.draw(&format!("writing {files} files")),
            Event::Verifying { command } => self.draw(&format!("verifying: {}", one_line(command))),
            Event::Working { provider, what } => self.draw(&format!("{}: {}", provider.name(), one_line(what))),
            Event::Done => self.clear(),
            Event::Queued { .. }
            | Event::DirBusy { .. }
            | Event::Failed { .. }
            | Event::Escalating { .. }
            | Event::Note(_) => {}
        }
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
        let mut terminal = Terminal::new(Vec::new(), Stop::at(Instant::now() + Duration::from_mins(1)));
        for event in &events() {
            terminal.event(event);
        }
        let text = String::from_utf8(terminal.out).unwrap();
        assert!(!text.contains("\x1b[31m"), "{text:?}");
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        let last = text.rsplit('\n').next().unwrap();
        assert_eq!(last, "", "the failure cleared the live line and nothing is drawn after it: {text:?}");
    }
}
