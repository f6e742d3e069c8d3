//! The command lines of README.md and of the pages that it was shortened by. Each one that begins with `mux` is run as it
//! stands there, by a shell, in a project of its own with a played model server and played CLIs, and has to end and to say
//! what the page says it does. The few that cannot be run here are listed with the reason. A line that is neither fails,
//! and so does an entry without a line.

use crate::bench::{Ran, World, manifest, run};
use crate::mask::Mask;
use crate::replay::Server;
use crate::{fit, kill, setup};
use fs_err as fs;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Where the lines stand: what was one page once.
const PAGES: [&str; 3] = ["README.md", "docs/tuning.md", "docs/from-python-mux.md"];

/// What a line finds beside a project.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// One run that has changed a file, a model that answers with this text, and a claude that answers.
    Replies(&'static str),
    /// No model server.
    Down,
    /// A ledger of proven changes.
    Proven,
    /// claude, codex and gemini, to be registered with.
    Clients,
    /// The same, of which gemini trusts.
    Trusting,
    /// No configuration.
    Fresh,
    /// The machine's own tools.
    Machine,
}

use Stage::{Clients, Down, Fresh, Machine, Proven, Replies, Trusting};

const PROSE: Stage = Replies("Because the script has no `rerun-if-changed` line, cargo runs it again for every file.");
const PAGER: Stage = Replies("```python\ndef pages(n, size):\n    return -(-n // size)\n```\n");
const SERVICE: Stage = Replies(
    "FILE: user_service.py\n```python\nclass UserService:\n    def name(self, user):\n        \
     return user.name if user else \"\"\n```\n",
);
const SLUGIFY: Stage = Replies(
    "FILE: slugify.py\n```python\ndef slugify(text):\n    return \"-\".join(text.lower().split())\n```\n\n\
     FILE: test_slugify.py\n```python\nimport unittest\n\nfrom slugify import slugify\n\n\n\
     class Test(unittest.TestCase):\n    def test(self):\n        self.assertEqual(slugify(\"A b\"), \"a-b\")\n```\n",
);

