//! What a wrong command line gets: exit code and words, a line each. Nothing of it may call a model, write a file or
//! make a state directory.

use crate::bench::{World, run, tree};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

const NO_TASK: &str =
    "there is no task|say what to do: mux run \"Add a --json flag to cli.py and keep the tests passing\"";

/// Arguments with a bar between them, standard input, exit code, and what standard error has to say: the first line
/// and, after a bar, the hint.
const ROWS: &[(&str, &[u8], i32, &str)] = &[
    ("run", b"", 2, NO_TASK),
    ("run|", b"", 2, NO_TASK),
    ("run|  \t ", b"", 2, NO_TASK),
    ("run|-", b" \n ", 2, NO_TASK),
    ("run|--task|", b"", 2, NO_TASK),
    (
        "run",
        b"\xff\xfe is not text",
        2,
        "the task from standard input is not UTF-8 text: invalid utf-8 sequence of 1 bytes from index 0|for Latin-1: `iconv -f ISO-8859-1 -t UTF-8 FILE | mux run -`",
    ),
    (
        "run|--task-file|nowhere.txt",
        b"",
        2,
        "cannot read the task from `nowhere.txt`: failed to open file `nowhere.txt`: No such file or directory (os error 2)|check the spelling; a relative path begins here: `pwd`",
    ),
    (
        "run|--task-file|.",
        b"",
        2,
        "cannot read the task from `.`: failed to read from file `.`: Is a directory (os error 21)|`mux --help` lists the commands and their options",
    ),
    (
        "run|--task|a|b",
        b"",
        2,
        "the task is given twice; use one of TASK, `--task`, `--task-file` and `-`|once is enough: `mux run --task-file FILE`",
    ),
    (
        "run|-|--task-file|-",
        b"x",
        2,
        "the task is given twice; use one of TASK, `--task`, `--task-file` and `-`|once is enough: `mux run --task-file FILE`",
    ),
    ("run|--answer|--change|x", b"", 2, "`--answer` and `--change` contradict each other|keep the one that you mean"),
    (
        "run|--verify|true|--no-verify|x",
        b"",
        2,
        "`--verify` and `--no-verify` contradict each other|keep the one that you mean",
    ),
    (
        "run|--verify",
        b"",
        2,
        "`--verify` needs a value|`--verify CMD`: `mux --help` lists the commands and their options",
    ),
    (
        "run|--change|--verify||x",
        b"",
        2,
        "cannot use `` of `--verify`: the command is empty|a program and its arguments, such as `cargo test -q`",
    ),
    (
        "run|--change|--verify|a 'b|x",
        b"",
        2,
        "cannot use `a 'b` of `--verify`: a ' is not closed|a list is taken as it stands: [\"program\", \"an argument\"]",
    ),
    (
        "run|--change|--verify|[\"sh\", 1]|x",
        b"",
        2,
        "cannot use `[\"sh\", 1]` of `--verify`: it is no list of texts in JSON|a list is taken as it stands: [\"program\", \"an argument\"]",
    ),
    (
        "run|--change|--verify|make && make check|x",
        b"",
        2,
        "cannot use `make && make check` of `--verify`: `&` needs a shell|write it as [\"sh\", \"-c\", \"make && make check\"], or quote the character",
    ),
    ("run|--route|clod|x", b"", 2, "unknown route `clod`|did you mean `cloud`? `mux --help` lists all"),
    ("run|--route|lokal|x", b"", 2, "unknown route `lokal`|did you mean `local`? `mux --help` lists all"),
    (
        "run|--route|my-own-cli|x",
        b"",
        2,
        "unknown route `my-own-cli`|`providers.sota_cli.tools` declares other CLIs; `mux --help` lists the routes that \
         are built in",
    ),
    (
        "run|--deadline|0|x",
        b"",
        2,
        "`--deadline 0` is not a number of seconds from 1 to 604800|ten minutes: `--deadline 600`",
    ),
    (
        "run|--deadline|soon|x",
        b"",
        2,
        "`--deadline soon` is not a number of seconds from 1 to 604800|ten minutes: `--deadline 600`",
    ),
    (
        "run|--deadline|999999999999|x",
        b"",
        2,
        "`--deadline 999999999999` is not a number of seconds from 1 to 604800|ten minutes: `--deadline 600`",
    ),
    (
        "run|--workdir||x",
        b"",
        2,
        "an empty path is not a path|a variable of the shell may be empty; `.` is the current directory",
    ),
    (
        "run|-C|nowhere|--answer|x",
        b"",
        2,
        "the work directory `{{root}}/work/nowhere` does not exist|name one that exists with `--workdir`",
    ),
    (
        "run|-C|nowhere/../..|--change|x",
        b"",
        4,
        "cannot use the path `{{root}}/work/nowhere/../..`|write it without `..`",
    ),
    (
        "run|--answer|--file|nowhere.py|x",
        b"",
        2,
        "cannot show `nowhere.py` to the model: it does not exist|`git ls-files` lists the names that work, from the work directory",
    ),
    (
        "run|--change|--file|/etc/passwd|x",
        b"",
        4,
        "`--file /etc/passwd` is outside the work directory `{{root}}/work`|give the directory that holds it with `--workdir`",
    ),
    (
        "run|--config|nowhere.yaml|x",
        b"",
        2,
        "cannot read config: there is no file `{{root}}/work/nowhere.yaml`|`mux config path` lists the files that are looked at",
    ),
    ("run|--jsn|x", b"", 2, "unexpected argument `--jsn`|did you mean `--json`? `mux --help` lists all"),
    (
        "run|--quiet=yes|x",
        b"",
        2,
        "`--quiet` takes no value|leave out `=yes`: `mux --help` lists the commands and their options",
    ),
    ("run|-x", b"", 2, "unexpected argument `-x`|`mux --help` lists what there is"),
    (
        "run|Rename {{root}}/one/a.py to {{root}}/two/b.py",
        b"",
        2,
        "the task names two unrelated directories, `{{root}}/one` and `{{root}}/two`|say which one is meant with `--workdir DIR`",
    ),
    ("rnu|x", b"", 2, "unknown command `rnu`|`mux --help` lists what there is"),
    ("x\u{1b}[31m", b"", 2, "unknown command `x\\x1b[31m`|`mux --help` lists what there is"),
    ("--hlep", b"", 2, "unexpected argument `--hlep`|did you mean `--help`? `mux --help` lists all"),
    ("diff", b"", 2, "there is no such run yet|`mux log` lists all; give the id of one"),
    ("why", b"", 2, "there is no such run yet|`mux log` lists all; give the id of one"),
    (
        "undo",
        b"",
        2,
        "no run has changed files in `{{root}}/work` that is not taken back|`mux log` lists all; give the id of one",
    ),
    ("completions", b"", 2, "`mux completions` needs a shell|one of bash, zsh, fish: `mux completions bash`"),
    ("completions|zhs", b"", 2, "unknown shell `zhs`|one of bash, zsh, fish: `mux completions bash`"),
    ("man|page", b"", 2, "unexpected argument `page`|`mux --help` lists what there is"),
    ("diff|01ABC", b"", 2, "unknown run id `01ABC`|`mux log` lists the recent ones"),
    ("diff|../../etc/passwd", b"", 2, "unknown run id `../../etc/passwd`|`mux log` lists the recent ones"),
    (
        "replay|--curve|--json|--csv",
        b"",
        2,
        "`--json` and `--csv` contradict each other|the curve for a spreadsheet: `mux replay --curve --csv`; all of it: `mux \
         replay --curve --json`",
    ),
    ("tune|--reset", b"", 2, "`--reset` is for `--fit`|`mux tune --fit --reset` goes back to the weights before"),
    (
        "tune|--fit|--write|--reset",
        b"",
        2,
        "`--write` and `--reset` contradict each other|`mux tune --fit --write` sets new weights, `mux tune --fit --reset` \
         goes back",
    ),
    (
        "tune|--max-cloud|20%|--max-false-accept|2%",
        b"",
        2,
        "a threshold has one target: `--max-cloud` or `--max-false-accept`|keep the one that you mean: `mux tune \
         --max-cloud 20%`",
    ),
    ("hook|run", b"", 2, "`mux hook run` needs the name of a hook|git's own names: `mux hook run pre-commit`"),
    (
        "hook|status",
        b"",
        2,
        "there is no repository here: fatal: not a git repository (or any of the parent directories): .git|`cd` into \
         one, or make one: `git init`",
    ),
    ("log|-n", b"", 2, "`-n` needs a value|`-n N`: `mux --help` lists the commands and their options"),
    (
        "bench|--format",
        b"",
        2,
        "`--format` needs a value|`--format whole|edits`: `mux --help` lists the commands and their options",
    ),
    (
        "bench|--provider|clod|--yes",
        b"",
        2,
        "there is no cloud CLI `clod` in the configuration|known are claude, codex, gemini; others are declared in \
         `providers.sota_cli.tools`",
    ),
    ("-C|dir|run|x", b"", 2, "unexpected argument `-C`|an option stands behind its command: `mux run -C …`"),
    ("status|--json|--check", b"", 2, "`--json` and `--check` contradict each other|keep the one that you mean"),
    (
        "config|check|--json",
        b"",
        2,
        "`mux config check` has no `--json`|all values and where each comes from: `mux config show --json`",
    ),
    ("setup|--remove|--trust", b"", 2, "`--remove` and `--trust` contradict each other|keep the one that you mean"),
    (
        "setup|--print-skill|--dry-run",
        b"",
        2,
        "`--print-skill` registers nothing; it stands alone|`mux setup --print-skill`, or the rest without it",
    ),
    (
        "undo|",
        b"",
        2,
        "an empty run id names no run|a variable of the shell may be empty; `mux log` lists the recent ids",
    ),
    (
        "trust|",
        b"",
        2,
        "an empty path is not a path|a variable of the shell may be empty; `.` is the current directory",
    ),
    (
        "run|--answer|--file|.|x",
        b"",
        2,
        "cannot show `.` to the model: it is the work directory itself|`git ls-files` lists the names that work, from \
         the work directory",
    ),
    ("log|-n|many", b"", 2, "`-n many` is not a number|the default: `-n 20`"),
    (
        "log|--since|yesterday",
        b"",
        2,
        "`--since yesterday` is not a span of time|a number and one of s, m, h, d, w: `--since 7d`",
    ),
    (
        "log|--since|99999999999999999999d",
        b"",
        2,
        "`--since 99999999999999999999d` is not a span of time|a number and one of s, m, h, d, w: `--since 7d`",
    ),
    ("log|--route|cloud", b"", 2, "unknown route `cloud`|did you mean `claude`? `mux --help` lists all"),
    ("log|--route|lokal", b"", 2, "unknown route `lokal`|did you mean `local`? `mux --help` lists all"),
    ("log|extra", b"", 2, "unexpected argument `extra`|`mux --help` lists what there is"),
    ("status|--chek", b"", 2, "unexpected argument `--chek`|did you mean `--check`? `mux --help` lists all"),
    ("doctor|--deep-fry", b"", 2, "unexpected argument `--deep-fry`|`mux --help` lists what there is"),
    ("config|shwo", b"", 2, "unexpected argument `shwo`|did you mean `show`? `mux --help` lists all"),
    (
        "trust|nowhere",
        b"",
        2,
        "cannot find the project: failed to canonicalize path `nowhere`: No such file or directory (os error 2)|check the spelling; a relative path begins here: `pwd`",
    ),
    (
        "trust|.",
        b"",
        2,
        "cannot read config: there is no file `{{root}}/work/mux.yaml`|`mux config path` lists the files that are looked at",
    ),
];

