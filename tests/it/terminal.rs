//! What only a person at a terminal sees: the question before a provider writes, answers as they come, colours. The
//! terminal is a real one, made by Python's `pty`.

use crate::bench::{World, copy_tree, manifest, run, tree};
use crate::emulator::Emulator;
use crate::replay::Server;
use std::path::Path;
use std::process::Command;

/// Starts its arguments in a terminal of so many columns, types an answer when it is asked for one, and shows all that
/// came. With `COLUMNS FILE` it draws the window to other columns once it sees a line that is cut, and makes the file
/// once it sees that seconds go by.
const PERSON: &str = "
import fcntl, os, pty, re, struct, sys, termios
columns, answer, drawn, command = sys.argv[1], sys.argv[2].encode(), sys.argv[3], sys.argv[4:]
size = lambda columns: struct.pack('HHHH', 24, int(columns), 0, 0)
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, size(columns))
    os.execv(command[0], command)
acts = [(rb'\\[y/N\\]', lambda: os.write(terminal, answer + b'\\n'))]
if drawn:
    columns, leave = drawn.split(' ')
    acts.append((b'asking [^\\r]*\\xe2\\x80\\xa6', lambda: fcntl.ioctl(terminal, termios.TIOCSWINSZ, size(columns))))
    acts.append((b'[1-9] s\\r', lambda: open(leave, 'w')))
seen = b''
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        break
    if not piece:
        break
    seen += piece
    for act in [act for act in acts if re.search(act[0], seen)]:
        acts.remove(act)
        act[1]()
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

/// Returns mux at a terminal with such a person.
fn at_terminal(world: &World, columns: usize, answer: &str, drawn: &str) -> Command {
    let mut person = world.command(world.root.join("bin/python3"));
    person.args(["-c", PERSON, &columns.to_string(), answer, drawn, env!("CARGO_BIN_EXE_mux")]);
    person
}

/// Plays the scenario in which hands would help, with a person who answers.
#[track_caller]
fn asks(name: &str, answer: &str, expected_exit: i32, expected: &[&str]) {
    let folder = manifest().join("fixtures/run/107_hands_after_advice_finish_a_change");
    let world = World::new(name);
    copy_tree(&folder.join("input"), &world.work);
    let server = Server::start(&folder.join("http"));
    let local = format!("providers:\n  local:\n    base_url: \"{}/v1\"\n    model: qwen-coder-1.5b\n", server.url());
    world.configure(&format!("{local}local_executor:\n  max_attempts: 1\n"));
    world.install_cli("claude", &folder.join("cli/claude"));
    let before = tree(&world.work);

    let mut person = at_terminal(&world, 80, answer, "");
    person.args(["run", "--verify", "python3 check.py", "Add a function mean(prices) to price.py."]);
    let ran = run(person, b"");
    let seen = String::from_utf8_lossy(&ran.stdout);
    let question = "mux: escalate to claude, which then edits files here? [y/N] ";
    assert_eq!((seen.matches(question).count(), ran.exit), (1, expected_exit), "{}", ran.report());
    assert!(expected.iter().all(|expected| seen.contains(expected)), "{}", ran.report());
    let changed = tree(&world.work) != before;
    assert_eq!(changed, expected_exit == 0, "{}", ran.report());
    server.end();
}

#[test]
fn a_person_who_says_yes_lets_a_provider_write() {
    // While it works, the live line says what it does.
    let works = ["mux: claude: working with claude-opus-5-5 ", "mux: claude: Write <WORK>/hello.txt "];
    asks("yes", "y", 0, &[works[0], works[1], "route: claude"]);
}

#[test]
fn everything_else_is_a_no() {
    asks("no", "n", 1, &["reason: verify_failed"]);
    asks("enter", "", 1, &["reason: verify_failed"]);
}

/// Runs the task of a scenario in a terminal; returns what came to it.
fn seen(scenario: &str, columns: usize, env: &[(&str, &str)]) -> String {
    let folder = manifest().join("fixtures/run").join(scenario);
    let world = World::new("seen");
    copy_tree(&folder.join("http"), &world.root.join("http"));
    played(&world, &folder, &mut at_terminal(&world, columns, "", ""), env)
}

