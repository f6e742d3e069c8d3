//! The page of `--help`, read as a table: completions and the manual page are made of what people read. Pure.

/// All that the page says.
#[derive(Debug, Default, PartialEq)]
pub struct Usage<'a> {
    /// What the program does, a paragraph.
    pub about: String,
    pub commands: Vec<Command<'a>>,
    /// Options that need no command.
    pub general: Vec<Flag<'a>>,
    /// What the exit codes mean.
    pub codes: String,
}

/// A command with its options, in the order of the page.
#[derive(Debug, Default, PartialEq)]
pub struct Command<'a> {
    pub name: &'a str,
    /// What follows it, as written: `[TASK...]`, `bash|zsh|fish`.
    pub takes: &'a str,
    pub about: String,
    pub flags: Vec<Flag<'a>>,
    /// How its options are written in "options of the others", a line each.
    pub lines: Vec<&'a str>,
}

/// An option.
#[derive(Debug, Default, PartialEq)]
pub struct Flag<'a> {
    /// With its dash.
    pub short: Option<&'a str>,
    /// With its dashes.
    pub long: Option<&'a str>,
    /// Its value, as written: `DIR`, `7d`, `claude,codex,gemini`, `whole|edits`.
    pub value: Option<&'a str>,
    /// Empty where the page says nothing of it.
    pub about: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    About,
    Commands,
    Run,
    Others,
    Codes,
}

impl Command<'_> {
    /// Returns the words that may follow: those of `[show|path|init|check]`.
    pub fn words(&self) -> Vec<&str> {
        let words = self.takes.split(' ').next().unwrap_or_default().trim_matches(['[', ']']);
        if words.contains('|') { words.split('|').collect() } else { Vec::new() }
    }
}

impl Flag<'_> {
    /// Returns whether the option is written so, with its dashes.
    pub fn is(&self, name: &str) -> bool {
        self.short == Some(name) || self.long == Some(name)
    }

    /// Returns what the option does, up to the first explanation.
    pub fn brief(&self) -> &str {
        brief(&self.about)
    }
}

/// Returns the beginning of a description, up to its first explanation.
pub fn brief(about: &str) -> &str {
    let ends = ["; ", " (", ": "].into_iter().filter_map(|end| about.find(end));
    ends.min().and_then(|end| about.get(..end)).unwrap_or(about)
}

/// Reads the page.
pub fn read(page: &str) -> Usage<'_> {
    let mut usage = Usage::default();
    let mut part = Part::About;
    // The command whose options are being read.
    let mut current = "";
    for line in page.lines().filter(|line| !line.is_empty() && !line.starts_with("usage:")) {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        match (part, line) {
            (_, "commands:") => part = Part::Commands,
            (_, "options of run:") => part = Part::Run,
            (_, "options of the others:") => part = Part::Others,
            (_, "exit codes:") => part = Part::Codes,
            (Part::About, _) => join(&mut usage.about, text),
            (Part::Codes, _) => join(&mut usage.codes, text),
            (Part::Commands, _) if indent == 2 => {
                let (head, about) = columns(text);
                let (name, takes) = head.split_once(' ').unwrap_or((head, ""));
                usage.commands.push(Command { name, takes, about: about.into(), ..Command::default() });
            }
            (Part::Commands, _) => {
                if let Some(command) = usage.commands.last_mut() {
                    join(&mut command.about, text);
                }
            }
            (Part::Run, _) => {
                if let Some(run) = usage.commands.iter_mut().find(|command| command.name == "run") {
                    option(&mut run.flags, text, indent);
                }
            }
            (Part::Others, _) if text.starts_with('-') && indent == 2 => option(&mut usage.general, text, indent),
            (Part::Others, _) => {
                // A line that is indented further goes on with the one before.
                if indent == 2 {
                    current = text.split(' ').next().unwrap_or_default();
                }
                if let Some(command) = usage.commands.iter_mut().find(|command| command.name == current) {
                    command.lines.push(line);
                    mentioned(&mut command.flags, text);
                }
            }
        }
    }
    usage
}

/// The two columns of a line; two blanks part them.
fn columns(text: &str) -> (&str, &str) {
    text.split_once("  ").map_or((text, ""), |(head, about)| (head, about.trim_start()))
}

fn join(paragraph: &mut String, text: &str) {
    if !paragraph.is_empty() {
        paragraph.push(' ');
    }
    paragraph.push_str(text);
}

