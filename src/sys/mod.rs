//! Floor 2: the edges, one outside thing each. They are handed paths, locks and values by `engine/`.

pub mod ancestry;
pub mod chat;
pub mod config_files;
pub mod disk;
pub mod git;
pub mod hooks;
pub mod http;
pub mod lane;
pub mod ledger;
pub mod page_file;
pub mod proc;
pub mod results;
pub mod scratch;
pub mod servers;
pub mod snapshot;
pub mod state;
pub mod tty;
pub mod wire;
