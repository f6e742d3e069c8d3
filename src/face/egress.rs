//! `mux egress`: all that mux ever sent out of this machine, newest first, with sums; and forgetting the oldest of it.

use crate::face::args::EgressArgs;
use crate::face::status::{bytes, emit};
use crate::rules::escape::{in_json, one_line};
use crate::sys::ledger::egress::{Call, Egress};
use crate::words::count::Count;
use crate::words::error::{Context, Error, Kind};
use crate::words::stop::Stop;
use crate::words::time::Utc;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

/// What no count of mux contains. Measured on claude 2.1, codex 0.169 and gemini 0.61.
const UNKNOWN: &str = "not counted: the system prompt that each CLI adds itself, 15 to 50 kB a call, is unknown to mux";

/// Lists or prunes. Returns the exit code.
///
/// # Errors
/// A file that cannot be read or written; output that cannot be written.
pub fn run(state_dir: &Path, now: Utc, args: &EgressArgs, out: &mut dyn Write, stop: &Stop) -> Result<u8, Error> {
    let egress = Egress::below(state_dir);
    let ago = |span: u64| Utc(now.0.saturating_sub(span));
    let page = if let Some(span) = args.prune_ms {
        let before = ago(span);
        let gone = egress.prune(before, stop)?;
        format!("forgotten: {} before {before}\n", Count::of(gone, "call"))
    } else {
        let mut all = Vec::new();
        let bad = egress.calls(args.since_ms.map(ago), &mut |call| all.push(call))?;
        if args.json { json(&all, bad)? } else { text(&all, bad) }
    };
    emit(out, &page).context(Kind::Io, || "cannot write the list".to_string()).map(|()| 0)
}

/// What a list of calls comes to.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Sum {
    calls: u64,
    /// That mux handed over.
    bytes: u64,
    /// Calls whose provider had tools to read more.
    inexact: u64,
    /// Of the calls whose price is known.
    usd: f64,
    priced: u64,
    /// Calls without an end: cut off, or under way.
    open: u64,
    providers: BTreeMap<String, Share>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct Share {
    calls: u64,
    bytes: u64,
    /// Calls that could read more than these bytes.
    inexact: u64,
}

#[derive(Serialize)]
struct Document<'a> {
    calls: &'a [Call],
    sum: Sum,
    bad_lines: usize,
    note: &'static str,
}

fn sum(calls: &[Call]) -> Sum {
    let mut sum = Sum::default();
    for call in calls {
        sum.calls += 1;
        sum.bytes = sum.bytes.saturating_add(call.bytes);
        sum.inexact += u64::from(!call.exact);
        sum.open += u64::from(call.ended.is_none());
        if let Some(usd) = call.ended.as_ref().and_then(|ended| ended.usd) {
            sum.usd += usd;
            sum.priced += 1;
        }
        let share = sum.providers.entry(call.provider.clone()).or_default();
        share.calls += 1;
        share.bytes = share.bytes.saturating_add(call.bytes);
        share.inexact += u64::from(!call.exact);
    }
    sum
}

fn json(calls: &[Call], bad_lines: usize) -> Result<String, Error> {
    let document = Document { calls, sum: sum(calls), bad_lines, note: UNKNOWN };
    let text = serde_json::to_string(&document).context(Kind::Io, || "cannot write the list".to_string())?;
    Ok(format!("{}\n", in_json(&text)))
}

