//! `mux mcp`: the Model Context Protocol on standard input and output, for coding clients that hand tasks to mux.
//!
//! Three kinds of threads: one reads lines, one owns all state and decides every answer (`serve.rs`), one writes; and a
//! worker for each call that does more than look things up. The owner never waits for the client nor for a worker, so
//! that neither can hide a ping, a cancellation, the end of the input or a signal.
//!
//! **Invariants:** nothing but the protocol reaches the client (`sys/wire.rs`). Starting up touches nothing: no file, no
//! lock, no model. Everything that was started for a client ends with it.

mod calls;
mod progress;
mod protocol;
mod report;
pub mod serve;
mod tools;
mod wires;
mod wish;
mod work;
