//! The `--help` page → completion scripts for shells. Pure. What a value may be is read from its name on the page; run
//! ids are asked of `mux log` when they are completed.

use crate::rules::hook::Hook;
use crate::rules::usage::{self, Command, Flag, Usage, brief};
use crate::words::task::{Asked, Route};
use std::fmt::Write;

/// The shells that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// What can stand at a place.
enum Values<'a> {
    /// Only the user knows.
    Any,
    Files,
    Dirs,
    RunIds,
    Words(Vec<&'a str>),
}

/// Prints the ids of recent runs.
const IDS: &str = "mux log -n 20 2>/dev/null | grep -oE '^[0-9A-Z]{26}'";

impl Shell {
    pub fn named(name: &str) -> Option<Shell> {
        Some(match name {
            "bash" => Shell::Bash,
            "zsh" => Shell::Zsh,
            "fish" => Shell::Fish,
            _ => return None,
        })
    }
}

/// Returns the script for a shell, made of the page.
pub fn script(page: &str, shell: Shell) -> String {
    let usage = usage::read(page);
    let mut text = String::with_capacity(8192);
    // Writing to a String cannot fail.
    let _ = match shell {
        Shell::Bash => bash(&mut text, &usage),
        Shell::Zsh => zsh(&mut text, &usage),
        Shell::Fish => fish(&mut text, &usage),
    };
    text
}

/// What the value of an option, or the first word behind a command, can be.
fn values<'a>(command: &str, name: &'a str) -> Values<'a> {
    match name.trim_matches(['[', ']']) {
        "DIR" => Values::Dirs,
        // What was recorded, not what can be asked for.
        "ROUTE" if command == "log" => Values::Words(Route::NAMES.to_vec()),
        "FILE" | "PATH" => Values::Files,
        "RUN_ID" => Values::RunIds,
        "ROUTE" => Values::Words(Asked::NAMES.to_vec()),
        "PROVIDER" => Values::Words(vec!["claude", "codex", "gemini"]),
        list if list.contains([',', '|']) => Values::Words(list.split([',', '|']).collect()),
        _ => Values::Any,
    }
}

fn of_command<'a>(command: &'a Command<'_>) -> Values<'a> {
    let words = command.words();
    match command.name {
        // A task names files.
        "run" => Values::Files,
        _ if !words.is_empty() => Values::Words(words),
        _ => values(command.name, command.takes),
    }
}

/// What can stand behind the first word of a command.
fn more(command: &Command<'_>) -> String {
    let hooks = Hook::ALL.into_iter().map(Hook::name).chain(["all"]).collect::<Vec<_>>().join(" ");
    if command.name == "hook" { hooks } else { String::new() }
}