/// A line of a list of options: one of its own, or the description of the last one going on.
fn option<'a>(flags: &mut Vec<Flag<'a>>, text: &'a str, indent: usize) {
    if text.starts_with('-') && indent <= 6 {
        let (head, about) = columns(text);
        let mut flag = Flag { about: about.into(), ..Flag::default() };
        for word in head.split([' ', ',']).filter(|word| !word.is_empty()) {
            match word {
                long if long.starts_with("--") => flag.long = Some(long),
                short if short.starts_with('-') => flag.short = Some(short),
                value => flag.value = Some(value),
            }
        }
        flags.push(flag);
    } else if let Some(flag) = flags.last_mut() {
        join(&mut flag.about, text);
    }
}

/// Options in running text: `[-n N] [--since 7d] [--to a|b] [--json]; --prune 90d forgets what is older`.
fn mentioned<'a>(flags: &mut Vec<Flag<'a>>, text: &'a str) {
    let mut words = text.split([' ', '[', ']', '(', ')']).peekable();
    while let Some(word) = words.next() {
        let name = word.trim_end_matches([';', ',', '.']);
        let is_known = flags.iter().any(|flag| flag.is(name));
        if !name.starts_with('-') || name.len() < 2 || is_known {
            continue;
        }
        let is_value = |next: &str| next.starts_with(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit());
        let is_list = |next: &str| next.len() > 1 && next.trim_end_matches([';', ',']).contains([',', '|']);
        // What ends a clause has no value.
        let next = words.peek().copied().filter(|next| name == word && (is_value(next) || is_list(next)));
        let mut flag = Flag { value: next.map(|value| value.trim_end_matches([';', ','])), ..Flag::default() };
        *(if name.starts_with("--") { &mut flag.long } else { &mut flag.short }) = Some(name);
        flags.push(flag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
usage: x COMMAND

Does things
well.

commands:
  run [TASK...]       do one task
  log                 recent
                      runs
  config [show|path]
                      values

options of run:
  -C, --dir DIR       work there (default:
                      here)
      --task-file FILE  read it
      --json          one object

options of the others:
  log [-n N] [--since 7d] [--to a,b] [--json | --csv]
      [--follow]; --prune 90d forgets; --json is for programs
  config [--raw] [--form a|b]

  -h, --help          this page

exit codes:
  0 done ·
  1 not
";

    fn flag<'a>(short: Option<&'a str>, long: Option<&'a str>, value: Option<&'a str>, about: &str) -> Flag<'a> {
        Flag { short, long, value, about: about.into() }
    }

    #[test]
    fn the_page_is_a_table() {
        let usage = read(PAGE);
        let named = |name, takes, about: &str, flags, lines| Command { name, takes, about: about.into(), flags, lines };
        let run = vec![
            flag(Some("-C"), Some("--dir"), Some("DIR"), "work there (default: here)"),
            flag(None, Some("--task-file"), Some("FILE"), "read it"),
            flag(None, Some("--json"), None, "one object"),
        ];
        let log = vec![
            flag(Some("-n"), None, Some("N"), ""),
            flag(None, Some("--since"), Some("7d"), ""),
            flag(None, Some("--to"), Some("a,b"), ""),
            flag(None, Some("--json"), None, ""),
            flag(None, Some("--csv"), None, ""),
            flag(None, Some("--follow"), None, ""),
            flag(None, Some("--prune"), Some("90d"), ""),
        ];
        let lines = vec![
            "  log [-n N] [--since 7d] [--to a,b] [--json | --csv]",
            "      [--follow]; --prune 90d forgets; --json is for programs",
        ];
        let config = vec![flag(None, Some("--raw"), None, ""), flag(None, Some("--form"), Some("a|b"), "")];
        let commands = vec![
            named("run", "[TASK...]", "do one task", run, Vec::new()),
            named("log", "", "recent runs", log, lines),
            named("config", "[show|path]", "values", config, vec!["  config [--raw] [--form a|b]"]),
        ];
        let general = vec![flag(Some("-h"), Some("--help"), None, "this page")];
        let expected = Usage { about: "Does things well.".into(), commands, general, codes: "0 done · 1 not".into() };
        assert_eq!(usage, expected);
        assert_eq!(usage.commands[2].words(), ["show", "path"]);
        assert_eq!(usage.commands[0].words(), [""; 0]);
        assert_eq!(usage.commands[0].flags[0].brief(), "work there");
    }
}
