//! One test for each folder of `fixtures/run`; `tidy` fails on a folder that is missing here. To add one, make
//! the folder, add its name, run `RECORD=http://127.0.0.1:8080 cargo test --test it NAME` against a real model server,
//! and read what was written: that is the review. Without a model call, `BLESS=1` does it.

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
    _007_new_module_is_proved_by_the_tests_that_wait_for_it,
    _008_evidence_of_a_red_test_leads_to_green,
    _009_all_tries_red_leave_the_tree_and_a_diff,
    _010_a_file_named_in_the_task_is_rewritten_and_proved,
    _011_file_outside_the_work_directory_is_refused,
    _012_dry_run_shows_what_would_be_sent_and_calls_nothing,
    _013_preview_shows_the_diff_and_writes_nothing,
    _014_answer_as_json,
    _015_what_does_not_fit_the_window_is_context_overflow,
    _016_a_cut_reply_gets_a_larger_budget,
    _017_a_reply_without_files_is_repaired_once,
    _018_another_model_than_the_configured_one_is_named,
    _019_a_risk_word_stays_home_without_a_provider,
    _020_local_only_and_a_cloud_route_allow_nothing,
    _021_a_verify_program_that_is_missing_is_said_before_any_call,
    _022_strict_counts_skipped_as_failed,
    _023_work_directories_that_are_refused,
    _024_a_symlinked_work_directory_is_resolved_once,
    _025_a_missing_work_directory_is_made_for_an_accepted_change,
    _026_the_task_comes_on_standard_input,
    _027_an_unknown_key_is_exit_2_with_its_place,
    _028_commands_of_a_project_need_trust,
    _029_a_restart_command_runs_once,
    _030_an_answer_about_a_file_shows_the_file,
    _031_two_new_files_in_one_reply,
    _032_new_files_go_below_the_directory_of_the_task,
    _033_a_run_is_seen_by_log_and_status,
    _034_a_hook_like_file_is_refused_unless_it_is_named,
    _035_an_unclear_task_is_an_answer_with_a_hint,
    _036_a_low_score_without_a_provider_is_marked_and_exit_1,
    _037_what_cannot_be_recorded_is_exit_3_and_keeps_the_files,
    _038_a_configuration_that_others_may_write_is_refused,
    _039_another_machine_needs_to_be_allowed,
    _040_offline_in_the_environment_allows_no_cloud,
    _041_a_file_that_someone_else_changed_is_left_and_reported,
    _042_a_busy_server_is_asked_again,
    _043_a_run_is_undone_and_the_undo_too,
    _050_tests_that_were_red_before_make_it_unproven,
    _051_a_test_that_was_green_before_makes_it_failed,
    _060_a_class_is_found_with_its_tests,
    _061_what_mux_found_is_left_out_before_giving_up,
    _062_a_file_larger_than_the_window_is_not_rewritten,
    _063_why_tells_what_a_run_was_decided_by,
    _064_why_names_what_would_have_changed_an_answer,
    _065_replay_tries_other_settings_on_the_ledger,
    _068_bench_of_a_provider_needs_a_yes,
    _069_bench_by_a_provider_is_counted_and_not_in_the_ledger,
    _070_examples_that_hold_raise_the_score,
    _071_examples_that_do_not_hold_are_evidence,
    _072_without_a_runner_examples_say_nothing,
    _100_a_red_change_is_finished_with_advice,
    _101_a_risk_word_sends_an_answer_to_the_cloud,
    _102_a_provider_out_of_quota_hands_over_and_is_left_alone,
    _103_without_a_local_model_a_provider_writes,
    _104_a_provider_that_changes_nothing_is_asked_once_more,
    _105_what_a_provider_broke_is_taken_back,
    _106_hands_after_advice_need_permission,
    _107_hands_after_advice_finish_a_change,
    _108_a_secret_is_not_sent,
    _109_a_budget_that_is_spent_refuses,
    _110_below_another_mux_nothing_escalates,
    _111_a_scope_that_no_provider_offers_refuses,
    _112_a_review_that_is_content,
    _113_what_is_never_sent_stays_home,
    _114_a_declared_cli_answers,
    _115_without_a_reply_the_best_local_answer_is_marked,
    _116_a_forced_route_that_is_not_installed_is_not_replaced,
    _117_gemini_answers_without_tools,
    _118_a_preview_of_hands_writes_nothing,
    _119_what_mux_must_not_write_no_provider_writes,
    _120_a_dry_run_names_the_provider,
    _121_a_review_that_finds_a_mistake_gets_one_fix,
    _122_a_review_that_stays_bad_takes_the_change_back,
    _123_a_forced_review_that_nobody_gives_is_not_done,
    _125_a_change_that_nothing_checks_outlives_useless_advice,
    _124_a_provider_that_is_not_let_write_is_not_asked_again,
    _126_why_follows_a_change_to_the_cloud,
    _127_why_says_what_a_review_took_back,
    _128_a_low_score_sends_an_answer_to_the_cloud,
}
