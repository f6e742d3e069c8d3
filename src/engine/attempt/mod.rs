//! One file for each kind of try.

pub mod ask;
pub mod cloud_change;
pub mod effort;
pub mod leaving;
pub mod lesser;
pub mod local_answer;
pub mod local_change;
pub mod pacing;
pub mod parcel;
pub mod reading;
