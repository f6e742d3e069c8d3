//! Floor 1: pure functions of their arguments. No files, network, processes, clock, environment or printing.

pub mod argv;
pub mod assembly;
pub mod chunk;
pub mod complaint;
pub mod confidence;
pub mod config;
pub mod diff;
pub mod escape;
pub mod evidence;
pub mod config_keys;
pub mod config_layers;
pub mod config_scan;
pub mod config_shown;
pub mod config_text;
pub mod config_values;
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
pub mod stream;
