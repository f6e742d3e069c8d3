#!/usr/bin/env bash
# The long tests of the promises in SECURITY.md, one after the other, and what they showed: bad inputs tried, kills
# survived, records lost, escapes. Needs a quarter of an hour on two cores. Exits 0 only if every part ran and passed; two
# need what is not in this repository, and are named as not run where it is missing:
#
#   tests/soak.sh [NAME…]     all of them, or those whose names hold one of the words
#   MUX_HOSTILE=DIRECTORY     where the `evil_model.py` is that tests/it/hostile.rs speaks of
#   MUX_FAKETIME=FILE         libfaketime.so.1, where it is not found (`apt-get install libfaketime`)
set -u
cd "$(dirname "$0")/.." || exit 1

# Part of the test binary, then the test.
parts=(
    "it soak::no_bad_path_in_any_shape_is_written"
    "it soak::no_broken_reply_does_harm"
    "it soak::many_runs_at_once_of_which_some_are_killed_lose_no_record"
    "it soak::a_flood_of_requests_gets_one_answer_each_and_stays_small"
    "it kill::killed_200_times_a_run_leaves_all_or_nothing"
    "it undo::an_undo_that_is_killed_anywhere_is_whole_or_not_at_all"
    "it faults::whatever_call_fails_nothing_is_lost"
    "it soak::no_configuration_takes_long_or_much"
    "it clock::whatever_the_clock_says_each_run_has_its_line_and_is_undone"
    "it hostile::no_scenario_of_a_hostile_server_does_harm"
    "it hostile::a_run_that_races_with_a_swap_writes_nothing_outside"
    "mux sys::ledger::tests::full_and_read_only_disks_are_named"
)
log=$(mktemp) summary=$(mktemp) failed=0 ran=0
trap 'rm -f "$log" "$summary"' EXIT
export CARGO_PROFILE_TEST_DEBUG=0
for found in /usr/lib/*/faketime/libfaketime.so.1; do
    [ -e "$found" ] && export MUX_FAKETIME=${MUX_FAKETIME:-$found}
done
for part in "${parts[@]}"; do
    read -r binary name <<<"$part"
    if [ $# -gt 0 ]; then
        wanted=no
        for word in "$@"; do [[ $name == *"$word"* ]] && wanted=yes; done
        [ $wanted = yes ] || continue
    fi
    needed=
    [[ $name != hostile* ]] || needed=MUX_HOSTILE
    [[ $name != clock* ]] || needed=MUX_FAKETIME
    if [ -n "$needed" ] && [ -z "${!needed:-}" ]; then
        echo "not run: $name ($needed is not set)"
        continue
    fi
    kind=--test
    [ "$binary" = mux ] && kind=--bin
    started=$SECONDS
    cargo test --locked --quiet "$kind" "$binary" -- --ignored --exact --nocapture "$name" >"$log" 2>&1
    code=$?
    # A test that was renamed would be a part that passes without a run.
    if [ $code -eq 0 ] && grep -q "^test result: ok. 1 passed" "$log"; then
        word=ok
    else
        word=FAILED failed=$((failed + 1))
        cat "$log"
    fi
    ran=$((ran + 1))
    echo "$word $((SECONDS - started)) s  $name"
    sed -n -e 's/^.*soak: /    /p' -e '/[0-9] kills of /s/^/    /p' "$log" | tee -a "$summary"
done

echo
echo "parts: $ran, failed: $failed, $SECONDS s"
cat "$summary"
[ "$failed" -eq 0 ] && [ "$ran" -gt 0 ]
