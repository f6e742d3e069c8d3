//! The `--help` page → a manual page in the language of man(7). Pure.

use crate::rules::usage::{self, Flag};
use std::fmt::Write;

/// What the page of `--help` does not say.
const REST: &str = "\
.SH FILES
.TP
.I ~/.config/mux/mux.yaml
The configuration; \\fBmux config init\\fR writes the commented default.
.TP
.I ~/.local/state/mux/run_ledger.jsonl
One line for every run. Results, diffs and what an undo needs are beside it.
.TP
.I ~/.local/state/mux/egress.jsonl
All that was ever sent to a cloud CLI.
.SH ENVIRONMENT
.TP
.B MUX_CONFIG
Reads this configuration too. Each key has a variable of its own: \\fBMUX_PROVIDERS_LOCAL_BASE_URL\\fR.
.TP
.B MUX_OFFLINE
With 1 no cloud process is started and no other machine contacted.
.TP
.BR NO_COLOR \", \" CLICOLOR_FORCE
No colours on a terminal; colours in a pipe too.
";

/// Returns the source of the manual page.
pub fn page(help: &str, version: &str) -> String {
    let usage = usage::read(help);
    let mut text = String::with_capacity(12 << 10);
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        ".TH MUX 1 \"\" \"mux {version}\" \"mux\"\n.SH NAME\nmux \\- runs coding tasks on your own model server\n\
         .SH SYNOPSIS\n.B mux\n.I COMMAND\n.RI [ OPTIONS ]\n.SH DESCRIPTION\n{}\n.SH COMMANDS\n",
        escaped(&usage.about)
    );
    for command in &usage.commands {
        tagged(&mut text, &[Some(command.name)], command.takes, &command.about);
    }
    text.push_str(".SH OPTIONS OF RUN\n");
    let flags = |text: &mut String, flags: &[Flag<'_>]| {
        for flag in flags {
            tagged(text, &[flag.short, flag.long], flag.value.unwrap_or_default(), &flag.about);
        }
    };
    for run in usage.commands.iter().filter(|command| command.name == "run") {
        flags(&mut text, &run.flags);
    }
    text.push_str(".SH OPTIONS OF THE OTHERS\n.nf\n");
    for line in usage.commands.iter().flat_map(|command| &command.lines) {
        text.push_str(&escaped(line.strip_prefix("  ").unwrap_or(line)));
        text.push('\n');
    }
    text.push_str(".fi\n");
    flags(&mut text, &usage.general);
    let _ = write!(text, ".SH EXIT STATUS\n{}\n{REST}", escaped(&usage.codes));
    text
}

/// A paragraph with a tag: names in bold, what follows them, and the description.
fn tagged(text: &mut String, names: &[Option<&str>], takes: &str, about: &str) {
    text.push_str(".TP\n");
    let mut comma = "";
    for name in names.iter().flatten() {
        let _ = write!(text, "{comma}\\fB{}\\fR", escaped(name));
        comma = ", ";
    }
    let blank = if takes.is_empty() { "" } else { " " };
    let _ = writeln!(text, "{blank}{}\n{}", escaped(takes), escaped(about));
}

/// Returns text that roff shows as it is: no request at its beginning, no escape, no hyphen of another length.
fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 16);
    if text.starts_with(['.', '\'']) {
        shown.push_str("\\&");
    }
    for c in text.chars() {
        match c {
            '\\' => shown.push_str("\\e"),
            '-' => shown.push_str("\\-"),
            '`' => shown.push_str("\\(ga"),
            '\'' => shown.push_str("\\(aq"),
            '"' => shown.push_str("\\(dq"),
            c if c.is_ascii() => shown.push(c),
            c => {
                let _ = write!(shown, "\\[u{:04X}]", u32::from(c));
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_page_is_taken_for_a_request() {
        assert_eq!(escaped(".TH 'x' \\n a-b · `c`"), "\\&.TH \\(aqx\\(aq \\en a\\-b \\[u00B7] \\(gac\\(ga");
    }

    #[test]
    fn the_page_has_all_sections() {
        let text = page(
            "usage: x\n\nDoes.\n\ncommands:\n  run [T]   do\n\noptions of run:\n  -C, --dir D  there\n\
                         \noptions of the others:\n  log [-n N]\n\n  -h, --help  this\n\nexit codes:\n  0 ok\n",
            "1.2",
        );
        for part in [
            ".TH MUX 1 \"\" \"mux 1.2\" \"mux\"\n",
            ".SH DESCRIPTION\nDoes.\n.SH COMMANDS\n.TP\n\\fBrun\\fR [T]\ndo\n",
            ".SH OPTIONS OF RUN\n.TP\n\\fB\\-C\\fR, \\fB\\-\\-dir\\fR D\nthere\n",
            ".nf\n.fi\n.TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nthis\n.SH EXIT STATUS\n0 ok\n.SH FILES\n",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
    }
}