/// A paragraph for each call: when, who and why; how much; which files.
fn text(all: &[Call], bad: usize) -> String {
    let mut page = String::new();
    for call in all {
        let least = if call.exact { "" } else { "≥ " };
        let head = format!("{} {} {} {} {}", call.ts, call.run_id, call.provider, call.step, call.reason);
        let _ = writeln!(page, "{}", one_line(&head));
        let end = match &call.ended {
            None => "cut off or under way: may have arrived".to_string(),
            Some(ended) => {
                let usd = ended.usd.map_or_else(|| "price unknown".to_string(), |usd| format!("{usd:.4} USD"));
                format!("{}, {usd}", ended.outcome)
            }
        };
        let digest: String = call.sha256.chars().take(12).collect();
        let sent = format!("{least}{}, sha256 {digest}…, scope {}; {end}", bytes(call.bytes), call.scope);
        let _ = writeln!(page, "  sent: {}", one_line(&sent));
        for file in &call.files {
            let _ = writeln!(page, "  file: {}, {}", one_line(&file.path), bytes(file.bytes));
        }
        if let Some(place) = &call.may_read {
            let _ = writeln!(page, "  may also have read: {}", one_line(place));
        }
    }
    let sum = sum(all);
    if bad > 0 {
        let _ = writeln!(page, "{} of the file held no record", Count::of(bad, "line"));
    }
    if sum.calls == 0 {
        page.push_str("nothing was sent\n");
        return page;
    }
    let sent = |calls, inexact, sent| {
        format!("{}, {}{}", Count::of(calls, "call"), if inexact > 0 { "≥ " } else { "" }, bytes(sent))
    };
    let _ = writeln!(page, "total: {} sent by mux", sent(sum.calls, sum.inexact, sum.bytes));
    for (provider, share) in &sum.providers {
        let _ = writeln!(page, "  {}: {}", one_line(provider), sent(share.calls, share.inexact, share.bytes));
    }
    let _ = writeln!(
        page,
        "cost: {:.4} USD for the {} of {} whose price is known",
        sum.usd,
        sum.priced,
        Count::of(sum.calls, "call")
    );
    let _ = writeln!(page, "{UNKNOWN}");
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::ledger::egress::{Ended, SentFile};

    fn some() -> Vec<Call> {
        let advice = Call {
            id: "RUN1.1".into(),
            run_id: "RUN1".into(),
            ts: "2026-11-23T02:54:00.000Z".into(),
            provider: "claude".into(),
            step: "advice".into(),
            scope: "prompt".into(),
            reason: "verify_failed".into(),
            bytes: 12_345,
            sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824".into(),
            files: vec![SentFile { path: "src/a\u{1b}[2J.py".into(), bytes: 812, sha256: "ab".into() }],
            may_read: None,
            exact: true,
            ended: Some(Ended { outcome: "ok".into(), usd: Some(0.0125), ..Ended::default() }),
        };
        let hands = Call {
            run_id: "RUN0".into(),
            provider: "codex".into(),
            step: "hands".into(),
            scope: "machine".into(),
            bytes: 655,
            files: Vec::new(),
            may_read: Some("all".into()),
            exact: false,
            ended: None,
            ..advice.clone()
        };
        vec![advice, hands]
    }

    #[test]
    fn the_list_says_what_left_and_what_it_comes_to() {
        let expected = "\
2026-11-23T02:54:00.000Z RUN1 claude advice verify_failed
  sent: 12.3 kB, sha256 2cf24dba5fb0…, scope prompt; ok, 0.0125 USD
  file: src/a\\x1b[2J.py, 812 B
2026-11-23T02:54:00.000Z RUN0 codex hands verify_failed
  sent: ≥ 655 B, sha256 2cf24dba5fb0…, scope machine; cut off or under way: may have arrived
  may also have read: all
1 line of the file held no record
total: 2 calls, ≥ 13.0 kB sent by mux
  claude: 1 call, 12.3 kB
  codex: 1 call, ≥ 655 B
cost: 0.0125 USD for the 1 of 2 calls whose price is known
not counted: the system prompt that each CLI adds itself, 15 to 50 kB a call, is unknown to mux
";
        assert_eq!(text(&some(), 1), expected);
        assert_eq!(text(&[], 0), "nothing was sent\n");
    }

    #[test]
    fn json_holds_the_records_and_the_sums() {
        let document: serde_json::Value = serde_json::from_str(&json(&some(), 1).unwrap()).unwrap();
        let sum = serde_json::json!({
            "calls": 2, "bytes": 13_000, "inexact": 1, "usd": 0.0125, "priced": 1, "open": 1,
            "providers": {
                "claude": {"calls": 1, "bytes": 12_345, "inexact": 0},
                "codex": {"calls": 1, "bytes": 655, "inexact": 1},
            },
        });
        assert_eq!((&document["sum"], &document["bad_lines"]), (&sum, &1.into()));
        assert_eq!(document["calls"][0]["files"][0]["bytes"], 812);
        assert_eq!(document["calls"][1]["ended"], serde_json::Value::Null);
    }
}
