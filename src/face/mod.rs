//! Floor 4: what people and programs touch. May print; may not decide a route nor do the work.

pub mod args;
pub mod bench;
pub mod compose;
pub mod config;
pub mod diff;
pub mod doctor;
pub mod egress;
pub mod fit;
pub mod here;
pub mod hook;
pub mod log;
pub mod mcp;
pub mod print;
pub mod replay;
pub mod report;
pub mod run;
pub mod screen;
pub mod setup;
pub mod start;
pub mod status;
pub mod stream;
pub mod trust;
pub mod tune;
pub mod undo;
pub mod watch;
pub mod why;
