//! Clocks that are set back, forward, to a time before mux, and that run too fast. `libfaketime` sets them, for one program
//! at a time: `MUX_FAKETIME` names the library. A program that is linked statically would not notice.

use crate::bench::{World, run};
use crate::kill::response;
use crate::replay::Server;
use crate::soak::say;
use fs_err as fs;
use serde_json::Value;
use std::collections::BTreeSet;

/// As libfaketime reads them: what is added to the time, and `x` how much faster it goes.
const CLOCKS: [&str; 10] =
    ["+0", "-1d", "+400d", "-400d", "+20y", "-20y", "-50y", "+0 x5000", "-3h x0.01", "+1d x100000"];

#[test]
#[ignore = "a library that is not everywhere: tests/soak.sh"]
fn whatever_the_clock_says_each_run_has_its_line_and_is_undone() {
    let library = std::env::var("MUX_FAKETIME").expect("MUX_FAKETIME names libfaketime.so.1");
    let world = World::new("clock");
    let http = world.root.join("http");
    fs::create_dir(&http).unwrap();
    fs::write(http.join("every.response.raw"), response("FILE: old.txt\n```\nnew\n```\n")).unwrap();
    let server = Server::start(&http);
    world.configure(&format!("providers: {{local: {{base_url: \"{}/v1\", model: m}}}}\n", server.url()));
    let at = |clock: &str, args: &[&str]| {
        let mut command = world.mux();
        command.env("LD_PRELOAD", &library).env("FAKETIME", clock).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command.args(args);
        let ran = run(command, b"");
        assert_eq!(ran.exit, 0, "{clock}\n{}", ran.report());
        String::from_utf8(ran.stdout).unwrap()
    };
    let file = world.work.join("old.txt");
    let mut n = 0;
    for first in CLOCKS {
        for second in CLOCKS {
            fs::write(&file, "old\n").unwrap();
            at(first, &["run", "--change", "--no-verify", "--file=old.txt", "Rewrite old.txt"]);
            assert_eq!(fs::read_to_string(&file).unwrap(), "new\n");
            at(second, &["undo"]);
            assert_eq!(fs::read_to_string(&file).unwrap(), "old\n", "{first}, then {second}");
            n += 2;
        }
        for command in ["log", "status", "why", "egress", "replay"] {
            at(first, &[command]);
        }
    }
    server.end();
    let ledger = fs::read_to_string(world.root.join("state/mux/run_ledger.jsonl")).unwrap();
    let lines: Vec<Value> = ledger.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: BTreeSet<&str> = lines.iter().map(|line| line["run_id"].as_str().unwrap()).collect();
    let years: BTreeSet<&str> = lines.iter().map(|line| &line["timestamp"].as_str().unwrap()[..4]).collect();
    let longest = lines.iter().filter_map(|line| line["duration_ms"].as_u64()).max();
    say(&format!(
        "runs and undos under clocks that jump {n}, of {} years, records lost {}",
        years.len(),
        n - lines.len()
    ));
    assert_eq!((lines.len(), ids.len()), (n, n), "a line is lost, or an id is there twice");
    let numbers: Vec<u64> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert!(longest.is_some_and(|ms| ms < 60_000), "{longest:?}: durations follow the clock");
    assert!(years.len() >= 4, "{years:?}: the library was not heeded");
}
