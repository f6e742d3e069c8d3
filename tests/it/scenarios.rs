//! One test for each folder of `fixtures/run`; `tidy` fails on a folder that is missing here. To add one, copy a
//! folder, add its name, run `BLESS=1 cargo test --test it NAME`, and read the diff: that is the review.

use crate::bench;

macro_rules! scenarios {
    ($($(#[$mark:meta])* $name:ident),* $(,)?) => {
        /// For `tidy`. A name begins with `_`, because no function may begin with a digit.
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            $(#[$mark])*
            fn $name() {
                bench::scenario(stringify!($name).trim_start_matches('_'));
            }
        )*
    };
}

scenarios! {
    _001_version,
    _002_unknown_option_is_exit_2,
    _003_plain_answer_stays_home,
    _004_change_is_proved,
    _005_failed_proof_leaves_the_tree_as_it_was,
    _006_no_server_no_success,
}
