//! One call of the kernel fails, at every place where a run makes it, one place after the other: the disk is full, broken
//! or read-only, descriptors run out. Whatever fails, the exit code is true, the files are the old or the new ones, the
//! ledger holds whole lines, and the next command leaves nothing behind.
//!
//! `strace` makes them fail, so this needs Linux, and `tests/soak.sh` to have the time.

use crate::bench::{Files, World, run, tree};
use crate::kill::{journals, response};
use crate::replay::Server;
use fs_err as fs;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Mutex;
use std::thread;

/// What fails, and with what.
const CALLS: &[(&str, &[&str])] = &[
    ("openat", &["EIO", "ENOSPC", "EROFS", "EMFILE"]),
    ("write", &["EIO", "ENOSPC", "EDQUOT"]),
    ("fsync", &["EIO", "ENOSPC", "EDQUOT"]),
    ("renameat2", &["EIO", "ENOSPC", "EROFS"]),
    ("renameat", &["EIO", "ENOSPC", "EROFS"]),
    ("rename", &["EIO", "ENOSPC", "EROFS"]),
    ("mkdirat", &["EIO", "ENOSPC", "EROFS", "EDQUOT"]),
    ("mkdir", &["EIO", "ENOSPC", "EROFS", "EDQUOT"]),
    ("linkat", &["EIO", "EDQUOT"]),
    ("unlinkat", &["EIO", "EROFS"]),
    ("unlink", &["EIO", "EROFS"]),
    ("fchmod", &["EIO", "EROFS"]),
    ("ftruncate", &["EIO"]),
    ("flock", &["EIO", "ENOLCK"]),
    ("read", &["EIO"]),
    ("getdents64", &["EIO"]),
    ("dup", &["EMFILE"]),
    ("pipe2", &["EMFILE", "ENFILE"]),
    ("socket", &["EMFILE", "ENOBUFS"]),
];

#[test]
#[ignore = "some minutes: tests/soak.sh"]
fn whatever_call_fails_nothing_is_lost() {
    let next = Mutex::new(CALLS.iter().flat_map(|(call, errors)| errors.iter().map(move |error| (*call, *error))));
    let (ends, faults) = (Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let pair = next.lock().unwrap().next();
                    let Some((call, error)) = pair else { break };
                    let (exits, found) = suffer(call, error);
                    for exit in exits {
                        *ends.lock().unwrap().entry(exit).or_insert(0) += 1;
                    }
                    faults.lock().unwrap().extend(found);
                }
            });
        }
    });
    let (ends, faults) = (ends.into_inner().unwrap(), faults.into_inner().unwrap());
    let (tried, n) = (ends.values().sum::<usize>(), faults.len());
    let line = format!("soak: calls that failed, one a run {tried} (by exit code {ends:?}), lost or mixed {n}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    let is_enough = tried > 300 && [0, 1, 3].iter().all(|exit| ends.get(exit).is_some_and(|n| *n >= 10));
    assert!(is_enough, "too little was tested: {ends:?}");
}

/// Lets the first, second, … `call` of a run fail until a run makes no so many; returns how these ended, and what
/// went wrong.
fn suffer(call: &str, error: &str) -> (Vec<i32>, Vec<String>) {
    let world = World::new(&format!("faults-{call}-{error}"));
    let http = world.root.join("http");
    fs::create_dir(&http).unwrap();
    let reply = "FILE: old.txt\n```\nnew\n```\n\nFILE: made/new.txt\n```\nmade\n```\n";
    fs::write(http.join("every.response.raw"), response(reply)).unwrap();
    let server = Server::start(&http);
    world.configure(&format!(
        "providers: {{local: {{base_url: \"{}/v1\", model: m, auto_detect: false}}}}\n\
         local_runtime: {{health_retries: 0}}\nlocal_executor: {{max_attempts: 1}}\n",
        server.url()
    ));
    let down = world.root.join("down.yaml");
    let nobody = "providers: {local: {base_url: \"http://127.0.0.1:1/v1\", auto_detect: false}}\n\
                  local_runtime: {health_retries: 0}\n";
    fs::write(&down, nobody).unwrap();
    let old = Files::from([("old.txt".to_string(), b"old\n".to_vec())]);
    let new = Files::from([("made/new.txt".into(), b"made\n".to_vec()), ("old.txt".into(), b"new\n".to_vec())]);
    let (mut exits, mut faults) = (Vec::new(), Vec::new());
    for n in 1.. {
        lay_out(&world);
        let calls = world.root.join("calls.txt");
        let mut command = world.command(world.root.join("bin/strace"));
        command.args(["--seccomp-bpf", "-f", "-qq", "-o"]).arg(&calls);
        command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:error={error}:when={n}")]);
        command.arg(env!("CARGO_BIN_EXE_mux"));
        command.args(["run", "--change", "--no-verify", "--file=old.txt", "Rewrite old.txt and add made/new.txt"]);
        let ran = run(command, b"");
        let said = [&ran.stdout[..], &ran.stderr[..]].concat();
        let said = String::from_utf8_lossy(&said);
        if !fs::read_to_string(&calls).unwrap().contains("(INJECTED)") {
            break;
        }
        // The loader of the C library, before there is a mux.
        if ran.exit == 127 && said.contains("shared libraries") {
            continue;
        }
        exits.push(ran.exit);
        let found = tree(&world.work);
        let mut heal = world.mux();
        heal.args(["run", "--answer", "x", "--config"]).arg(&down);
        let healed = run(heal, b"");
        let ledger = fs::read_to_string(world.root.join("state/mux/run_ledger.jsonl")).unwrap_or_default();
        let lines: Vec<_> = ledger.lines().map(serde_json::from_str::<Value>).collect();
        let is_recorded = lines.len() == 2;
        let mut fault = |is: bool, what: &str| {
            let report = || format!("{call} {n} {error}: {what}\n{}\nnext:\n{}", ran.report(), healed.report());
            faults.extend(is.then(report));
        };
        fault(said.contains("panicked") || !(0..=4).contains(&ran.exit), "no such end is foreseen");
        fault(found != old && found != new, "neither the old files nor the new ones");
        fault(ran.exit == 0 && (found != new || !is_recorded), "it said that it was done");
        fault([1, 2, 4].contains(&ran.exit) && found != old, "it said that nothing was done");
        fault(healed.exit != 1, "the next command did not end as it must");
        let after = tree(&world.work);
        fault(after != old && after != new, "mixed files after the next command");
        fault(ran.exit == 0 && after != new, "the next command took back what was done");
        fault(lines.iter().any(Result::is_err) || lines.is_empty(), "the ledger is broken");
        fault(journals(&world) != Vec::<String>::new(), "a journal is left");
    }
    server.end();
    (exits, faults)
}

/// The files and the state of a user who has never run mux.
fn lay_out(world: &World) {
    for place in ["work", "state"] {
        fs::remove_dir_all(world.root.join(place)).unwrap();
        fs::create_dir(world.root.join(place)).unwrap();
    }
    fs::write(world.work.join("old.txt"), "old\n").unwrap();
}
