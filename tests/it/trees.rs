//! Trees as they are: line ends, files that nobody can show, names with blanks, directories that tools keep their own in.
//! What a reply says is the point, so it is written here.

use crate::bench::{Ran, World, manifest, run};
use crate::replay::Server;
use crate::tries::tried;
use fs_err as fs;
use std::path::PathBuf;

const OLD: &str = "def add(a, b):\n    return a - b\n";
const NEW: &str = "def add(a, b):\n    return a + b\n";

fn said(ran: &Ran) -> String {
    [&ran.stdout, &ran.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

fn file(path: &str, text: &str) -> String {
    format!("FILE: {path}\n```\n{text}```\n")
}

#[test]
fn a_file_that_is_sent_whole_keeps_its_line_ends() {
    let crlf = |text: &str| text.replace('\n', "\r\n");
    let bare = |text: &str| text.trim_end().to_string();
    let marked = |text: &str| format!("\u{feff}{text}");
    let shapes: [&dyn Fn(&str) -> String; 4] = [&crlf, &bare, &marked, &|text| marked(&bare(&crlf(text)))];
    for shape in shapes {
        let words = ["--verify", "true", "Fix add in calc.py"];
        let (world, ran, ..) = tried("ends", &[("calc.py", &shape(OLD))], &[&file("calc.py", NEW)], &words);
        assert_eq!(ran.exit, 0, "{}", ran.report());
        assert_eq!(fs::read_to_string(world.work.join("calc.py")).unwrap(), shape(NEW));
    }
    // Sent back as it was, it is no change: its line ends are not the model's idea.
    let words = ["--verify", "true", "Fix add in calc.py"];
    let (_, ran, ..) = tried("ends-same", &[("calc.py", &crlf(OLD))], &[&file("calc.py", OLD)], &words);
    assert!(ran.exit == 1 && said(&ran).contains("the reply changes nothing"), "{}", ran.report());
    let words = ["--verify", "true", "Convert calc.py to Unix line endings"];
    let (world, ran, ..) = tried("ends-asked", &[("calc.py", &crlf(OLD))], &[&file("calc.py", OLD)], &words);
    assert_eq!(fs::read_to_string(world.work.join("calc.py")).unwrap(), OLD, "{}", ran.report());
}

#[test]
fn what_cannot_be_shown_is_not_rewritten() {
    let large = "x = 1\n".repeat(100_000);
    for (data, why) in [("a\0b\n", "it is a binary file"), (large.as_str(), "more than the limit")] {
        let reply = file("calc.py", NEW) + &file("data.txt", "short\n");
        let files = [("calc.py", OLD), ("data.txt", data)];
        let words = ["--verify", "true", "Fix add in calc.py, using data.txt"];
        let (world, ran, ..) = tried("unshown", &files, &[&reply, &reply], &words);
        assert_eq!(ran.exit, 1, "{}", ran.report());
        let told = said(&ran);
        assert!(
            told.contains("`data.txt`, which is there and cannot be shown") && told.contains(why),
            "{}",
            ran.report()
        );
        assert!(!told.contains("names no file"), "{}", ran.report());
        assert_eq!(fs::read_to_string(world.work.join("data.txt")).unwrap(), data);
        assert_eq!(fs::read_to_string(world.work.join("calc.py")).unwrap(), OLD);
    }
}

#[test]
fn a_name_with_blanks_is_one_name() {
    let files = [("my calc.py", OLD), ("my notes.md", "# Notes\n")];
    let reply = file("my calc.py", NEW) + &file("my notes.md", "# Notes\n\nadd was wrong.\n");
    let words = ["--verify", "true", "Fix add in `my calc.py` and say so in \"my notes.md\""];
    let (world, ran, record, _) = tried("blanks", &files, &[&reply], &words);
    assert_eq!(ran.exit, 0, "{}", ran.report());
    let paths: Vec<_> = record["files"].as_array().unwrap().iter().map(|file| &file["path"]).collect();
    assert_eq!(paths, ["my calc.py", "my notes.md"]);
    assert_eq!(fs::read_to_string(world.work.join("my calc.py")).unwrap(), NEW);
    // The bare form, for the one file that is named; and one that is to be made.
    let reply = format!("```python\n{NEW}```\n");
    let (world, ran, ..) = tried("blanks-one", &files, &[&reply], &["--verify", "true", "Fix add in 'my calc.py'"]);
    assert_eq!(fs::read_to_string(world.work.join("my calc.py")).unwrap(), NEW, "{}", ran.report());
    let words = ["--verify", "true", "Create `My Plan.md` with one heading"];
    let (world, ran, ..) = tried("blanks-new", &[], &["```markdown\n# Plan\n```\n"], &words);
    assert!(world.work.join("My Plan.md").exists(), "{}", ran.report());
}

#[test]
fn a_file_is_known_however_a_reply_spells_it() {
    let files = [("calc.py", OLD), ("lib/util.py", "def u():\n    return 1\n")];
    let task = "Fix add in calc.py, and use u of lib/util.py if that helps";
    for path in ["b/calc.py", "calc.py:2", "work/calc.py", "文件：calc.py", "Datei: `calc.py`"] {
        let reply = file(path, NEW).replace("FILE: 文", "修改后的文").replace("FILE: Datei", "Datei");
        let (world, ran, ..) = tried("spelled", &files, &[&reply], &["--verify", "true", task]);
        assert_eq!(ran.exit, 0, "{}", ran.report());
        assert_eq!(fs::read_to_string(world.work.join("calc.py")).unwrap(), NEW, "{}", ran.report());
    }
    // Elsewhere is elsewhere.
    let reply = file("/nowhere/calc.py", NEW);
    let (_, ran, ..) = tried("spelled-out", &files, &[&reply, &reply], &["--verify", "true", task]);
    assert!(ran.exit == 1 && said(&ran).contains("the path is absolute"), "{}", ran.report());
    // `b/` may be a directory.
    let more = [files[0], files[1], ("b/x.py", "")];
    let (world, ran, ..) = tried("spelled-b", &more, &[&file("b/calc.py", NEW)], &["--verify", "true", task]);
    assert_eq!(fs::read_to_string(world.work.join("b/calc.py")).unwrap(), NEW, "{}", ran.report());
    assert_eq!(fs::read_to_string(world.work.join("calc.py")).unwrap(), OLD);
}

#[test]
fn where_tools_keep_their_own_nothing_is_changed() {
    let world = World::new("guarded");
    // Nobody, also where a model server runs at its usual port.
    world.configure(
        "providers: {local: {base_url: \"http://127.0.0.1:1/v1\", auto_detect: false}}\nlocal_runtime: {health_retries: 0}\n",
    );
    let mux = |dir: &str, task: &str| {
        fs::create_dir_all(world.work.join(dir)).unwrap();
        let mut command = world.mux();
        command.args(["run", "--change", "--workdir", dir, task]);
        run(command, b"")
    };
    for (dir, why) in [
        (".claude", "settings of agents, editors and mux itself are never written"),
        ("sub/.vscode/x", "settings of agents"),
        (".github/workflows", "tools run or obey what is there"),
        (".husky", "--file PATH"),
    ] {
        let ran = mux(dir, "Create settings.json");
        assert!(ran.exit == 4 && said(&ran).contains(why), "{dir}: {}", ran.report());
    }
    let git = |line: &str| {
        let mut command = world.command(world.root.join("bin/git"));
        command.args(line.split(' '));
        let ran = run(command, b"");
        assert_eq!(ran.exit, 0, "{}", ran.report());
    };
    git("init -q --bare store");
    let ran = mux("store", "Create hooks/pre-commit");
    assert!(ran.exit == 4 && said(&ran).contains("a repository without a work tree"), "{}", ran.report());
    // A work tree that an agent has made below its settings is one, and its own settings are guarded.
    git("init -q .claude/worktrees/x");
    let ran = mux(".claude/worktrees/x", "Create a.txt");
    assert!(ran.exit == 1 && said(&ran).contains("reason: local_down"), "{}", ran.report());
    let ran = mux(".claude/worktrees/x/.claude", "Create a.txt");
    assert_eq!(ran.exit, 4, "{}", ran.report());
}

#[test]
fn what_a_provider_changes_beyond_repair_is_said_and_is_no_reply_without_a_change() {
    for (does, exit, says) in [
        ("mkfifo pipe", 1, "no usable changes: `pipe` changed and cannot be restored: it is no file"),
        ("mkfifo pipe; echo x > a.txt", 0, "\n`pipe` changed and cannot be restored: it is no file."),
    ] {
        let world = World::new("beyond");
        let data = world.root.join("claude-data");
        fs::create_dir(&data).unwrap();
        let said = "fixtures/run/103_without_a_local_model_a_provider_writes/cli/claude/1.stdout";
        fs::copy(manifest().join(said), data.join("1.stdout")).unwrap();
        // The program is in no PATH of a test.
        let does = does.replace("mkfifo pipe", "python3 -c 'import os; os.mkfifo(\"pipe\")'");
        fs::write(data.join("1.sh"), does).unwrap();
        world.install_cli("claude", &data);
        world.configure("providers: {local: {base_url: \"http://127.0.0.1:1/v1\", auto_detect: false}}\n");
        let mut command = world.mux();
        command.args(["run", "--change", "--route", "claude", "--verify", "true", "Create a.txt"]);
        let ran = run(command, b"");
        assert!(ran.exit == exit && self::said(&ran).contains(says), "{}", ran.report());
    }
}

/// Gives its directory's place to another one.
const MOVES: &str = "mv \"$PWD\" \"$PWD-moved\" && mkdir \"$PWD\" && echo other > \"$PWD\"/b.txt";

#[test]
fn a_check_whose_directory_gives_its_place_to_another_proves_nothing() {
    // A directory that the run itself has made is not held: what it wrote there went along with it.
    for (below, stays) in [("", "old\n"), ("new/one", "new\n")] {
        let world = World::new("moved");
        fs::write(world.work.join("a.txt"), "old\n").unwrap();
        let http = world.root.join("http");
        fs::create_dir(&http).unwrap();
        let body = r#"{"object": "chat.completion", "model": "m", "choices": [{"index": 0, "message":
            {"role": "assistant", "content": "FILE: a.txt\n```\nnew\n```\n"}, "finish_reason": "stop"}]}"#;
        fs::write(http.join("1.response.json"), body).unwrap();
        let server = Server::start(&http);
        let data = world.root.join("claude-data");
        fs::create_dir(&data).unwrap();
        world.install_cli("claude", &data);
        // A confined check could not do this to its own directory.
        let yaml = format!(
            "providers: {{local: {{base_url: \"{}/v1\", model: m}}}}\nverification: {{sandbox: off}}\n\
             workflow: {{allow_sota_write_fallback: true}}\n",
            server.url()
        );
        world.configure(&yaml);
        let dir = world.work.join(below);
        let mut command = world.mux();
        command.args(["run", "-C"]).arg(&dir).args(["--verify", &format!("[\"sh\", \"-c\", {MOVES:?}]")]);
        command.args(["--change", "Write new into a.txt."]);
        let ran = run(command, b"");
        assert_eq!(server.end().len(), 1);
        let path = fs::canonicalize(&world.work).unwrap().join(below).components().collect::<PathBuf>();
        let told = format!("`{}` is not the directory any more that mux works in", path.display());
        assert!(ran.exit == 3 && said(&ran).contains(&told), "{}", ran.report());
        let is_held = below.is_empty();
        assert_eq!(said(&ran).contains("hint: give it its name back"), is_held, "{}", ran.report());
        assert!(!world.root.join("calls/claude.1.argv").exists(), "a provider could do no better: {}", ran.report());
        // What was there is as it was, and what came is not touched.
        let moved = PathBuf::from(format!("{}-moved", path.display()));
        assert_eq!(fs::read_to_string(moved.join("a.txt")).unwrap(), stays, "{}", ran.report());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "{}", ran.report());
        assert_eq!(fs::read_to_string(dir.join("b.txt")).unwrap(), "other\n");
    }
}