#[test]
fn a_wrong_command_line_is_told_and_changes_nothing() {
    let world = World::new("usage");
    let before = tree(&world.root);
    let mut faults = Vec::new();
    for (args, stdin, exit, want) in ROWS {
        let mut command = world.mux();
        let root = world.root.to_str().unwrap();
        command.args(args.replace("{{root}}", root).split('|'));
        let ran = run(command, stdin);
        let said = String::from_utf8_lossy(&ran.stderr).replace(root, "{{root}}");
        let said = said.trim_start_matches("mux: ").trim_end().replace("\n  hint: ", "|");
        if (ran.exit, said.as_str(), ran.stdout.len()) != (*exit, *want, 0) {
            faults.push(format!("    ({args:?}, b\"{}\", {}, {said:?}),", stdin.escape_ascii(), ran.exit));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    let silent: Vec<_> = ROWS.iter().filter(|row| !row.3.contains('|')).collect();
    assert!(silent.is_empty(), "without a hint: {silent:?}");
    assert_eq!(tree(&world.root), before);
}

#[test]
fn help_and_version_are_results() {
    let world = World::new("help");
    for (args, start) in [("help", "usage: mux"), ("run|-h", "usage: mux"), ("-V", "mux "), ("version", "mux ")] {
        let mut command = world.mux();
        command.args(args.split('|').filter(|arg| !arg.is_empty()));
        let ran = run(command, b"");
        let is_result = ran.exit == 0 && ran.stdout.starts_with(start.as_bytes()) && ran.stderr.is_empty();
        assert!(is_result, "{}", ran.report());
    }
}

/// `mux --help | head -1`, and all the others.
#[test]
fn a_reader_that_has_gone_away_changes_no_exit_code() {
    let world = World::new("unread");
    world.configure("providers:\n  local:\n    base_url: \"http://127.0.0.1:1/v1\"\n    model: m\n");
    for args in [
        "",
        "--help",
        "--version",
        "man",
        "completions bash",
        "completions zsh",
        "completions fish",
        "doctor",
        "status",
        "doctor --json",
        "status --check",
        "log",
        "log --json",
        "report",
        "replay",
        "tune",
        "tune --fit",
        "egress",
        "config",
        "config show --json",
        "config path",
        "config check",
        "trust --remove",
        "setup --dry-run",
        "setup --print-skill",
        "run --dry-run Why",
    ] {
        let mux = || {
            let mut command = world.mux();
            command.args(args.split(' ').filter(|arg| !arg.is_empty()));
            command
        };
        let read = run(mux(), b"");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = mux();
        let unread = command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&unread.stderr);
        assert_eq!(
            (unread.status.code(), &*said),
            (Some(read.exit), &*String::from_utf8_lossy(&read.stderr)),
            "{args}"
        );
        assert!(!read.stdout.is_empty(), "{args}");
    }
}

#[test]
fn mux_alone_says_where_one_stands_and_changes_nothing() {
    let world = World::new("alone");
    world.configure("providers:\n  local:\n    base_url: \"http://127.0.0.1:1/v1\"\n    model: m\n");
    let before = tree(&world.root);
    let ran = run(world.mux(), b"");
    let said = String::from_utf8_lossy(&ran.stdout);
    let lines: Vec<&str> = said.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["mux 0.1.0", "model", "cloud", "last run", "next", "all commands"], "{}", ran.report());
    assert!(ran.exit == 0 && said.contains("\nmodel: DOWN ") && ran.stderr.is_empty(), "{}", ran.report());
    // Also where the configuration cannot be read, or there is no home.
    world.configure("routr: {}\n");
    for (name, value) in [("LANG", "C"), ("HOME", "")] {
        let mut command = world.mux();
        command.env(name, value);
        let ran = run(command, b"");
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.exit == 0 && said.contains("\nnext: mux config check\n"), "{}", ran.report());
    }
    world.configure("providers:\n  local:\n    base_url: \"http://127.0.0.1:1/v1\"\n    model: m\n");
    assert_eq!(tree(&world.root), before);
}

