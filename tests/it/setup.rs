//! `mux setup` with CLIs that are played from data: what it calls, which files it changes, and what it leaves alone.

use crate::bench::{Ran, World, manifest, run, tree};
use fs_err as fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What claude, codex and gemini do when mux is registered, shortened to what counts. Recorded from claude 2.1.330, codex
/// 0.169.0 and gemini 0.61.0 (2026-11-22).
const CLAUDE: &str = r#"printf '{"x":1,"mcpServers":{"mux":{"type":"stdio","command":"%s","args":["mcp"],"env":{}}}}' "$7" >"$HOME/.claude.json""#;
const CODEX: &str = r#"printf '[mcp_servers.mux]\ncommand = "%s"\nargs = ["mcp"]\n' "$5" >>"$HOME/.codex/config.toml""#;
const GEMINI: &str = r#"printf '{"mcpServers":{"mux":{"command":"%s","args":["mcp"],"timeout":900000}}}' "$8" >"$HOME/.gemini/settings.json""#;
pub const CONNECTED: &str = "✓ mux: mux mcp (stdio) - Connected\n  Status: ✔ Connected\n";

/// A world with CLIs; `plays` are the scripts and outputs of their calls.
pub fn world(plays: &[(&str, &[(&str, &str)])]) -> World {
    let world = World::new("setup");
    for dir in [".codex", ".gemini"] {
        fs::create_dir(world.root.join("home").join(dir)).unwrap();
    }
    for (name, files) in plays {
        let data = world.root.join("data").join(name);
        fs::create_dir_all(&data).unwrap();
        for (file, text) in *files {
            fs::write(data.join(file), text).unwrap();
        }
        world.install_cli(name, &data);
    }
    world
}

fn setup(world: &World, args: &[&str]) -> Ran {
    let mut mux = world.mux();
    mux.arg("setup").args(args);
    run(mux, b"")
}

#[track_caller]
fn check(ran: &Ran, exit: i32, expected: &[&str]) {
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.exit == exit && expected.iter().all(|line| said.contains(line)), "{}", ran.report());
}

/// The calls of a CLI so far, each as its words.
fn calls(world: &World, name: &str) -> Vec<String> {
    let prefix = format!("{name}.");
    let calls = tree(&world.root.join("calls")).into_iter();
    let calls = calls.filter(|(file, _)| file.starts_with(&prefix) && file.contains(".argv"));
    calls.map(|(_, argv)| String::from_utf8(argv).unwrap().trim_end().replace('\n', " ")).collect()
}

fn home(world: &World, file: &str) -> PathBuf {
    world.root.join("home").join(file)
}

