//! Providers that are left alone for a while: who, why, and when they are tried again. Shared by all mux processes;
//! `status` and `doctor` read it without a lock.
//!
//! A document that cannot be read is none: the worst that follows is one call that fails again.

use super::document::Document;
use crate::rules::from_json::structs;
use crate::words::error::{Error, Kind};
use crate::words::stop::Stop;
use crate::words::time::Utc;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// No provider is left alone for longer: a vendor's "try again" of next year is a mistake of somebody's.
const LONGEST_MS: u64 = 31 * 86_400_000;
/// A cool-down from further ahead than this was set by a clock that went wrong.
const SLACK_MS: u64 = 3_600_000;
/// The most providers that are remembered, and the most characters of a reason.
const MOST: usize = 32;
const LONGEST_WHY: usize = 200;

/// The cool-downs of a state directory.
#[derive(Clone, Debug)]
pub struct CoolDowns {
    document: Document,
}

/// One provider that is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CoolDown {
    /// When it is tried again.
    pub until: Utc,
    /// When it failed.
    pub since: Utc,
    /// One line, such as `quota`; words of a vendor may be in it.
    pub why: String,
}

structs! {
    CoolDown { until, since, why }
}

type All = BTreeMap<String, CoolDown>;

impl CoolDowns {
    /// Names the cool-downs of a state directory; nothing is touched.
    pub fn below(state_dir: &Path) -> CoolDowns {
        CoolDowns { document: Document::at(state_dir.join("cooldowns.json")) }
    }

    /// Leaves a provider alone until a moment, at most 31 days from now. A later word on the same provider replaces the
    /// earlier one.
    ///
    /// # Errors
    /// `Io` when it cannot be written.
    pub fn start(&self, provider: &str, until: Utc, why: &str, now: Utc, stop: &Stop) -> Result<(), Error> {
        let until = Utc(until.0.min(now.0.saturating_add(LONGEST_MS)));
        let why = why.chars().take(LONGEST_WHY).collect();
        self.change(now, stop, |all| {
            if all.len() < MOST || all.contains_key(provider) {
                all.insert(provider.to_string(), CoolDown { until, since: now, why });
            }
        })
    }

    /// Ends the cool-down of a provider that works again.
    ///
    /// # Errors
    /// `Io` when it cannot be written. Nothing is written where there is nothing to end.
    pub fn end(&self, provider: &str, now: Utc, stop: &Stop) -> Result<(), Error> {
        if !self.active(now).contains_key(provider) {
            return Ok(());
        }
        self.change(now, stop, |all| drop(all.remove(provider)))
    }

    /// Returns the cool-downs that hold at a moment, by provider.
    pub fn active(&self, now: Utc) -> BTreeMap<String, CoolDown> {
        held(self.document.read().ok().flatten(), now)
    }

    fn change(&self, now: Utc, stop: &Stop, change: impl FnOnce(&mut All)) -> Result<(), Error> {
        let result = self.document.change(stop, |all| {
            let mut all = held(all.ok().flatten(), now);
            change(&mut all);
            Ok((Some(all), ()))
        });
        result.map_err(|source| {
            let what = format!("cannot write the cool-downs `{}`", self.document.path().display());
            Error::caused(Kind::Io, what, Box::new(source))
        })
    }
}

fn held(all: Option<All>, now: Utc) -> All {
    let mut all = all.unwrap_or_default();
    all.retain(|_, cool| now < cool.until && cool.since.0 <= now.0.saturating_add(SLACK_MS));
    all
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::{Temp, soon};
    use super::*;

    const NOW: Utc = Utc(1_795_402_440_000);

    fn at(seconds: u64) -> Utc {
        Utc(NOW.0 + seconds * 1000)
    }

    /// The cool-downs at a moment as `name until-in-seconds why`.
    #[track_caller]
    fn check(cool: &CoolDowns, now: Utc, expected: &[&str]) {
        let line = |(name, cool): (String, CoolDown)| format!("{name} {} {}", (cool.until.0 - NOW.0) / 1000, cool.why);
        assert_eq!(cool.active(now).into_iter().map(line).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_provider_is_left_alone_until_its_time() {
        let temp = Temp::new("cooldown");
        let cool = CoolDowns::below(&temp.0);
        check(&cool, NOW, &[]);
        cool.end("claude", NOW, &soon()).unwrap();
        assert_eq!(fs_err::read_dir(&temp.0).unwrap().count(), 0, "nothing to end, nothing written");
        cool.start("claude", at(120), "rate_limited", NOW, &soon()).unwrap();
        cool.start("gemini", at(3600), "quota", NOW, &soon()).unwrap();
        check(&cool, NOW, &["claude 120 rate_limited", "gemini 3600 quota"]);
        check(&cool, at(119), &["claude 120 rate_limited", "gemini 3600 quota"]);
        check(&cool, at(120), &["gemini 3600 quota"]);
        cool.start("gemini", at(60), "auth", at(1), &soon()).unwrap();
        check(&cool, at(1), &["claude 120 rate_limited", "gemini 60 auth"]);
        cool.end("gemini", at(2), &soon()).unwrap();
        check(&cool, at(2), &["claude 120 rate_limited"]);
    }

    #[test]
    fn nothing_grows_and_no_clock_shuts_a_provider_out() {
        let temp = Temp::new("cooldown");
        let cool = CoolDowns::below(&temp.0);
        cool.start("claude", Utc(u64::MAX), &"é".repeat(9000), NOW, &soon()).unwrap();
        let claude = cool.active(NOW).remove("claude").unwrap();
        assert_eq!((claude.until, claude.why.chars().count()), (Utc(NOW.0 + LONGEST_MS), 200));
        assert!(cool.active(Utc(NOW.0 - 2 * SLACK_MS)).is_empty(), "set by a clock that was ahead");
        for n in 0..100 {
            cool.start(&format!("p{n}"), at(5), "server", NOW, &soon()).unwrap();
        }
        assert_eq!(cool.active(NOW).len(), MOST);
        fs_err::write(temp.0.join("cooldowns.json"), "torn").unwrap();
        check(&cool, NOW, &[]);
        cool.start("codex", at(5), "quota", NOW, &soon()).unwrap();
        check(&cool, NOW, &["codex 5 quota"]);
    }
}
