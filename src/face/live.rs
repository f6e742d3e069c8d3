//! The live line of a terminal: what goes on now and for how long, drawn over and over. Knows no events.
//!
//! **Invariant:** between two calls the cursor stands where text goes on, at the begin of the live line or behind the
//! answer above it. A window that is drawn wider or narrower moves the cursor with that text, so what has to be drawn
//! again is always from the cursor on.

use crate::rules::width::{cut, of};
use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often the seconds and the columns are looked at.
const TICK: Duration = Duration::from_millis(100);
/// Columns of a terminal that does not say how many it has.
const WIDTH: usize = 80;
/// From the cursor to the end of the screen: also what a narrower window has made of a longer line.
const ERASE: &str = "\x1b[J";

/// A live line and the thread that keeps its seconds right while nothing happens; the thread ends with it.
pub struct Live<W: Write> {
    panel: Arc<Mutex<Panel<W>>>,
    /// Nothing is ever sent: its end is the message.
    _alive: Sender<()>,
}

/// What is on the screen.
pub struct Panel<W: Write> {
    out: W,
    /// Asked at each draw: a window may be made narrower while a run goes on.
    columns: fn() -> Option<usize>,
    start: Instant,
    /// What the line says, without the seconds; `None` while there is no line.
    text: Option<String>,
    /// The seconds and the columns that are drawn.
    drawn: (u64, usize),
    /// The line of an answer that the cursor stands behind, so far.
    open: Option<String>,
}

impl<W: Write + Send + 'static> Live<W> {
    pub fn new(out: W, columns: fn() -> Option<usize>) -> Live<W> {
        let panel = Panel { out, columns, start: Instant::now(), text: None, drawn: (0, 0), open: None };
        let panel = Arc::new(Mutex::new(panel));
        let (alive, ended) = channel();
        let shared = Arc::clone(&panel);
        // Without a thread the line stands still between events, and that is all.
        let _ = thread::Builder::new().name("live line".into()).spawn(move || {
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                lock(&shared).tick();
            }
        });
        Live { panel, _alive: alive }
    }

    pub fn panel(&self) -> MutexGuard<'_, Panel<W>> {
        lock(&self.panel)
    }
}

/// A draw that panicked has left half a line, which the next one erases.
fn lock<W: Write>(panel: &Mutex<Panel<W>>) -> MutexGuard<'_, Panel<W>> {
    panel.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<W: Write> Panel<W> {
    /// Says on the live line what goes on. A terminal that cannot be written is no reason to stop working.
    pub fn say(&mut self, text: String) {
        self.text = Some(text);
        self.draw();
    }

    /// Takes the live line away.
    pub fn clear(&mut self) {
        if self.text.take().is_some() {
            self.erase("");
        }
    }

    /// Prints a piece of an answer, which stays, and says below it what goes on.
    pub fn print(&mut self, piece: &str, text: String) {
        self.text = Some(text);
        self.erase(piece);
        let line = self.open.get_or_insert_default();
        match piece.rsplit_once('\n') {
            Some((_, last)) => last.clone_into(line),
            None => line.push_str(piece),
        }
        self.draw();
    }

    /// Prints a whole line, which stays. The live line is gone until something is said again.
    pub fn line(&mut self, line: &str) {
        self.clear();
        self.settle();
        self.put(&format!("{line}\n"));
    }

    /// Ends the line that an answer is on.
    pub fn settle(&mut self) {
        if self.open.is_some() {
            self.erase("\n");
            self.open = None;
        }
    }

    /// Whether the cursor is over the last column of an answer's row: there, to erase would take a character, and
    /// coming back would not bring the cursor behind it. No live line is drawn below such a row.
    fn is_full(&self) -> bool {
        let columns = self.width();
        let column = |line: &String| line.chars().fold(0, |column, char| behind(column, char, columns));
        self.open.as_ref().map(column).is_some_and(|column| column >= columns)
    }

    /// Erases from the cursor on and prints a text there.
    fn erase(&mut self, text: &str) {
        let erase = if self.is_full() { "" } else { ERASE };
        self.put(&format!("{erase}{text}"));
    }

    fn tick(&mut self) {
        if self.text.is_some() && self.drawn != (self.seconds(), self.width()) {
            self.draw();
        }
    }

    fn draw(&mut self) {
        let Some(text) = &self.text else { return };
        self.drawn = (self.seconds(), self.width());
        let (seconds, columns) = self.drawn;
        // The last column stays free: in it some terminals go on to the next line.
        let line = cut(&format!("mux: {text} · {seconds} s"), columns.saturating_sub(1));
        if self.open.is_none() {
            self.put(&format!("\r{ERASE}{line}\r"));
        } else if !self.is_full() {
            // One down and up again makes room at the bottom of the screen; then there, and back.
            self.put(&format!("{ERASE}\x1bD\x1b[A\x1b7\r\x1b[B{line}\x1b8"));
        }
    }

    fn put(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes());
        let _ = self.out.flush();
    }

    fn seconds(&self) -> u64 {
        self.start.elapsed().as_secs()
    }

    fn width(&self) -> usize {
        (self.columns)().unwrap_or(WIDTH)
    }

    #[cfg(test)]
    pub fn shown(&self) -> &W {
        &self.out
    }
}

/// Returns the column behind a character that is printed at this one.
fn behind(column: usize, char: char, columns: usize) -> usize {
    match of(char) {
        _ if char == '\t' => (column / 8 + 1) * 8 % columns.max(1),
        wide if column + wide > columns => wide,
        wide => column + wide,
    }
}