#[test]
fn a_task_may_be_large_but_not_without_end() {
    let world = World::new("large");
    let task = |bytes: usize| format!("Create a.txt with this text: {}", "long ".repeat(bytes / 5)).into_bytes();
    let dry = |task: &[u8]| {
        let mut command = world.mux();
        command.args(["run", "--dry-run", "-"]);
        run(command, task)
    };
    let ran = dry(&task(1 << 20));
    assert!(ran.exit == 0 && ran.stdout.starts_with(b"kind: change\n"), "{}", ran.report());
    let ran = dry(&task((4 << 20) + 10));
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.exit == 2 && said.starts_with("mux: standard input is larger than 4 MiB\n"), "{}", ran.report());
}

#[test]
fn a_check_makes_a_change_of_a_task_that_leaves_its_kind_open() {
    let world = World::new("open-kind");
    for (args, kind) in [
        (&["Payments of zero, never again"][..], "kind: answer (the task leaves it open"),
        (&["--verify", "true", "Payments of zero, never again"], "kind: change\n"),
        (&["--verify", "true", "--answer", "Payments of zero, never again"], "kind: answer\n"),
        (&["--verify", "true", "Why are payments of zero refused?"], "kind: answer\n"),
        (&["Refuse payments of zero"], "kind: change\n"),
    ] {
        let mut command = world.mux();
        command.args(["run", "--dry-run"]).args(args);
        let ran = run(command, b"");
        assert!(ran.stdout.starts_with(kind.as_bytes()), "{args:?}\n{}", ran.report());
    }
}

