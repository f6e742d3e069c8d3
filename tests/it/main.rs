//! One test binary: the bench that runs the real `mux` in a world of its own, the scenarios under `fixtures/run`, and
//! the tests of the repository itself. Nothing is mocked: real files, a real loopback server, real children.

#![expect(clippy::disallowed_methods, reason = "tests start mux and read the environment they shield it from")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should panic where it stands"
)]

mod bench;
mod client;
mod clock;
mod cloud;
mod cloud_look;
mod cut;
mod emulator;
mod evil;
mod failover;
mod faults;
mod fit;
mod fixes;
mod hooks;
mod hostile;
mod kill;
mod log;
mod loops;
mod many;
mod mask;
mod mcp;
mod offline;
mod readme;
mod recipes;
mod record;
mod release;
mod replay;
mod report;
mod reviews;
mod routes;
mod sandbox;
mod scenarios;
mod setup;
mod shells;
mod signals;
mod slow;
mod soak;
mod terminal;
mod tidy;
#[cfg(feature = "tls")]
mod tls;
mod trees;
mod tries;
mod two;
mod undo;
mod upgrade;
mod usage;
