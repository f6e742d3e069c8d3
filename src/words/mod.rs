//! Floor 0: the words of mux. Types and nothing else: no files, no network, no processes, no clock.

pub mod changes;
pub mod chat;
pub mod cloud;
pub mod count;
pub mod env;
pub mod error;
pub mod event;
pub mod failure;
pub mod name;
pub mod record;
pub mod route;
pub mod server;
pub mod stop;
pub mod task;
pub mod time;
