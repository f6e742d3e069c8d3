//! A CLI that prints its answer and nothing else.

use super::Heard;
use crate::words::cloud::CloudReply;

pub(super) fn hear(out: &str) -> Heard {
    Heard {
        reply: CloudReply { text: out.trim().to_string(), ..CloudReply::default() },
        is_whole: true,
        ..Heard::default()
    }
}
