//! The arguments of `mux tune`: a target, and what to do about it.

use super::{Command, options_of, path, span, text, unexpected, usage};
use crate::words::error::{Error, Kind};
use lexopt::{Arg, Parser};
use std::path::PathBuf;

/// The options of `mux tune`.
#[derive(Debug, Default, PartialEq)]
pub struct TuneArgs {
    /// Without one, what holds and a proposal for each of the usual targets is shown.
    pub target: Option<Target>,
    /// Only records younger than this many milliseconds.
    pub since_ms: Option<u64>,
    /// Set the threshold in the user's configuration.
    pub write: bool,
    pub json: bool,
}

/// What a threshold is to keep to: a share, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// Of the runs, those that go to the cloud.
    MaxCloud(f64),
    /// Of the accepted local results, those that are wrong.
    MaxFalseAccept(f64),
}

/// What `mux tune --fit` does with the weights that it has fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FitArgs {
    Show,
    Write,
    /// Fits none, and goes back to those before the last fit.
    Reset,
}

pub fn tune(mut parser: Parser) -> Result<Command, Error> {
    let (mut args, mut config) = (TuneArgs::default(), None);
    let (mut is_fit, mut is_reset) = (false, false);
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long("max-cloud") => {
                one(&mut args.target, Target::MaxCloud(share("--max-cloud", &text(&mut parser)?)?))?;
            }
            Arg::Long("max-false-accept") => {
                one(&mut args.target, Target::MaxFalseAccept(share("--max-false-accept", &text(&mut parser)?)?))?;
            }
            Arg::Long("since") => args.since_ms = Some(span("--since", &text(&mut parser)?)?),
            Arg::Long("write") => args.write = true,
            Arg::Long("fit") => is_fit = true,
            Arg::Long("reset") => is_reset = true,
            Arg::Long("json") => args.json = true,
            Arg::Long("config") => config = Some(path(&mut parser)?),
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => return Err(unexpected(&arg, &options_of("tune"))),
        }
    }
    if is_fit {
        return fit(&args, is_reset, config);
    }
    if is_reset {
        let error = Error::new(Kind::Usage, "`--reset` is for `--fit`");
        return Err(error.hint("`mux tune --fit --reset` goes back to the weights before"));
    }
    if args.write && args.target.is_none() {
        let error = Error::new(Kind::Usage, "`--write` needs to know what for");
        return Err(error.hint("`mux tune --max-cloud 20% --write`, or `mux tune --max-false-accept 2% --write`"));
    }
    Ok(Command::Tune { args, config })
}

/// The weights of the score are another thing than its threshold.
fn fit(args: &TuneArgs, is_reset: bool, config: Option<PathBuf>) -> Result<Command, Error> {
    if args.target.is_some() || args.since_ms.is_some() {
        let what = "`--fit` fits the weights of the score on all runs; a target is for its threshold";
        return Err(Error::new(Kind::Usage, what).hint("`mux tune --fit` alone, or `mux tune --max-cloud 20%`"));
    }
    let fit = match (args.write, is_reset) {
        (true, true) => {
            let error = Error::new(Kind::Usage, "`--write` and `--reset` contradict each other");
            return Err(error.hint("`mux tune --fit --write` sets new weights, `mux tune --fit --reset` goes back"));
        }
        (true, false) => FitArgs::Write,
        (false, true) => FitArgs::Reset,
        (false, false) => FitArgs::Show,
    };
    Ok(Command::Fit { fit, json: args.json, config })
}

fn one(target: &mut Option<Target>, said: Target) -> Result<(), Error> {
    if target.replace(said).is_some() {
        let error = Error::new(Kind::Usage, "a threshold has one target: `--max-cloud` or `--max-false-accept`");
        return Err(error.hint("keep the one that you mean: `mux tune --max-cloud 20%`"));
    }
    Ok(())
}

/// A share as `20%` or `0.2`.
fn share(option: &str, value: &str) -> Result<f64, Error> {
    let bad = || {
        let error = Error::new(Kind::Usage, format!("`{option} {value}` is not a share"));
        error.hint(format!("in percent or from 0 to 1: `{option} 20%`"))
    };
    let (digits, scale) = value.strip_suffix('%').map_or((value, 1.0), |digits| (digits, 100.0));
    let share = digits.trim().parse::<f64>().ok().map(|number| number / scale);
    share.filter(|share| (0.0..=1.0).contains(share)).ok_or_else(bad)
}