/// The line as a page has it, its stage, its exit code, and what it says on either stream.
const RUN: &[(&str, Stage, i32, &str)] = &[
    ("mux", PROSE, 0, "next: "),
    ("mux --version", PROSE, 0, "mux 0."),
    ("mux bench", Down, 1, "local_down: `mux doctor` says how to start a model server"),
    ("mux config check", PROSE, 0, "\nok: "),
    ("mux config init", Fresh, 0, "config/mux/mux.yaml"),
    ("mux config show", PROSE, 0, "base_url"),
    ("mux diff", PROSE, 0, "+++ b/hello.py"),
    ("mux diff RUN_ID", PROSE, 0, "+++ b/hello.py"),
    ("mux doctor", PROSE, 0, "ok    server   "),
    ("mux doctor --deep", PROSE, 0, "deep     claude"),
    ("mux egress", PROSE, 0, "nothing was sent"),
    ("mux egress --prune 365d", PROSE, 0, "forgotten: 0 calls"),
    ("mux hook install", PROSE, 0, "pre-push"),
    ("mux hook run pre-commit", PROSE, 0, ""),
    ("mux hook run prepare-commit-msg", PROSE, 0, "git gives the name of the message file"),
    ("mux hook run prepare-commit-msg {0}", PROSE, 0, ""),
    ("mux hook run pre-push {0}", PROSE, 0, ""),
    ("! command -v mux >/dev/null || mux hook run pre-commit", PROSE, 0, ""),
    ("! command -v mux >/dev/null || mux hook run prepare-commit-msg \"$@\"", PROSE, 0, ""),
    ("mux hook status", PROSE, 0, "pre-push: not installed"),
    ("mux hook uninstall", PROSE, 0, "pre-push: was not there"),
    ("mux log", PROSE, 0, "verified"),
    ("mux log -n 20", PROSE, 0, "verified"),
    ("mux log -n 5 --json", PROSE, 0, "\"route\":\"local\""),
    ("mux man | man -l -", Machine, 0, "mux COMMAND"),
    ("mux mcp", PROSE, 0, ""),
    ("mux mcp --budget SECONDS", PROSE, 0, ""),
    ("mux replay", PROSE, 0, "\nchanged               0\n"),
    ("mux replay --threshold 0.8", PROSE, 0, "\nchanged               0\n"),
    ("mux report", PROSE, 0, "<!DOCTYPE html>"),
    (
        "mux run \"Create slugify.py with a function slugify(text)\" --verify \"python3 -m unittest -q\"",
        SLUGIFY,
        0,
        "reason: verified",
    ),
    ("mux run \"Fix the null pointer bug in UserService\"", SERVICE, 0, "changed user_service.py"),
    ("mux run \"Fix the off-by-one in src/pager.py\"", PAGER, 0, "changed src/pager.py"),
    ("mux run \"Make the tests pass\"", SERVICE, 0, "the checks are asked what is red"),
    ("mux run \"Why does cargo rebuild everything after touching build.rs?\"", PROSE, 0, "rerun-if-changed"),
    ("mux run \"…\"", PROSE, 0, "route: local"),
    ("mux run --answer \"…\"", PROSE, 0, "output:"),
    ("mux run --change \"…\"", PAGER, 0, "created pager.py"),
    ("mux run --file PATH …", PROSE, 0, "reason: unverified"),
    ("mux run --route claude \"…\"", PROSE, 0, "route: claude"),
    ("git diff | mux run \"Review this\" -", PROSE, 0, "reason: unverified"),
    ("mux run --task \"…\"", PROSE, 0, "route: local"),
    ("mux setup", Clients, 0, "gemini: registered"),
    ("mux setup --dry-run", Clients, 0, "claude mcp add"),
    ("mux setup --client codex --trust", Clients, 0, "codex: registered"),
    ("mux setup --client codex,gemini --trust", Trusting, 0, "gemini: registered"),
    ("mux setup --client gemini --trust", Trusting, 0, "gemini: registered"),
    ("mux setup --print-skill", PROSE, 0, "name: mux"),
    ("mkdir -p ~/.claude/skills/mux && mux setup --print-skill > ~/.claude/skills/mux/SKILL.md", PROSE, 0, ""),
    ("echo 'source <(mux completions bash)' >> ~/.bashrc", PROSE, 0, ""),
    ("echo 'source <(mux completions zsh)' >> ~/.zshrc", PROSE, 0, ""),
    ("echo 'mux completions fish | source' >> ~/.config/fish/config.fish", PROSE, 0, ""),
    ("mux status", PROSE, 0, "\nverified locally: 100.0 %"),
    ("mux status --check", PROSE, 0, "UP qwen-coder-1.5b at "),
    ("mux trust", PROSE, 0, "trusted: "),
    ("mux tune", Proven, 0, "\nruns                108\n"),
    ("mux tune --fit", Proven, 0, "Nothing is written without `--write`."),
    ("mux tune --max-cloud 20%", Proven, 0, "\n--max-cloud 20%\n  threshold "),
    ("mux tune --max-false-accept 2%", Proven, 1, "no proposal       no threshold comes below"),
    ("mux tune --max-cloud 20% --write", Proven, 0, "\nwritten to "),
    ("mux undo", PROSE, 0, "deleted hello.py"),
    ("mux undo RUN_ID", PROSE, 0, "deleted hello.py"),
    ("mux undo RUN_ID --force", PROSE, 0, "deleted hello.py"),
    ("./setup.sh", Down, 0, "installed "),
    ("./setup.sh --uninstall", Down, 0, "nothing to remove: "),
    ("mux why", PROSE, 0, "what would have changed"),
    ("mux why RUN_ID", PROSE, 0, "what would have changed"),
];

/// Lines that cannot be run here, and why. `*` at the end is any end.
const NOT_RUN: &[(&str, &str)] = &[
    (".ci/run", "is these tests, and more"),
    ("cargo *", "builds mux anew, is these tests, or installs"),
    ("BENCH=*", "asks a real model"),
    ("BLESS=*", "is these tests"),
    ("RECORD=*", "asks a real model"),
    ("tests/*", "measures, fuzzes or soaks for minutes or hours"),
    ("release/*", "builds mux anew, or looks at what was built"),
    ("./setup.sh --try", "fetches a model of 1.1 GB"),
    ("curl *", "needs a release; release.rs runs the installer with one of its own"),
    ("repository=*", "finds whose release it is, for the line below"),
    ("gh *", "needs a release"),
    ("mux log -f", "has no end; log.rs runs it"),
    ("mux run", "opens an editor on a terminal; terminal.rs runs it"),
];

/// Whether an entry of [`NOT_RUN`] is for a line.
fn is_for(entry: &str, line: &str) -> bool {
    entry.strip_suffix('*').map_or(entry == line, |start| line.starts_with(start))
}

/// What a word of the page stands for.
fn filled(line: &str, run_id: &str) -> String {
    let words = [
        ("RUN_ID", run_id),
        ("SECONDS", "60"),
        ("PATH …", "user_service.py 'What does it do?'"),
        ("…", "Explain pager.py."),
        ("{0}", ".git/COMMIT_EDITMSG"),
    ];
    words.iter().fold(line.to_string(), |line, (word, value)| line.replace(word, value))
}

