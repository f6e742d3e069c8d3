//! The arguments of `mux replay`: settings to try on the ledger.

use super::{Command, options_of, path, span, text, unexpected, usage};
use crate::words::error::{Error, Kind};
use lexopt::{Arg, Parser};

/// The options of `mux replay`: the settings that are tried.
#[derive(Debug, Default, PartialEq)]
pub struct ReplayArgs {
    pub threshold: Option<f64>,
    pub keywords: Option<Vec<String>>,
    pub max_attempts: Option<u32>,
    /// Only records younger than this many milliseconds.
    pub since_ms: Option<u64>,
    pub form: Form,
}

/// What is printed; `curve`: with a point for each of many thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Page {
        curve: bool,
    },
    Json {
        curve: bool,
    },
    /// The curve alone.
    Csv,
}

impl Default for Form {
    fn default() -> Form {
        Form::Page { curve: false }
    }
}

pub fn replay(mut parser: Parser) -> Result<Command, Error> {
    let (mut args, mut config) = (ReplayArgs::default(), None);
    let (mut json, mut csv, mut curve) = (false, false, false);
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long("threshold") => args.threshold = Some(threshold(&text(&mut parser)?)?),
            Arg::Long("keywords") => args.keywords = Some(keywords(&text(&mut parser)?)),
            Arg::Long("max-attempts") => args.max_attempts = Some(attempts(&text(&mut parser)?)?),
            Arg::Long("since") => args.since_ms = Some(span("--since", &text(&mut parser)?)?),
            Arg::Long("json") => json = true,
            Arg::Long("csv") => csv = true,
            Arg::Long("curve") => curve = true,
            Arg::Long("config") => config = Some(path(&mut parser)?),
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => return Err(unexpected(&arg, &options_of("replay"))),
        }
    }
    args.form = match (json, csv) {
        (true, true) => {
            let error = Error::new(Kind::Usage, "`--json` and `--csv` contradict each other");
            return Err(error.hint(
                "the curve for a spreadsheet: `mux replay --curve --csv`; all of it: `mux replay --curve --json`",
            ));
        }
        (true, false) => Form::Json { curve },
        (false, true) => Form::Csv,
        (false, false) => Form::Page { curve },
    };
    Ok(Command::Replay { args, config })
}

fn threshold(value: &str) -> Result<f64, Error> {
    let bad = || {
        let error = Error::new(Kind::Usage, format!("`--threshold {value}` is not a number from 0 to 1"));
        error.hint("the default: `--threshold 0.6`")
    };
    value.parse().ok().filter(|threshold| (0.0..=1.0).contains(threshold)).ok_or_else(bad)
}

/// None at all is a list too: `--keywords ''`.
fn keywords(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_string).collect()
}

fn attempts(value: &str) -> Result<u32, Error> {
    let bad = || {
        let error = Error::new(Kind::Usage, format!("`--max-attempts {value}` is not a number from 1 to 100"));
        error.hint("the default: `--max-attempts 4`")
    };
    value.parse().ok().filter(|attempts| (1..=100).contains(attempts)).ok_or_else(bad)
}
