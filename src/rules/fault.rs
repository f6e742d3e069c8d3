//! What can be wrong with a reply, in words that the model can act on. Not what the user is told about a run.

use std::fmt;

/// What is wrong with a reply. `Display` is one or two sentences that are quoted to the model as a repair instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    Empty,
    /// No block that could be a file.
    NoFile,
    /// A JSON reply without files.
    NoChange,
    /// A block that no path belongs to; its first line.
    NoPath {
        quote: String,
    },
    /// Another file than the one that was asked for.
    OtherFile {
        asked: String,
        wrote: String,
    },
    /// A block whose end cannot be told, because fences inside it do not pair up.
    Tangled,
    /// An edit or a diff that breaks its form.
    Edits,
    /// An edit of a file whose content the model does not know.
    Unshown {
        path: String,
    },
    /// A whole file where the model saw only parts of it.
    Parted {
        path: String,
    },
    /// A whole file where bytes of the old one are no text.
    Stray {
        path: String,
    },
    /// Lines that an edit looks for and that are not there; the nearest that are.
    EditMissing {
        path: String,
        search: String,
        nearest: String,
    },
    /// Lines that an edit looks for and that are there more than once.
    EditAmbiguous {
        path: String,
        search: String,
        places: String,
    },
    /// An edit that looks for nothing, of a file that has lines.
    EditEmpty {
        path: String,
    },
    /// A JSON reply that breaks its form; one clause.
    Payload {
        what: String,
    },
    /// A line that stands for code that was left out.
    Placeholder {
        path: String,
        quote: String,
    },
    /// A part of an existing file instead of all of it.
    Excerpt {
        path: String,
    },
    /// Nothing is left of an existing file.
    Emptied {
        path: String,
    },
    Conflict {
        path: String,
    },
    /// Every file is as it was.
    Unchanged,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Empty => f.write_str("It was empty. Send the complete file in a fenced block."),
            Fault::NoFile => {
                f.write_str("There is no fenced block with a file in it. Send the complete file in a fenced block.")
            }
            Fault::NoChange => f.write_str("It holds no files. Send each new or changed file, complete."),
            Fault::NoPath { quote } => write!(
                f,
                "The block that begins with `{quote}` does not say which file it is. Write a line `FILE: ` with the \
                 path right before each block.",
            ),
            Fault::OtherFile { asked, wrote } => write!(
                f,
                "It writes `{wrote}`, but the file to write is `{asked}`. Send all of `{asked}` in one fenced block.",
            ),
            Fault::Tangled => f.write_str(
                "It cannot be told where the file ends, because fences inside it do not pair up. Put the file between \
                 two lines of four backticks.",
            ),
            Fault::Edits => f.write_str(
                "It holds an edit that is not complete. Give every edit a line `<<<<<<< SEARCH`, the lines to replace, a \
                 line `=======`, the new lines and a line `>>>>>>> REPLACE`, or send the complete file.",
            ),
            Fault::Unshown { path } => write!(
                f,
                "It edits `{path}`, which was not shown to you. Send the complete file in a fenced block instead.",
            ),
            Fault::Parted { path } => write!(
                f,
                "It writes `{path}` whole, but only parts of that file were shown to you. Send each change of it as an \
                 edit of lines that were shown.",
            ),
            Fault::Stray { path } => write!(
                f,
                "It writes `{path}` whole, but that file holds bytes that are no UTF-8 and would be lost. Send each change \
                 of it as an edit of the lines around them.",
            ),
            Fault::EditMissing { path, search, nearest } if nearest.is_empty() => write!(
                f,
                "The lines to replace that begin with `{search}` are not in `{path}`, and none is like them. Copy them \
                 from the file exactly.",
            ),
            Fault::EditMissing { path, search, nearest } => write!(
                f,
                "The lines to replace that begin with `{search}` are not in `{path}`. Copy them from the file exactly. The \
                 nearest lines there are:\n{nearest}",
            ),
            Fault::EditAmbiguous { path, search, places } => write!(
                f,
                "The lines to replace that begin with `{search}` are in `{path}` more than once. Add lines before or \
                 behind them that only one place has. The places are:\n{places}",
            ),
            Fault::EditEmpty { path } => write!(
                f,
                "An edit of `{path}` has no lines to replace, but the file is not empty. Repeat a line of the file, and \
                 the new lines beside it.",
            ),
            Fault::Payload { what } => {
                write!(f, "It is unusable JSON: {what}. Send the complete file in a fenced block, not in JSON.")
            }
            Fault::Placeholder { path, quote } => write!(
                f,
                "In `{path}` the line `{quote}` stands for code that was left out. Send the file with all its code.",
            ),
            Fault::Excerpt { path } => write!(
                f,
                "It holds only a part of `{path}`. Send the complete file, from its first line to its last, with all \
                 the code that stays as it is.",
            ),
            Fault::Emptied { path } => write!(f, "It leaves `{path}` empty. Send the complete file."),
            Fault::Conflict { path } => write!(
                f,
                "`{path}` holds conflict markers (`<<<<<<<`, `=======`, `>>>>>>>`). Send the file without them.",
            ),
            Fault::Unchanged => {
                f.write_str("Every file in it is the same as before. Make the change that the task asks for.")
            }
        }
    }
}

impl std::error::Error for Fault {}

const MAX_QUOTE_CHARS: usize = 80;

/// Shortens a piece of a reply so that it can stand in a sentence.
pub fn quote(text: &str) -> String {
    let text = text.trim();
    let mut out: String = text.chars().filter(|char| *char != '`').take(MAX_QUOTE_CHARS).collect();
    if out.len() < text.len() && text.chars().count() > MAX_QUOTE_CHARS {
        out.push('…');
    }
    out
}