/// Runs the task of a scenario with the replies that the world has.
fn played(world: &World, folder: &Path, person: &mut Command, env: &[(&str, &str)]) -> String {
    let server = Server::start(&world.root.join("http"));
    let default = "providers:\n  local:\n    base_url: \"{{local}}/v1\"\n    model: qwen-coder-1.5b\n";
    let yaml = fs_err::read_to_string(folder.join("mux.yaml")).unwrap_or_else(|_| default.into());
    world.configure(&yaml.replace("{{local}}", &server.url()));
    if folder.join("cli/claude").exists() {
        world.install_cli("claude", &folder.join("cli/claude"));
    }
    person.args(fs_err::read_to_string(folder.join("args")).unwrap().lines());
    person.env("TERM", "xterm").envs(env.iter().copied());
    let ran = run(std::mem::replace(person, Command::new("true")), b"");
    let expected = fs_err::read_to_string(folder.join("expected/exit")).unwrap();
    assert_eq!(format!("{}\n", ran.exit), expected, "{}", ran.report());
    server.end();
    String::from_utf8(ran.stdout).unwrap()
}

/// The recorded answer of a scenario, as it is printed in a pipe.
fn answer(scenario: &str) -> String {
    let stdout =
        fs_err::read_to_string(manifest().join("fixtures/run").join(scenario).join("expected/stdout")).unwrap();
    stdout.split_once("output:\n").unwrap().1.trim().to_string()
}

#[test]
fn an_answer_stands_on_the_terminal_once_and_before_its_result() {
    let scenario = "003_plain_answer_stays_home";
    let answer = answer(scenario);
    for columns in [40, 80, 200] {
        let seen = seen(scenario, columns, &[]);
        let shown = Emulator::shows(columns, &seen);
        let result = shown.strip_prefix(&answer).unwrap_or_else(|| panic!("not first: {shown:?}\n{seen:?}"));
        assert!(result.starts_with("\n\nroute: local\n") && result.ends_with("\noutput: above\n"), "{shown:?}");
        assert!(seen.contains("mux: generating · "), "{seen:?}");
    }
}

#[test]
fn an_answer_that_does_not_count_is_parted_from_the_one_that_does() {
    let seen = seen("128_a_low_score_sends_an_answer_to_the_cloud", 80, &[("NO_COLOR", "1")]);
    let shown = Emulator::shows(80, &seen);
    let local = answer("003_plain_answer_stays_home");
    let rule = "─".repeat(40);
    let expected = format!("{local}\n{rule}\nmux: escalating to claude (answer): low_confidence\n");
    assert!(shown.starts_with(&expected), "{shown:?}\nwithout\n{expected:?}");
    assert_eq!(shown.matches("The answer is 42. (canned reply)").count(), 1, "{shown:?}");
    assert!(shown.contains("\noutput:\nThe answer is 42."), "{shown:?}");
}

#[test]
fn a_line_keeps_its_seconds_and_its_columns_while_nothing_comes() {
    let folder = manifest().join("fixtures/run/003_plain_answer_stays_home");
    let world = World::new("drawn");
    let http = world.root.join("http");
    copy_tree(&folder.join("http"), &http);
    // The model says nothing until the person has seen seconds go by, on a line that was cut before; then it goes slowly.
    fs_err::write(http.join("1.play"), "until leave\nsend 20000\nwait 600\n").unwrap();
    let mut person = at_terminal(&world, 30, "", &format!("60 {}", http.join("leave").display()));
    let seen = played(&world, &folder, &mut person, &[]);
    let mut lines = seen.split('\r').map(|line| line.trim_start_matches("\x1b[J"));
    assert!(lines.any(|line| line == "mux: asking qwen-coder-1.5b …"), "{seen:?}");
    assert!(lines.any(|line| line == "mux: asking qwen-coder-1.5b · 1 s"), "{seen:?}");
    assert!(seen.contains(" tokens/s · "), "{seen:?}");
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
        let expected = tail(green, end).replace('\n', "\r\n");
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
        let mut person = at_terminal(&world, 80, "", "");
        person.args(["run", "--dry-run"]);
        // An editor with an argument of its own, and a text that is put before what is there.
        person.env("VISUAL", format!("sh -c 'printf \"{task}\" | cat - \"$0\" >t && mv t \"$0\"'"));
        run(person, b"")
    };
    let ran = write("Create a.py\\nthat prints.");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.exit == 0 && said.contains("kind: change\r\n"), "{}", ran.report());
    let ran = write("");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.exit == 2 && said.contains("mux: there is no task\r\n"), "{}", ran.report());
    assert_eq!(tree(&world.root.join("tmp")).len(), 0, "the file of the task is gone");
}
