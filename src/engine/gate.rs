//! The gate to the cloud: the only place that starts a provider. Local-only, recursion, scope, `never_send`, secrets and
//! budget are checked here, in this order, and the egress record is on disk before the first byte leaves.
//!
//! **Invariant:** what leaves is exactly the text of the [`Parcel`], after redaction; files that match `never_send` are
//! kept out by whoever packs one, with [`Gate::may_send`].

use crate::engine::run::House;
use crate::rules::config::{Config, PromptVia, Scope, Secrets, Tool};
use crate::rules::provider::{self, Call};
use crate::rules::{globs, secrets};
use crate::sys::budget::{Budget, Limits};
use crate::sys::cooldown::Cooldowns;
use crate::sys::egress::{Egress, Entry, Part};
use crate::sys::proc::{self, Chunk, Exit, Spawn};
use crate::sys::{ancestry, results::Results};
use crate::words::cloud::{CloudClass, CloudFailure, CloudReply, End, Progress};
use crate::words::event::{Event, Watcher};
use crate::words::record::CloudUse;
use crate::words::stop::Stop;
use crate::words::task::{Asked, Attempt, Failure, Provider, Reason, Refusal};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a provider is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Answer,
    Advice,
    Review,
    Hands,
}
