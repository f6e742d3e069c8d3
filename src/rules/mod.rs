//! Floor 1: pure functions of their arguments. No files, network, processes, clock, environment or printing.

pub mod argv;
pub mod confidence;
pub mod config;
pub mod diff;
pub mod escape;
pub mod evidence;
pub mod intent;
pub mod named;
pub mod names;
pub mod policy;
pub mod prompt;
pub mod reply;
pub mod run_id;
pub mod secrets;
pub mod stats;
pub mod vocabulary;
