//! What only a person at a terminal sees: the question before a provider writes, answers as they come, colours. The
//! terminal is a real one, made by Python's `pty`.

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

/// Starts its arguments in a terminal of so many columns and shows all that came.
const ONLOOKER: &str = "
import fcntl, os, pty, struct, sys, termios
columns, command = int(sys.argv[1]), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
    os.execv(command[0], command)
seen = b''
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        break
    if not piece:
        break
    seen += piece
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

/// Runs the task of a scenario in a terminal; returns what a person sees, with `\n` for the line ends of a terminal.
fn seen(scenario: &str, columns: usize, env: &[(&str, &str)]) -> String {
    let folder = manifest().join("fixtures/run").join(scenario);
    let world = World::new("seen");
    let server = Server::start(&folder.join("http"));
    let default = "providers:\n  local:\n    base_url: \"{{local}}/v1\"\n    model: qwen-coder-1.5b\n";
    let yaml = fs_err::read_to_string(folder.join("mux.yaml")).unwrap_or_else(|_| default.into());
    world.configure(&yaml.replace("{{local}}", &server.url()));
    if folder.join("cli/claude").exists() {
        world.install_cli("claude", &folder.join("cli/claude"));
    }
    let mut onlooker = world.command(world.root.join("bin/python3"));
    onlooker.args(["-c", ONLOOKER, &columns.to_string(), env!("CARGO_BIN_EXE_mux")]);
    onlooker.args(fs_err::read_to_string(folder.join("args")).unwrap().lines());
    onlooker.env("TERM", "xterm").envs(env.iter().copied());
    let ran = run(onlooker, b"");
    let expected = fs_err::read_to_string(folder.join("expected/exit")).unwrap();
    assert_eq!(format!("{}\n", ran.exit), expected, "{}", ran.report());
    server.end();
    String::from_utf8(ran.stdout).unwrap().replace("\r\n", "\n")
}

/// The sequences in what was seen, without the text.
fn sequences(seen: &str) -> Vec<&str> {
    let ends = |rest: &str| rest.find(|c: char| c.is_ascii_alphabetic()).map_or(rest.len(), |at| at + 1);
    seen.split('\x1b').skip(1).map(|rest| &rest[..ends(rest)]).collect()
}

/// The recorded answer of a scenario, as it is printed in a pipe.
fn answer(scenario: &str) -> String {
    let stdout =
        fs_err::read_to_string(manifest().join("fixtures/run").join(scenario).join("expected/stdout")).unwrap();
    stdout.split_once("output:\n").unwrap().1.trim().to_string()
}

#[test]
fn an_answer_stands_on_the_terminal_once_and_before_its_result() {
    let (scenario, tail) = ("003_plain_answer_stays_home", "\noutput: above\n");
    let answer = answer(scenario);
    for columns in [40, 80, 200] {
        let seen = seen(scenario, columns, &[]);
        let (before, result) = seen.split_once(&answer).unwrap_or_else(|| panic!("no answer in {seen:?}"));
        assert!(before.ends_with("\x1b[K") && result.starts_with("\n\nroute: local\n"), "{seen:?}");
        assert!(result.ends_with(tail), "{seen:?}");
        // Nothing but a line that is erased: no cursor is hidden, no screen is left.
        let others: Vec<_> = sequences(&seen).into_iter().filter(|sequence| *sequence != "[K").collect();
        assert_eq!(others, [""; 0], "{seen:?}");
        for live in before.split("\x1b[K").filter_map(|line| line.strip_prefix('\r')) {
            assert!(live.chars().count() < columns, "{columns}: {live:?}");
        }
    }
}

#[test]
fn an_answer_that_does_not_count_is_parted_from_the_one_that_does() {
    let seen = seen("128_a_low_score_sends_an_answer_to_the_cloud", 80, &[("NO_COLOR", "1")]);
    let local = answer("003_plain_answer_stays_home");
    let rule = "─".repeat(40);
    let expected = format!("{local}\n{rule}\nmux: escalating to claude (answer): low_confidence\n");
    assert!(seen.contains(&expected), "{seen:?}\nwithout\n{expected:?}");
    assert_eq!(seen.matches("The answer is 42. (canned reply)").count(), 1, "{seen:?}");
    assert!(seen.contains("\noutput:\nThe answer is 42."), "{seen:?}");
    assert!(sequences(&seen).iter().all(|sequence| *sequence == "[K"), "{seen:?}");
}

#[test]
fn a_change_is_shown_as_a_diff_in_colours() {
    let seen = |env: &[(&str, &str)]| seen("004_change_is_proved", 80, env);
    let tail =
        |green: &str, end: &str| format!("created hello.py (23 bytes)\n{{}}{green}+print(\"Hello, world!\"){end}\n");
    for (env, green, end) in
        [(&[][..], "\x1b[32m", "\x1b[0m"), (&[("NO_COLOR", "1")], "", ""), (&[("TERM", "dumb")], "", "")]
    {
        let seen = seen(env);
        let expected = tail(green, end);
        let (start, last) = expected.split_once("{}").unwrap();
        assert!(seen.contains(start) && seen.ends_with(last), "{seen:?}\nwithout\n{expected:?}");
        assert_eq!(seen.contains('\x1b'), !env.contains(&("TERM", "dumb")), "{seen:?}");
    }
}

#[test]
fn a_task_can_be_written_in_an_editor() {
    let world = World::new("editor");
    world.configure("providers:\n  local:\n    base_url: \"http://127.0.0.1:1/v1\"\n    model: m\n");
    let write = |task: &str| {
        let mut onlooker = world.command(world.root.join("bin/python3"));
        onlooker.args(["-c", ONLOOKER, "80", env!("CARGO_BIN_EXE_mux"), "run", "--dry-run"]);
        // An editor with an argument of its own, and a text that is put before what is there.
        onlooker.env("VISUAL", format!("sh -c 'printf \"{task}\" | cat - \"$0\" >t && mv t \"$0\"'"));
        run(onlooker, b"")
    };
    let ran = write("Create a.py\\nthat prints.");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.exit == 0 && said.contains("kind: change\r\n"), "{}", ran.report());
    let ran = write("");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.exit == 2 && said.contains("mux: there is no task\r\n"), "{}", ran.report());
    assert_eq!(tree(&world.root.join("tmp")).len(), 0, "the file of the task is gone");
}
