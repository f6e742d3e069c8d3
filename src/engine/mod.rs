//! Floor 3: the work, each from start to end. Only this floor knows both the rules and the edges.

pub mod attempt;
pub mod doctor;
pub mod gather;
pub mod heal;
pub mod run;
pub mod suites;
pub mod verify;