fn names<'a>(flags: &'a [Flag<'_>]) -> impl Iterator<Item = &'a str> {
    flags.iter().flat_map(|flag| [flag.short, flag.long].into_iter().flatten())
}

fn bash(text: &mut String, usage: &Usage<'_>) -> std::fmt::Result {
    let commands: Vec<&str> = usage.commands.iter().map(|command| command.name).chain(names(&usage.general)).collect();
    write!(
        text,
        "# Completion for bash. In ~/.bashrc: source <(mux completions bash)\n\
         _mux() {{\n\
         \x20   local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words=\n\
         \x20   # bash takes `--route=lo` for three words.\n\
         \x20   if [[ $word == = ]]; then word=; elif [[ $before == = ]]; then before=${{COMP_WORDS[COMP_CWORD-2]}}; fi\n\
         \x20   case $COMP_CWORD:${{COMP_WORDS[1]}}:$before:$word in\n\
         \x20   1:*) words='{}' ;;\n",
        commands.join(" ")
    )?;
    for command in &usage.commands {
        for flag in command.flags.iter().filter(|flag| flag.value.is_some()) {
            let patterns: Vec<String> =
                names(std::slice::from_ref(flag)).map(|name| format!("*:{}:{name}:*", command.name)).collect();
            let words = bash_words(&values(command.name, flag.value.unwrap_or_default()));
            writeln!(text, "    {}) words={words} ;;", patterns.join("|"))?;
        }
        let flags: Vec<&str> = names(&command.flags).chain(["--help"]).collect();
        writeln!(text, "    *:{}:*:-*) words='{}' ;;", command.name, flags.join(" "))?;
        let more = more(command);
        if !more.is_empty() {
            writeln!(text, "    [3-9]:{}:*) words='{more}' ;;", command.name)?;
        }
        writeln!(text, "    *:{}:*) words={} ;;", command.name, bash_words(&of_command(command)))?;
    }
    // Without a word that fits, readline completes names of files.
    text.push_str(
        "    esac\n    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n}\n\
         complete -o default -F _mux mux\n",
    );
    Ok(())
}

fn bash_words(values: &Values<'_>) -> String {
    match values {
        Values::Any | Values::Files | Values::Dirs => String::new(),
        Values::RunIds => format!("$({IDS})"),
        Values::Words(words) => format!("'{}'", words.join(" ")),
    }
}

fn zsh(text: &mut String, usage: &Usage<'_>) -> std::fmt::Result {
    write!(
        text,
        "#compdef mux\n\
         # Completion for zsh. In ~/.zshrc, behind compinit: source <(mux completions zsh)\n\
         _mux_run_ids() {{\n    local -a ids\n    ids=(${{(f)\"$({IDS})\"}})\n    compadd -a ids\n}}\n\
         _mux() {{\n    local -a commands\n    commands=(\n"
    )?;
    for command in &usage.commands {
        writeln!(text, "        '{}:{}'", command.name, quoted(brief(&command.about)).replace(':', "\\:"))?;
    }
    text.push_str("    )\n    if (( CURRENT == 2 )); then\n        _describe -t commands command commands\n");
    text.push_str("        _arguments -S");
    zsh_flags(text, "", &usage.general)?;
    text.push_str("\n        return\n    fi\n    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n");
    text.push_str("    case $command in\n");
    for command in &usage.commands {
        write!(text, "    {})\n        _arguments -S", command.name)?;
        zsh_flags(text, command.name, &command.flags)?;
        let takes = zsh_values(&of_command(command));
        let place = match command.name {
            "run" => "*:task:",
            _ if takes.is_empty() => "",
            _ => "1:argument:",
        };
        writeln!(text, " \\\n            '{place}{takes}'")?;
        let more = more(command);
        if !more.is_empty() {
            text.pop();
            writeln!(text, " \\\n            '*:argument:({more})'")?;
        }
        text.push_str("        ;;\n");
    }
    text.push_str("    esac\n}\nif [[ $funcstack[1] == _mux ]]; then _mux \"$@\"; else compdef _mux mux; fi\n");
    // A command without an argument has an empty specification, which is none.
    *text = text.replace(" \\\n            ''\n", "\n");
    Ok(())
}

fn zsh_flags(text: &mut String, command: &str, flags: &[Flag<'_>]) -> std::fmt::Result {
    for flag in flags {
        let value = flag.value.map(|name| format!(":{name}:{}", zsh_values(&values(command, name))));
        let value = value.unwrap_or_default();
        let about = quoted(flag.brief()).replace('[', "\\[").replace(']', "\\]").replace(':', "\\:");
        let again = if flag.about.contains("repeatable") { "*" } else { "" };
        let (plus, equals) = if flag.value.is_some() { ("+", "=") } else { ("", "") };
        text.push_str(" \\\n            ");
        match (flag.short, flag.long) {
            (Some(short), Some(long)) => {
                write!(text, "'({short} {long})'{{{short}{plus},{long}{equals}}}'[{about}]{value}'")?;
            }
            (Some(short), None) => write!(text, "'{again}{short}{plus}[{about}]{value}'")?,
            (None, Some(long)) => write!(text, "'{again}{long}{equals}[{about}]{value}'")?,
            (None, None) => {}
        }
    }
    Ok(())
}

fn zsh_values(values: &Values<'_>) -> String {
    match values {
        Values::Any => String::new(),
        Values::Files => "_files".to_string(),
        Values::Dirs => "_files -/".to_string(),
        Values::RunIds => "_mux_run_ids".to_string(),
        Values::Words(words) => format!("({})", words.join(" ")),
    }
}

fn fish(text: &mut String, usage: &Usage<'_>) -> std::fmt::Result {
    text.push_str(
        "# Completion for fish. In ~/.config/fish/config.fish: mux completions fish | source\ncomplete -c mux -f\n",
    );
    let first = "complete -c mux -n __fish_use_subcommand";
    for command in &usage.commands {
        writeln!(text, "{first} -a {} -d '{}'", command.name, fish_quoted(brief(&command.about)))?;
    }
    for flag in &usage.general {
        fish_flag(text, first, "", flag)?;
    }
    for command in &usage.commands {
        let behind = format!("complete -c mux -n '__fish_seen_subcommand_from {}'", command.name);
        for flag in &command.flags {
            fish_flag(text, &behind, command.name, flag)?;
        }
        let (takes, more) = (fish_values(&of_command(command)), more(command));
        let takes = takes.replace(" -r", "").replace(" -x", "");
        if !more.is_empty() {
            let seen = format!("__fish_seen_subcommand_from {}", command.words().join(" "));
            let behind = behind.trim_end_matches('\'');
            writeln!(text, "{behind}; and not {seen}'{takes}\n{behind}; and {seen}' -a '{more}'")?;
        } else if !takes.is_empty() {
            writeln!(text, "{behind}{takes}")?;
        }
    }
    Ok(())
}

fn fish_flag(text: &mut String, begin: &str, command: &str, flag: &Flag<'_>) -> std::fmt::Result {
    text.push_str(begin);
    if let Some(short) = flag.short {
        write!(text, " -s {}", short.trim_start_matches('-'))?;
    }
    if let Some(long) = flag.long {
        write!(text, " -l {}", long.trim_start_matches('-'))?;
    }
    if let Some(value) = flag.value {
        let takes = fish_values(&values(command, value));
        text.push_str(if takes.is_empty() { " -x" } else { &takes });
    }
    if !flag.about.is_empty() {
        write!(text, " -d '{}'", fish_quoted(flag.brief()))?;
    }
    text.push('\n');
    Ok(())
}

fn fish_values(values: &Values<'_>) -> String {
    match values {
        Values::Any => String::new(),
        Values::Files => " -r -F".to_string(),
        Values::Dirs => " -x -a '(__fish_complete_directories)'".to_string(),
        Values::RunIds => format!(" -x -a '({})'", fish_quoted(IDS)),
        Values::Words(words) => format!(" -x -a '{}'", words.join(" ")),
    }
}

/// For single quotes of bash and zsh.
fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}

/// For single quotes of fish.
fn fish_quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