/// Returns the command lines of a page of Markdown: of blocks for a shell, of the settings of other programs,
/// and of the text.
fn lines(page: &str) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for (n, part) in page.split("```").enumerate() {
        if n % 2 == 0 {
            // Code in the text, which may go over the end of a line.
            let codes =
                part.split('`').skip(1).step_by(2).map(|code| code.split_whitespace().collect::<Vec<_>>().join(" "));
            lines.extend(codes.filter(|code| is_command(code)));
            continue;
        }
        let (language, block) = part.split_once('\n').unwrap_or_default();
        match language {
            "sh" => lines.extend(block.lines().map(without_comment).filter(|line| !line.is_empty())),
            "json" => lines.extend(servers(&serde_json::from_str(block).unwrap())),
            "yaml" => lines.extend(entries(block)),
            // The page of `--help`, pictures, and the session, which has a test of its own.
            "text" | "console" => {}
            _ => panic!("README.md has a block of `{language}`, of which nobody knows what commands look like"),
        }
    }
    lines
}

/// Whether code in the text is a command line: a program that the page is about, and not only the name of a file.
fn is_command(code: &str) -> bool {
    let (first, rest) = code.split_once(' ').unwrap_or((code, ""));
    match first {
        "mux" | "./setup.sh" | ".ci/run" | "tests/soak.sh" | "release/oldest.sh" | "release/same.sh" => true,
        _ if code.contains("| mux ") => true,
        _ if first.starts_with("tests/") || first.starts_with("release/") => !rest.is_empty(),
        _ => ["cargo", "curl", "gh"].contains(&first) && !rest.is_empty(),
    }
}

fn without_comment(line: &str) -> String {
    line.split(" # ").next().unwrap_or_default().split("  #").next().unwrap_or_default().trim().to_string()
}

