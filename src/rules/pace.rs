//! How much a model can be shown in a hook so that it answers in time: told by what the last hooks showed it, the slowest
//! of them, since a server that has kept a prompt and a machine that is idle for once promise too much. Pure. On two cores
//! a model of 1.5 billion parameters reads 14 to 100 tokens a second, on a graphics card thousands: no constant fits both.

use crate::rules::ledger_line::field;
use std::time::Duration;

/// What the last try of a model in a hook was like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Past {
    /// Of the whole prompt.
    pub bytes: f64,
    /// From sending to the first token; `None` when none came in time.
    pub first_token_ms: Option<f64>,
}

/// Tries that count.
pub const COUNTED: usize = 3;
/// Bytes of a prompt for each second of the deadline, while nothing is known.
const UNKNOWN: f64 = 1000.0;
/// The share of the deadline in which the first token should be there.
const SHARE: f64 = 0.5;
/// What stands in a prompt around the change.
const AROUND: f64 = 1200.0;
/// The least and the most that is shown of a change, in bytes.
const LIMITS: (f64, f64) = (400.0, 24_000.0);

/// Reads a ledger line of a hook; `None` where it asked no such model, or tells nothing of its pace.
pub fn last(line: &str, model: &str) -> Option<Past> {
    let attempt = field(line, "\"attempts\":[{")?;
    // The key is written by serde, so a model's name cannot end the text early.
    let is_same = model.is_empty() || attempt.contains(&format!("\"model\":{}", serde_json::Value::from(model)));
    let number = |name: &str| -> Option<f64> {
        let rest = field(attempt, name)?;
        rest.split([',', '}']).next()?.parse().ok()
    };
    let bytes = number("\"prompt_bytes\":").filter(|_| is_same)?;
    let first_token_ms = number("\"ttft_ms\":");
    // A server that failed otherwise says nothing of its pace.
    (first_token_ms.is_some() || attempt.contains("\"kind\":\"timeout\"")).then_some(Past { bytes, first_token_ms })
}

/// Returns whether a model has missed the deadline so often that the next commit had better not wait for it.
pub fn is_too_slow(past: &[Past]) -> bool {
    past.len() >= COUNTED && past.iter().all(|past| past.first_token_ms.is_none())
}

/// Returns about how many bytes of a change may be shown, after the last [`COUNTED`] tries.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the limits")]
pub fn room(past: &[Past], deadline: Duration) -> usize {
    let seconds = deadline.as_secs_f64();
    let fits = |past: &Past| match past.first_token_ms {
        Some(took) => past.bytes * SHARE * seconds * 1000.0 / took.max(1.0),
        None => past.bytes / 2.0,
    };
    let bytes = past.iter().map(fits).reduce(f64::min).unwrap_or(UNKNOWN * seconds);
    (bytes - AROUND).clamp(LIMITS.0, LIMITS.1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"hook":"prepare-commit-msg","attempts":[{"route":"local","model":"m","ttft_ms":1500,"failure":null,"signals":{"prompt_bytes":3000.0}}]}"#;

    #[test]
    fn the_pace_of_the_last_hook_is_read() {
        let past = Past { bytes: 3000.0, first_token_ms: Some(1500.0) };
        assert_eq!(last(LINE, "m"), Some(past));
        assert_eq!(last(LINE, ""), Some(past));
        assert_eq!(last(LINE, "n"), None);
        let timeout = LINE.replace("1500", "null").replace("\"failure\":null", "\"failure\":{\"kind\":\"timeout\"}");
        assert_eq!(last(&timeout, "m"), Some(Past { bytes: 3000.0, first_token_ms: None }));
        assert_eq!(last(&timeout.replace("timeout", "down"), "m"), None);
        assert_eq!(last(r#"{"hook":"pre-commit","attempts":[]}"#, "m"), None);
    }

    #[test]
    fn a_slow_model_is_shown_less_and_a_fast_one_more() {
        let five = Duration::from_secs(5);
        let past = |bytes: f64, first_token_ms| Past { bytes, first_token_ms };
        assert_eq!(room(&[], five), 3800);
        assert_eq!(room(&[past(5000.0, Some(5000.0))], five), 1300);
        assert_eq!(room(&[past(5000.0, Some(50.0))], five), 24_000);
        assert_eq!(room(&[past(5000.0, None)], five), 1300);
        assert_eq!(room(&[past(1000.0, None)], five), 400);
        assert_eq!(room(&[past(5000.0, Some(50.0)), past(6000.0, Some(5000.0))], five), 1800);
        let late = past(5000.0, None);
        assert!(is_too_slow(&[late; 3]) && !is_too_slow(&[late; 2]));
        assert!(!is_too_slow(&[late, past(5000.0, Some(50.0)), late]));
        assert_eq!(room(&[past(5000.0, Some(0.0))], Duration::from_millis(100)), 24_000);
    }
}
