//! What shells and man(1) make of `mux completions` and `mux man`. bash is on every machine that builds mux; zsh, fish and
//! the readers of manual pages are asked where they are installed.

use crate::bench::{Ran, World, run};
use fs_err as fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

/// A world whose PATH has `mux`, and a ledger with one run.
fn world(name: &str) -> World {
    let world = World::new(name);
    symlink(env!("CARGO_BIN_EXE_mux"), world.root.join("bin/mux")).unwrap();
    fs::create_dir(world.root.join("state/mux")).unwrap();
    let ledger = world.root.join("state/mux/run_ledger.jsonl");
    let line = format!(
        "{{\"run_id\":\"{ID}\",\"timestamp\":\"2026-11-20T02:54:00.123Z\",\"kind\":\"answer\",\"route\":\"local\",\
         \"reason\":\"confident\",\"workdir\":\"/w\"}}\n"
    );
    fs::write(&ledger, line).unwrap();
    fs::set_permissions(&ledger, PermissionsExt::from_mode(0o600)).unwrap();
    world
}

const ID: &str = "01M83B56WQR58GX95Z0TR9E81E";

fn installed(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/local/bin"].iter().map(|at| PathBuf::from(at).join(name)).find(|path| path.exists())
}

fn shell(world: &World, program: &str, args: &[&str]) -> Option<Ran> {
    let path = installed(program)?;
    // zsh starts another one of itself.
    let _ = symlink(&path, world.root.join("bin").join(program));
    let mut command = world.command(path);
    command.args(args).env("TERM", "dumb");
    Some(run(command, b""))
}

/// Lines and the words that complete them.
const LINES: &[(&str, &str)] = &[
    ("mux und", "undo"),
    ("mux completions f", "fish"),
    ("mux config p", "path"),
    ("mux run --prefer", "--prefer-local"),
    ("mux run --route ge", "gemini"),
    ("mux setup --client cod", "codex"),
    ("mux bench --format e", "edits"),
    ("mux log --route n", "none"),
    ("mux hook ins", "install"),
    ("mux hook install pre-c", "pre-commit"),
    ("mux diff 01M", ID),
];

#[test]
fn bash_completes_commands_options_values_and_run_ids() {
    let world = world("bash");
    let script = "set -eu
        source <(mux completions bash)
        for line in \"$@\"; do
            read -ra COMP_WORDS <<<\"$line\"
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _mux mux
            printf '%s\\n' \"${COMPREPLY[*]}\"
        done
        COMP_WORDS=(mux run --route = lo) COMP_CWORD=4
        _mux mux
        printf '%s\\n' \"${COMPREPLY[*]}\"
        COMP_WORDS=(mux '') COMP_CWORD=1
        _mux mux
        printf '%s\\n' \"${COMPREPLY[*]}\"";
    let mut args = vec!["--norc", "-c", script, "bash"];
    args.extend(LINES.iter().map(|(line, _)| *line));
    let ran = shell(&world, "bash", &args).expect("bash is installed");
    let said = String::from_utf8_lossy(&ran.stdout);
    let mut expected: Vec<&str> = LINES.iter().map(|(_, word)| *word).collect();
    expected.push("local");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(&lines[..lines.len() - 1], expected, "{}", ran.report());
    let all: Vec<&str> = lines[lines.len() - 1].split(' ').collect();
    assert!(ran.stderr.is_empty() && all[0] == "run" && all.contains(&"man") && all.contains(&"--version"), "{all:?}");
}

#[test]
fn fish_completes_the_same() {
    let world = world("fish");
    for (line, word) in LINES {
        let script = format!("mux completions fish | source; complete -C '{line}'");
        let Some(ran) = shell(&world, "fish", &["--no-config", "-c", &script]) else { return };
        let said = String::from_utf8_lossy(&ran.stdout);
        let words: Vec<&str> = said.lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert_eq!(words, [*word], "{line}\n{}", ran.report());
    }
}

/// Presses the tab key in a zsh of its own (`zpty`) and shows what stands on the line then.
const ZSH: &str = "
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z \"PS1= PS2= RPS1=; autoload -Uz compinit; compinit -u -D\"
zpty -w z 'source <(mux completions zsh); show() { zle -I; print -r -- \"<$BUFFER>\"; BUFFER= }; zle -N show'
zpty -w z 'bindkey ^X show; print ready-\"now\"'
zpty -r z seen '*ready-now*'
for line in \"$@\"; do
    zpty -n -w z \"$line\"$'\\t'$'\\C-x'
    zpty -r z seen '*<mux*>*'
    print -r -- ${${seen##*<}%%>*}
done
zpty -d z
";

#[test]
fn zsh_completes_the_same() {
    let world = world("zsh");
    let mut args = vec!["-f", "-c", ZSH, "zsh"];
    args.extend(LINES.iter().map(|(line, _)| *line));
    let Some(ran) = shell(&world, "zsh", &args) else { return };
    let said = String::from_utf8_lossy(&ran.stdout);
    let words: Vec<&str> = said.lines().map(|line| line.trim_end().rsplit(' ').next().unwrap()).collect();
    let expected: Vec<&str> = LINES.iter().map(|(_, word)| *word).collect();
    assert_eq!(words, expected, "{}", ran.report());
}

#[test]
fn readers_of_manual_pages_find_no_fault() {
    let world = world("man");
    let page = world.root.join("mux.1");
    let mut command = world.mux();
    command.arg("man");
    fs::write(&page, run(command, b"").stdout).unwrap();
    let page = page.to_str().unwrap();
    // The page has no date: it would be one that nobody keeps.
    for (program, args) in
        [("groff", vec!["-ww", "-z", "-man", "-Tutf8", page]), ("mandoc", vec!["-Tlint", "-Werror", page])]
    {
        let Some(ran) = shell(&world, program, &args) else { continue };
        assert!(ran.exit == 0 && ran.stderr.is_empty() && ran.stdout.is_empty(), "{}", ran.report());
    }
}