/// `{"command": "mux", "args": ["mcp"]}`, wherever it stands.
fn servers(value: &Value) -> Vec<String> {
    match (value["command"].as_str(), value["args"].as_array(), value.as_object()) {
        (Some(program), Some(args), _) => {
            let words = args.iter().map(|arg| arg.as_str().unwrap());
            vec![std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ")]
        }
        (_, _, Some(members)) => members.values().flat_map(servers).collect(),
        _ => Vec::new(),
    }
}

/// `run: mux …` and `entry: "mux …"` in YAML of one line.
fn entries(block: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in block.match_indices(": ") {
        let rest = block[at + 2..].trim_start_matches('"');
        if rest.starts_with("mux ") {
            let end = rest.find([',', '"', '\n', '}']).unwrap_or(rest.len());
            let command = &rest[..end];
            found.push(if command.ends_with("{0") { format!("{command}}}") } else { command.trim().to_string() });
        }
    }
    found
}

/// A world as a stage wants it, with the id of its last run.
fn stage(stage: Stage, line: &str) -> (World, Option<Server>, String) {
    let world = match stage {
        Clients => setup::world(&setup::ALL),
        Trusting => setup::world(&TRUSTING),
        Replies(_) | Down | Proven | Fresh | Machine => World::new("readme"),
    };
    symlink(env!("CARGO_BIN_EXE_mux"), world.root.join("bin/mux")).unwrap();
    fs::create_dir_all(world.root.join("home/.config/fish")).unwrap();
    fs::create_dir(world.work.join("src")).unwrap();
    for (name, text) in [
        ("src/pager.py", "def pages(n, size):\n    return n // size\n"),
        ("user_service.py", "class UserService:\n    def name(self, user):\n        return user.name\n"),
        ("mux.yaml", "verification: { commands: [\"true\"] }\n"),
    ] {
        fs::write(world.work.join(name), text).unwrap();
    }
    if line.contains("hook") {
        assert_eq!(sh(&world, stage, "git init -q").exit, 0);
    }
    let run_of = |name: &str| manifest().join("fixtures/run").join(name);
    let (mut server, mut run_id) = (None, String::new());
    match stage {
        Replies(text) => {
            let http = world.root.join("http");
            fs::create_dir(&http).unwrap();
            let first = run_of("004_change_is_proved").join("http/1.response.sse");
            fs::copy(first, http.join("1.response.sse")).unwrap();
            fs::write(http.join("every.response.raw"), kill::response(text)).unwrap();
            world.install_cli("claude", &run_of("101_a_risk_word_sends_an_answer_to_the_cloud").join("cli/claude"));
            server = Some(Server::start(&http));
        }
        Proven => fit::fill(&world, &fit::recorded("humaneval-1.5b.jsonl")),
        Down | Clients | Trusting | Fresh | Machine => {}
    }
    let url = server.as_ref().map_or("http://127.0.0.1:1".to_string(), Server::url);
    if stage != Fresh {
        let local = format!("providers:\n  local:\n    base_url: \"{url}/v1\"\n    model: m\n    auto_detect: false\n");
        world.configure(&format!("{local}local_runtime:\n  health_retries: 0\n"));
    }
    if server.is_some() {
        let task = "mux run --verify true 'Create hello.py. It prints `Hello, world!` and nothing else.'";
        let ran = sh(&world, stage, task);
        let said = String::from_utf8_lossy(&ran.stdout);
        let id = said.lines().find_map(|line| line.strip_prefix("run_id: "));
        run_id = id.unwrap_or_else(|| panic!("{}", ran.report())).to_string();
    }
    (world, server, run_id)
}

/// gemini as it is after `mcp add --trust`.
const TRUSTING: [(&str, &[(&str, &str)]); 2] = [
    setup::ALL[1],
    (
        "gemini",
        &[
            (
                "1.sh",
                r#"printf '{"mcpServers":{"mux":{"command":"%s","args":["mcp"],"timeout":900000,"trust":true}}}' "$9" >"$HOME/.gemini/settings.json""#,
            ),
            ("2.stdout", setup::CONNECTED),
        ],
    ),
];

fn sh(world: &World, stage: Stage, line: &str) -> Ran {
    if let Some(args) = line.strip_prefix("./setup.sh") {
        return setup::script(world, &args.split_whitespace().collect::<Vec<_>>());
    }
    let mut command = world.command(world.root.join("bin/sh"));
    command.args(["-c", line, "sh", ".git/COMMIT_EDITMSG"]);
    if stage == Machine {
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", world.root.join("bin").display()));
    }
    run(command, b"")
}

#[test]
fn every_command_line_of_the_readme_is_run_or_listed() {
    let there: BTreeSet<String> =
        PAGES.iter().flat_map(|page| lines(&fs::read_to_string(manifest().join(page)).unwrap())).collect();
    let is_listed = |line: &str| NOT_RUN.iter().any(|(entry, _)| is_for(entry, line));
    let is_run = |line: &str| RUN.iter().any(|row| row.0 == line);
    let missing: Vec<_> = there.iter().filter(|line| !is_run(line) && !is_listed(line)).collect();
    let mut stale: Vec<_> = RUN.iter().map(|row| row.0).filter(|line| !there.contains(*line)).collect();
    let entries = NOT_RUN.iter().map(|(entry, _)| *entry);
    stale.extend(entries.filter(|entry| !there.iter().any(|line| is_for(entry, line) && !is_run(line))));
    assert!(
        missing.is_empty() && stale.is_empty(),
        "on a page, and neither run nor listed: {missing:#?}\non none of {PAGES:?}: {stale:#?}"
    );
}

#[test]
fn each_of_them_does_what_the_page_says() {
    let mut faults = Vec::new();
    for (line, of, exit, says) in RUN {
        let (world, server, run_id) = stage(*of, line);
        if line.ends_with("| man -l -")
            && !["/usr/bin/man", "/bin/man", "/usr/local/bin/man"].iter().any(|man| Path::new(man).exists())
        {
            eprintln!("not tested: there is no man for `{line}`");
            continue;
        }
        let ran = sh(&world, *of, &filled(line, &run_id));
        let said = [&ran.stdout[..], &ran.stderr].concat();
        if ran.exit != *exit || !String::from_utf8_lossy(&said).contains(says) {
            faults.push(format!("{line}\nexpected: exit {exit}, {says:?}\n{}", ran.report()));
        }
        server.map(Server::end);
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_session_of_the_readme_is_a_recorded_one() {
    let page = fs::read_to_string(manifest().join("README.md")).unwrap();
    let sessions: Vec<&str> =
        page.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let folder = manifest().join("fixtures/run/074_the_session_of_the_readme");
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let mut recorded = String::new();
    for step in ["", "2.", "3."] {
        let words = text(&format!("{step}args"));
        let quoted =
            words.lines().map(|word| if word.contains(' ') { format!("\"{word}\"") } else { word.to_string() });
        let words: Vec<String> = quoted.collect();
        let _ = writeln!(recorded, "$ mux {}", words.join(" "));
        recorded += &text(&format!("expected/{step}stderr"));
        recorded += &text(&format!("expected/{step}stdout"));
    }
    let masked = Mask::new(Path::new("/nowhere"), "http://127.0.0.1:1").text(&sessions.concat());
    assert_eq!(masked, recorded, "the session of README.md is not the recorded one");
}
