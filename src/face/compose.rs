//! The task of a `mux run` that was given none, on a terminal: written in the user's editor, as git does it for the
//! message of a commit.

use crate::face::args::{Command, TaskText};
use crate::sys::{proc, scratch::Scratch};
use crate::words::env::Env;
use crate::words::error::{Context, Error, Kind};
use fs_err as fs;
use std::io::{Cursor, Read};

/// From this line on nothing is the task.
const MARK: &str = "# ------ the task stands above this line ------";
const ABOUT: &str = "
# Save and leave the editor to begin. Without a text nothing is done.
# A change is proved by the tests that mux finds; `mux run --verify CMD` names another proof.
";

/// What a command reads: standard input (`None` for a terminal), or what a person writes in the editor.
type Input = Option<Box<dyn Read>>;

/// Lets a person write the task that a command lacks, in what `VISUAL` or `EDITOR` names. Returns standard input where the
/// command lacks none, where nobody is there to write, and without an editor.
///
/// # Errors
/// `Usage` when the editor cannot be started or fails; `Io` for its file.
pub fn input(command: &Command, stdin: Input, is_terminal: bool, env: &Env) -> Result<Input, Error> {
    let lacks = matches!(command, Command::Run(run) if run.task == TaskText::Unsaid);
    if stdin.is_some() || !is_terminal || !lacks {
        return Ok(stdin);
    }
    let Some(editor) = ["VISUAL", "EDITOR"].into_iter().find_map(|name| env.text(name)) else { return Ok(None) };
    let scratch = Scratch::new(env, &format!("task-{}", env.now.0))?;
    let path = scratch.path().join("TASK.md");
    fs::write(&path, format!("\n\n{MARK}{ABOUT}")).context(Kind::Io, || "cannot begin a task".to_string())?;
    let failed = |why: String| {
        let error = Error::new(Kind::Usage, format!("cannot use the editor `{editor}`: {why}"));
        error.hint("set EDITOR to one that works, or give the task: mux run \"Say what this project does\"")
    };
    match proc::edit(editor, &path) {
        Ok(true) => {}
        Ok(false) => return Err(failed("it failed, so nothing is done".to_string())),
        Err(error) => return Err(failed(error.to_string())),
    }
    let text = fs::read_to_string(&path).context(Kind::Usage, || "cannot read the task".to_string())?;
    Ok(Some(Box::new(Cursor::new(above(&text).to_string()))))
}

/// Returns what stands above the mark.
fn above(text: &str) -> &str {
    text.split_once(MARK).map_or(text, |(task, _)| task).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_is_what_stands_above_the_mark() {
        assert_eq!(above(&format!("\n\n{MARK}{ABOUT}")), "");
        assert_eq!(above(&format!("# Fix it\nnow\n\n{MARK}{ABOUT}")), "# Fix it\nnow");
        assert_eq!(above("no mark\n"), "no mark");
    }
}
