//! What only a person at a terminal sees: the question before a provider writes. The terminal is a real one, made by
//! Python's `pty`.

use crate::bench::{World, copy_tree, manifest, run, tree};
use crate::replay::Server;

/// Starts its arguments in a terminal of their own, types the answer when it is asked for one, and shows all that came.
const TYPIST: &str = "
import os, pty, sys
answer, command = sys.argv[1], sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(command[0], command)
seen = b''
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        break
    if not piece:
        break
    asked = b'[y/N]' in seen
    seen += piece
    if not asked and b'[y/N]' in seen:
        os.write(terminal, answer.encode() + b'\\n')
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

/// Plays the scenario in which hands would help, with a person who answers.
#[track_caller]
fn asks(name: &str, answer: &str, expected_exit: i32, expected: &str) {
    let folder = manifest().join("fixtures/run/107_hands_after_advice_finish_a_change");
    let world = World::new(name);
    copy_tree(&folder.join("input"), &world.work);
    let server = Server::start(&folder.join("http"));
    let local = format!("providers:\n  local:\n    base_url: \"{}/v1\"\n    model: qwen-coder-1.5b\n", server.url());
    world.configure(&format!("{local}local_executor:\n  max_attempts: 1\n"));
    world.install_cli("claude", &folder.join("cli/claude"));
    let before = tree(&world.work);

    let mut typist = world.command(world.root.join("bin/python3"));
    typist.args(["-c", TYPIST, answer, env!("CARGO_BIN_EXE_mux")]);
    typist.args(["run", "--verify", "python3 check.py", "Add a function mean(prices) to price.py."]);
    let ran = run(typist, b"");
    let seen = String::from_utf8_lossy(&ran.stdout);
    let question = "mux: escalate to claude, which then edits files here? [y/N] ";
    assert_eq!((seen.matches(question).count(), ran.exit), (1, expected_exit), "{}", ran.report());
    assert!(seen.contains(expected), "{}", ran.report());
    let changed = tree(&world.work) != before;
    assert_eq!(changed, expected_exit == 0, "{}", ran.report());
    server.end();
}

#[test]
fn a_person_who_says_yes_lets_a_provider_write() {
    asks("yes", "y", 0, "route: claude");
}

#[test]
fn everything_else_is_a_no() {
    asks("no", "n", 1, "reason: verify_failed");
    asks("enter", "", 1, "reason: verify_failed");
}