#[test]
fn what_a_provider_leaves_where_its_directory_was_is_not_looked_at() {
    let world = World::new("moved-hands");
    fs::write(world.work.join("a.txt"), "old\n").unwrap();
    let data = world.root.join("claude-data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("1.sh"), format!("echo new > a.txt; {MOVES}")).unwrap();
    let said_by = "fixtures/run/103_without_a_local_model_a_provider_writes/cli/claude/1.stdout";
    fs::copy(manifest().join(said_by), data.join("1.stdout")).unwrap();
    world.install_cli("claude", &data);
    world.configure("providers: {local: {base_url: \"http://127.0.0.1:1/v1\", auto_detect: false}}\n");
    let mut command = world.mux();
    command.args(["run", "--change", "--route", "claude", "--verify", "true", "Write new into a.txt."]);
    let ran = run(command, b"");
    let told = "was renamed or removed, and what a provider changed in it is left as it is.";
    assert!(ran.exit == 3 && said(&ran).contains(told), "{}", ran.report());
    assert_eq!(fs::read_dir(&world.work).unwrap().count(), 1, "{}", ran.report());
    assert_eq!(fs::read_to_string(world.work.join("b.txt")).unwrap(), "other\n");
    let moved = PathBuf::from(format!("{}-moved", world.work.display()));
    assert_eq!(fs::read_to_string(moved.join("a.txt")).unwrap(), "new\n");
}
