//! Floor 3: the work, each from start to end. Only this floor knows both the rules and the edges.

pub mod around;
pub mod attempt;
pub mod baseline;
pub mod connect;
pub mod doctor;
pub mod escalate;
pub mod finish;
pub mod gate;
pub mod gather;
pub mod gathered;
pub mod heal;
pub mod installed;
pub mod judge;
pub mod listing;
pub mod look;
pub mod outcome;
pub mod place;
pub mod prepare;
pub mod probe;
pub mod review;
pub mod run;
pub mod setup;
pub mod suites;
pub mod syntax;
pub mod undo;
pub mod verify;
