//! A ledger line as far as the report needs it. Pure.

use crate::rules::json::{self, List, Take};
use crate::rules::stats::Row;
use crate::words::time::Utc;
use std::borrow::Cow;

/// What the report needs of a record, beside what every listing does. Whatever is missing is at its default.
#[derive(Default)]
pub struct Run<'a> {
    pub row: Row<'a>,
    pub time: Utc,
    /// 0 to 1.
    pub confidence: Option<f64>,
    pub task: Option<Cow<'a, str>>,
    pub attempts: List<Vec<Try>>,
}

/// One try.
#[derive(Debug, Default)]
pub struct Try {
    pub route: String,
    pub model: String,
    pub duration_ms: u64,
    pub ttft_ms: Option<u64>,
    tokens_per_sec: Option<f64>,
    pub failure: Option<Failed>,
    verdict: String,
    /// 0 to 1.
    pub confidence: Option<f64>,
    pub cost_usd: Option<f64>,
}

/// Why a try gave nothing usable.
#[derive(Debug, Default)]
pub struct Failed {
    kind: String,
    /// Of a cloud CLI's failure.
    class: String,
}

impl Failed {
    /// Returns the word that says most.
    pub fn name(&self) -> &str {
        if self.class.is_empty() { &self.kind } else { &self.class }
    }
}

impl<'a> Run<'a> {
    /// Reads a ledger line. Returns `None` for one that is not a whole record, or that has no time.
    pub fn parse(line: &'a str) -> Option<Run<'a>> {
        let mut run = Run { row: Row::of(line), ..Run::default() };
        json::read(line.as_bytes(), &mut run).ok()?;
        run.time = Utc::parse(&run.row.timestamp)?;
        run.row.is_whole().then_some(run)
    }
}

impl Try {
    /// Returns what the tests said; `None` when they were not run, or prove nothing.
    pub fn is_green(&self) -> Option<bool> {
        match self.verdict.as_str() {
            "passed" => Some(true),
            "failed" => Some(false),
            _ => None,
        }
    }

    /// Returns the thousandths of a token a second, where the server says how many tokens came.
    pub fn speed(&self) -> Option<u64> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates; a speed is not negative"
        )]
        self.tokens_per_sec.map(|speed| (speed * 1e3) as u64)
    }
}

impl<'t> Take<'t> for Run<'t> {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        Some(match key {
            "confidence" => &mut self.confidence,
            "task" => &mut self.task,
            "attempts" => &mut self.attempts,
            _ => return self.row.key(key),
        })
    }
}

impl<'t> Take<'t> for Try {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        Some(match key {
            "route" => &mut self.route,
            "model" => &mut self.model,
            "duration_ms" => &mut self.duration_ms,
            "ttft_ms" => &mut self.ttft_ms,
            "tokens_per_sec" => &mut self.tokens_per_sec,
            "failure" => &mut self.failure,
            "verdict" => &mut self.verdict,
            "confidence" => &mut self.confidence,
            "cost_usd" => &mut self.cost_usd,
            _ => return None,
        })
    }
}

impl<'t> Take<'t> for Failed {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        Some(match key {
            "kind" => &mut self.kind,
            "class" => &mut self.class,
            _ => return None,
        })
    }
}
