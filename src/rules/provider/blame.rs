//! What a provider, or its CLI, says when it fails → a class. What comes without a status code is told by its words.

use crate::words::cloud::CloudClass;

const QUOTA: CloudClass = CloudClass::Quota { until: None };
const LIMITED: CloudClass = CloudClass::RateLimited { until: None };

/// Words in small letters and what they mean; the first row that fits wins. Rows marked "documented" are from the
/// providers' own pages, no recording holds them.
const WORDS: &[(&str, CloudClass)] = &[
    ("prompt is too long", CloudClass::ContextTooLong),
    ("context window", CloudClass::ContextTooLong),
    ("token count exceeds", CloudClass::ContextTooLong),
    ("maximum context length", CloudClass::ContextTooLong), // documented: OpenAI
    ("usage limit", QUOTA),
    ("daily quota", QUOTA),
    ("hit your limit", QUOTA),     // documented: claude with a subscription
    ("credit balance", QUOTA),     // documented: Anthropic
    ("check your plan", QUOTA),    // documented: OpenAI
    ("insufficient_quota", QUOTA), // documented: OpenAI
    // Gemini says this of a minute's quota; "daily" is above.
    ("exceeded your current quota", LIMITED),
    ("rate limit", LIMITED),
    ("too many requests", LIMITED),
    ("at capacity", CloudClass::Server),
    ("high demand", CloudClass::Server),
    ("overloaded", CloudClass::Server),
    ("internal server error", CloudClass::Server), // documented: all three
    ("the selected model", CloudClass::ModelMissing),
    ("does not exist or you do not have access", CloudClass::ModelMissing),
    ("is not found for api version", CloudClass::ModelMissing),
    ("model is not supported", CloudClass::ModelMissing), // documented: codex with a ChatGPT login
    ("not logged in", CloudClass::Auth),
    ("/login", CloudClass::Auth),
    ("api key", CloudClass::Auth),
    ("api_key", CloudClass::Auth),
    ("auth method", CloudClass::Auth),
    ("unauthorized", CloudClass::Auth),
    ("missing environment variable", CloudClass::Auth),
    ("trusted directory", CloudClass::Denied),
    ("timed out", CloudClass::Timeout),
    ("idle timeout", CloudClass::Timeout),
    ("stream disconnected", CloudClass::Network),
    ("without a finish reason", CloudClass::Network),
    ("fetch failed", CloudClass::Network),
    ("error sending request", CloudClass::Network),
    ("lookup address", CloudClass::Network),
    ("connection error", CloudClass::Network),  // documented: claude
    ("unable to connect", CloudClass::Network), // documented: claude
    ("econn", CloudClass::Network),             // documented: Node's names of socket errors
    ("enotfound", CloudClass::Network),         // documented: the same
    ("empty response", CloudClass::Empty),
];

/// Returns what a message means; `None` for one that no row knows.
pub(super) fn class(message: &str) -> Option<CloudClass> {
    if let Some(status) = status_in(message) {
        return Some(of_status(status, message));
    }
    by_words(message)
}

/// Returns what an HTTP status means; the message tells a used-up plan from a busy minute.
pub(super) fn of_status(status: u64, message: &str) -> CloudClass {
    let words = by_words(message);
    match status {
        401 | 403 => CloudClass::Auth,
        402 => CloudClass::Quota { until: wait(message) },
        404 => CloudClass::ModelMissing,
        408 => CloudClass::Timeout,
        413 => CloudClass::ContextTooLong,
        429 => match words {
            Some(quota @ CloudClass::Quota { .. }) => quota,
            Some(_) | None => CloudClass::RateLimited { until: wait(message) },
        },
        // A request that is refused for another reason is the provider's word against ours.
        400..=499 => words.unwrap_or(CloudClass::Server),
        _ => CloudClass::Server,
    }
}

fn by_words(message: &str) -> Option<CloudClass> {
    let message = message.to_lowercase();
    let class = WORDS.iter().find(|(words, _)| message.contains(words)).map(|(_, class)| *class)?;
    // The table names the kind; how long it lasts stands in the message.
    let until = wait(&message);
    Some(if class == QUOTA {
        CloudClass::Quota { until }
    } else if class == LIMITED {
        CloudClass::RateLimited { until }
    } else {
        class
    })
}

/// The status in `unexpected status 401 Unauthorized: …`, `…, last status: 429 Too Many Requests` (codex) and
/// `Attempt 1 failed with status 500. …` (gemini).
fn status_in(message: &str) -> Option<u64> {
    let begins = ["unexpected status ", "last status: ", "failed with status "];
    let (_, rest) = begins.iter().find_map(|begin| message.split_once(begin))?;
    let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|status| (400..600).contains(status))
}

/// The seconds in "Suggested retry after 1s." and "try again in 3 days 2 hours". A time of the clock ("at 3:10 PM") has
/// neither date nor zone: `None`.
fn wait(message: &str) -> Option<u64> {
    let message = message.to_lowercase();
    let (_, rest) = ["retry after ", "try again in ", "retry in "].iter().find_map(|word| message.split_once(word))?;
    let mut seconds: Option<u64> = None;
    let mut words = rest.split([' ', ',']).filter(|word| !word.is_empty() && *word != "and").peekable();
    while let Some(word) = words.next() {
        let digits = word.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let Ok(number) = word.get(..word.len() - digits.len()).unwrap_or_default().parse::<u64>() else { break };
        let glued = digits.trim_start_matches(|letter: char| letter == '.' || letter.is_ascii_digit());
        let unit = if glued.is_empty() { words.next().unwrap_or_default() } else { glued };
        let unit = match unit.trim_end_matches(['.', ')', '!']) {
            "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            _ => break,
        };
        seconds = Some(seconds.unwrap_or(0).saturating_add(number.saturating_mul(unit)));
    }
    seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: Option<CloudClass>) {
        assert_eq!(class(message), expected, "{message}");
    }

    #[test]
    fn a_named_wait_is_read_and_a_time_of_the_clock_is_not() {
        let limited = |until| Some(CloudClass::RateLimited { until });
        let quota = |until| Some(CloudClass::Quota { until });
        check("Rate limit reached. Please try again in 20s.", limited(Some(20)));
        check("Rate limit reached. Please try again in 6.5s", limited(Some(6)));
        check("rate limit; retry after 2 minutes", limited(Some(120)));
        check("rate limit", limited(None));
        check("You've hit your usage limit. Try again in 3 days, 2 hours and 5 minutes.", quota(Some(266_700)));
        check("You’ve hit your usage limit. … or try again at 3:10 PM.", quota(None));
        check("usage limit, try again in a while", quota(None));
        check("usage limit, try again in 99999999999999999999 days", quota(None));
    }

    #[test]
    fn a_status_in_the_message_counts_more_than_its_words() {
        check("unexpected status 401 Unauthorized: overloaded, url: http://h", Some(CloudClass::Auth));
        check("unexpected status 503 Service Unavailable: x", Some(CloudClass::Server));
        check("unexpected status 400 Bad Request: Your prompt is too long", Some(CloudClass::ContextTooLong));
        check("exceeded retry limit, last status: 429 Too Many", Some(CloudClass::RateLimited { until: None }));
        check("unexpected status 429 x: check your plan and billing", Some(QUOTA));
        check("unexpected status 7: no", None);
        check("all is well", None);
    }
}