pub const ALL: [(&str, &[(&str, &str)]); 3] = [
    ("claude", &[("1.sh", CLAUDE), ("2.stdout", CONNECTED), ("3.sh", r#"echo '{}' >"$HOME/.claude.json""#)]),
    ("codex", &[("1.sh", CODEX), ("2.stdout", "{}"), ("3.stdout", "{}"), ("4.sh", r#": >"$HOME/.codex/config.toml""#)]),
    ("gemini", &[("1.sh", GEMINI), ("2.stdout", CONNECTED), ("3.sh", r#"echo '{}' >"$HOME/.gemini/settings.json""#)]),
];

#[test]
fn each_client_is_registered_once_and_taken_out_again() {
    let world = world(&ALL);
    fs::write(home(&world, ".codex/config.toml"), "model = \"m\"\n").unwrap();
    let ran = setup(&world, &[]);
    check(&ran, 0, &["claude: registered\n", "codex: registered\n", "gemini: registered\n", "Connected", "--trust"]);
    let program = env!("CARGO_BIN_EXE_mux");
    assert_eq!(calls(&world, "claude"), [format!("mcp add -s user mux -- {program} mcp"), "mcp get mux".into()]);
    assert_eq!(calls(&world, "codex")[0], format!("mcp add mux -- {program} mcp"));
    let gemini = format!("mcp add -s user --timeout 900000 mux {program} mcp");
    assert_eq!(calls(&world, "gemini"), [gemini, "mcp list".into()]);
    let toml = fs::read_to_string(home(&world, ".codex/config.toml")).unwrap();
    let expected = format!(
        "model = \"m\"\n[mcp_servers.mux]\nstartup_timeout_sec = 20\ntool_timeout_sec = 1800\ncommand = \"{program}\"\nargs = [\"mcp\"]\n"
    );
    assert_eq!(toml, expected);

    let before = tree(&world.root.join("calls")).len();
    let nothing = ["claude: nothing to do\n", "codex: nothing to do\n", "gemini: nothing to do\n"];
    check(&setup(&world, &[]), 0, &nothing);
    assert_eq!(tree(&world.root.join("calls")).len(), before, "the second time calls nothing");

    check(&setup(&world, &["--remove"]), 0, &["claude: removed\n", "codex: removed\n", "gemini: removed\n"]);
    assert_eq!(calls(&world, "claude")[2], "mcp remove mux -s user");
    assert_eq!(calls(&world, "codex")[3], "mcp remove mux");
    assert_eq!(calls(&world, "gemini")[2], "mcp remove -s user mux");
    check(&setup(&world, &["--remove"]), 0, &nothing);
}

#[test]
fn a_dry_run_shows_every_command_and_file_and_touches_none() {
    let world = world(&ALL);
    let before = tree(&world.root);
    let ran = setup(&world, &["--dry-run", "--trust"]);
    let shown = [
        "claude mcp add -s user mux -- ",
        "codex mcp add mux -- ",
        "write to ~/.codex/config.toml: startup_timeout_sec = 20, tool_timeout_sec = 1800, default_tools_approval_mode",
        "gemini mcp add -s user --trust --timeout 900000 mux ",
    ];
    check(&ran, 0, &shown);
    assert!(tree(&world.root) == before, "{}", ran.report());
}

#[test]
fn what_cannot_be_read_or_is_not_ours_is_left_alone() {
    let world = world(&[("claude", &[]), ("codex", &[]), ("gemini", &[])]);
    let files = [
        (".claude.json", r#"{"mcpServers":{"mux":{"command":"npx","args":["mux"]}}}"#),
        (".codex/config.toml", "[mcp_servers.mux]\ncommand = \"other\"\n"),
        (".gemini/settings.json", "{\"a\": 1, // a comment\n}"),
    ];
    for (file, text) in files {
        fs::write(home(&world, file), text).unwrap();
    }
    for args in [&[][..], &["--remove"], &["--dry-run"]] {
        let ran = setup(&world, args);
        check(
            &ran,
            1,
            &["claude: FAILED", "left alone", "codex: FAILED", "gemini: FAILED: cannot read", "nothing was changed"],
        );
    }
    for (file, text) in files {
        assert_eq!(fs::read_to_string(home(&world, file)).unwrap(), text);
    }
    assert!(tree(&world.root.join("calls")).is_empty());
}

#[test]
fn codex_keeps_its_file_when_it_does_not_take_the_limits() {
    let world = world(&[("codex", &[("1.sh", CODEX), ("2.exit", "1"), ("2.stderr", "unknown key\n")])]);
    let ran = setup(&world, &["--client", "codex"]);
    check(&ran, 1, &["codex: FAILED: codex does not take its time limits", "unknown key"]);
    let toml = fs::read_to_string(home(&world, ".codex/config.toml")).unwrap();
    assert!(!toml.contains("tool_timeout_sec"), "{toml}");
}

#[test]
fn a_client_that_is_missing_or_unknown_is_said() {
    let world = world(&[]);
    check(&setup(&world, &[]), 1, &["claude: not installed\ncodex: not installed\ngemini: not installed\n"]);
    check(&setup(&world, &["--client", "gemini"]), 1, &["gemini: not installed\n"]);
    let ran = setup(&world, &["--client", "claude,cursor"]);
    assert!(
        ran.exit == 2 && String::from_utf8_lossy(&ran.stderr).contains("unknown client `cursor`"),
        "{}",
        ran.report()
    );
    let skill = setup(&world, &["--print-skill"]);
    check(&skill, 0, &["name: mux", "Bad tasks", "run_id"]);
}

/// Runs setup.sh with the machine's own tools, the program that the tests have built, and no server of this machine.
pub fn script(world: &World, args: &[&str]) -> Ran {
    script_with(world, Path::new(env!("CARGO_BIN_EXE_mux")), args)
}

fn script_with(world: &World, program: &Path, args: &[&str]) -> Ran {
    for cli in ["claude", "codex", "gemini"] {
        // Played ones that fail come first, whatever the machine has.
        if !world.root.join("bin").join(cli).exists() {
            world.install_cli(cli, &world.root.join("runtime"));
        }
    }
    let mut command = world.command(manifest().join("setup.sh"));
    command.args(args).env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", world.root.join("bin").display()));
    command.env("MUX_SETUP_BIN", program).env("MUX_SETUP_PORTS", "");
    run(command, b"")
}

#[test]
fn the_script_installs_what_shells_and_man_read_and_takes_all_of_it_out() {
    let world = World::new("script");
    let yours = world.root.join("data/fish/vendor_completions.d/mux.fish");
    fs::create_dir_all(yours.parent().unwrap()).unwrap();
    fs::write(&yours, "# mine\n").unwrap();
    let places = ["home", "data", "config"].map(|place| world.root.join(place));
    let all = || places.each_ref().map(|place| tree(place));
    let before = all();
    let ran = script(&world, &[]);
    check(
        &ran,
        0,
        &["mux.fish is not of this setup and stays as it is\n", "take it out again:  ./setup.sh --uninstall\n"],
    );
    for (place, args) in [
        ("data/bash-completion/completions/mux", &["completions", "bash"][..]),
        ("data/zsh/site-functions/_mux", &["completions", "zsh"]),
        ("home/.local/share/man/man1/mux.1", &["man"]),
    ] {
        let mut mux = world.mux();
        mux.args(args);
        let path = world.root.join(place);
        assert_eq!(fs::read(&path).unwrap_or_default(), run(mux, b"").stdout, "{place}\n{}", ran.report());
        check(&ran, 0, &[&format!("\n  {}\n", path.display())]);
    }
    // Again: what is there is replaced, and noted once.
    let noted = fs::read_to_string(world.root.join("data/mux/setup-manifest")).unwrap();
    check(&script(&world, &[]), 0, &[]);
    assert_eq!(fs::read_to_string(world.root.join("data/mux/setup-manifest")).unwrap(), noted);
    check(&script(&world, &["--uninstall"]), 0, &["removed "]);
    assert_eq!(all(), before);
}

#[test]
fn the_script_takes_out_what_an_interrupted_one_began_wherever_it_was() {
    let world = World::new("script-killed");
    let program = world.root.join("mux");
    // A mux that tells what it is asked, and ends the script that asks it for a page.
    let text = "#!/bin/sh\necho \"$0 $*\" >>\"$HOME/../asked\"\n[ \"$1\" != man ] || { echo half; kill -9 $PPID; }\n";
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let prefix = world.root.join("a prefix");
    let places = ["home", "data", "config"].map(|place| world.root.join(place));
    let all = || places.each_ref().map(|place| tree(place));
    for place in &places {
        fs::create_dir_all(place).unwrap();
    }
    let before = all();
    let ran = script_with(&world, &program, &["--prefix", prefix.to_str().unwrap()]);
    assert!(prefix.join("share/man/man1/mux.1.new").exists() && ran.exit == 137, "{}", ran.report());
    let ran = script_with(&world, &program, &["--uninstall"]);
    check(&ran, 0, &["removed "]);
    assert_eq!((all(), prefix.exists()), (before, false), "{}", ran.report());
    let asked = fs::read_to_string(world.root.join("asked")).unwrap();
    assert!(asked.ends_with(&format!("{} setup --remove\n", prefix.join("bin/mux").display())), "{asked}");
    for (args, said) in [
        (&["--prefix", "--try"][..], "--prefix needs a value"),
        (&["--port", "70000"], "not a port: 70000"),
        (&["--port=0"], "not a port: 0"),
    ] {
        let ran = script(&world, args);
        assert!(ran.exit == 2 && String::from_utf8_lossy(&ran.stderr).contains(said), "{}", ran.report());
    }
}