#[test]
fn options_for_changes_do_nothing_to_an_answer_and_that_is_said() {
    let world = World::new("idle-options");
    world.configure("providers:\n  local:\n    base_url: \"http://127.0.0.1:1/v1\"\n    model: m\n");
    let mut command = world.mux();
    command.args(["run", "--verify", "true", "--verify-with", "claude", "Why are payments of zero refused?"]);
    let ran = run(command, b"");
    let said = "mux: the task is taken as `answer`; `--verify` is for changes\n\
                mux: the task is taken as `answer`; `--verify-with` is for changes\n";
    assert_eq!(String::from_utf8_lossy(&ran.stderr), said, "{}", ran.report());
    let mut command = world.mux();
    command.args(["run", "--verify", "true", "Refuse payments of zero"]);
    let ran = run(command, b"");
    assert!(ran.stderr.is_empty(), "{}", ran.report());
}

#[test]
fn an_argument_that_is_no_text_is_refused() {
    let world = World::new("bytes");
    for args in [&[&b"run"[..], b"\xff\xfe"][..], &[b"\xff"], &[b"run", b"--verify", b"\xff"], &[b"log", b"--\xff"]] {
        let mut command = world.mux();
        command.args(args.iter().map(|arg| OsStr::from_bytes(arg)));
        let ran = run(command, b"");
        assert!(ran.exit == 2 && ran.stderr.starts_with(b"mux: "), "{}", ran.report());
    }
}

#[test]
fn a_current_directory_that_is_gone_is_named() {
    let world = World::new("gone");
    for args in
        [&["undo"][..], &["log", "--workdir", "."], &["run", "Explain the cache"], &["trust"], &["hook", "status"]]
    {
        let script = "mkdir gone && cd gone && rmdir ../gone && exec \"$0\" \"$@\"";
        let mut command = world.command("/bin/sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_mux")]).args(args);
        let ran = run(command, b"");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        let is_named = said.starts_with("mux: the current directory does not exist any more\n  hint: ");
        assert!(ran.exit == 2 && is_named && ran.stdout.is_empty(), "{}", ran.report());
    }
}

#[test]
fn without_a_home_mux_says_what_it_needs() {
    let world = World::new("homeless");
    let mut command = world.mux();
    command
        .args(["run", "Explain the cache"])
        .env_remove("HOME")
        .env_remove("XDG_STATE_HOME")
        .env_remove("XDG_CONFIG_HOME");
    let ran = run(command, b"");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.exit == 2 && said.contains("XDG_STATE_HOME"), "{}", ran.report());
}
