//! How a page is shown: in how many columns, in colours or not. The only place that knows the sequences for colours, and
//! what becomes of a page that nobody reads.

use crate::sys::tty;
use crate::words::env::Env;
use std::io::{self, ErrorKind, Write};

/// What is written to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// Of the terminal; `None` in a pipe, where lines are as long as they are.
    pub columns: Option<usize>,
    pub colour: bool,
}

/// Colours by their number in the standard of terminals (ECMA-48).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Bold = 1,
    Dim = 2,
    Red = 31,
    Green = 32,
    Yellow = 33,
    Cyan = 36,
}

impl Screen {
    /// Returns the screen that standard output is.
    pub fn out(env: &Env, is_terminal: bool) -> Screen {
        Screen { columns: if is_terminal { tty::out_columns() } else { None }, colour: has_colour(env, is_terminal) }
    }

    /// Returns a text in a colour, where there are colours.
    pub fn paint(self, colour: Colour, text: &str) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", colour as u8) } else { text.to_string() }
    }
}

/// Standard output. A reader that has seen enough and closed its end (`mux log | head -1`) is no error: what it does not
/// want is dropped, and the exit code stays that of the work.
pub struct Out<W>(pub W);

impl<W: Write> Write for Out<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unread(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        unread(self.0.flush(), ())
    }
}

fn unread<T>(written: io::Result<T>, dropped: T) -> io::Result<T> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(dropped),
        written => written,
    }
}

/// Whether to colour: never with `NO_COLOR` (<https://no-color.org>), else always with `CLICOLOR_FORCE`
/// (<https://bixense.com/clicolors>), else on a terminal that is more than `dumb`.
pub fn has_colour(env: &Env, is_terminal: bool) -> bool {
    let is_forced = env.var("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    env.var("NO_COLOR").is_none() && (is_forced || is_terminal && !is_dumb(env))
}

/// Whether a terminal says that it can do nothing but print.
pub fn is_dumb(env: &Env) -> bool {
    env.text("TERM") == Some("dumb")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::time::Utc;

    #[test]
    fn the_user_has_the_last_word_on_colours() {
        for (vars, in_terminal, in_pipe) in [
            (&[][..], true, false),
            (&[("TERM", "xterm")], true, false),
            (&[("TERM", "dumb")], false, false),
            (&[("NO_COLOR", "1")], false, false),
            (&[("NO_COLOR", "")], true, false),
            (&[("CLICOLOR_FORCE", "1")], true, true),
            (&[("CLICOLOR_FORCE", "0")], true, false),
            (&[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")], true, true),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false, false),
        ] {
            let vars = vars.iter().map(|(name, value)| (name.into(), value.into())).collect();
            let env = Env { vars, cwd: None, now: Utc(0) };
            assert_eq!((has_colour(&env, true), has_colour(&env, false)), (in_terminal, in_pipe), "{:?}", env.vars);
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error_and_a_full_disk_is() {
        struct Fails(ErrorKind);
        impl Write for Fails {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(self.0.into())
            }
        }
        let write = |kind| {
            let mut out = Out(Fails(kind));
            [out.write_all(b"x"), out.flush()].map(|written| written.map_err(|error| error.kind()))
        };
        assert_eq!(write(ErrorKind::BrokenPipe), [Ok(()), Ok(())]);
        assert_eq!(write(ErrorKind::StorageFull), [Err(ErrorKind::StorageFull); 2]);
    }

    #[test]
    fn without_colours_nothing_is_added() {
        assert_eq!(Screen::default().paint(Colour::Red, "x"), "x");
        assert_eq!(Screen { columns: None, colour: true }.paint(Colour::Red, "x"), "\x1b[31mx\x1b[0m");
    }
}
