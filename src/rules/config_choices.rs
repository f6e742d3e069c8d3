//! The settings that are one of a few words, and how each word is spelled. Not where they stand: that is `config.rs`.

/// A setting that is one of a few words.
pub trait Choice {
    /// Returns the word as the file spells it.
    fn word(&self) -> &'static str;
    /// Takes one of [`Choice::words`]; returns false for anything else.
    fn choose(&mut self, word: &str) -> bool;
    fn words(&self) -> &'static [&'static str];
}

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $word:literal),* })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$note])* $variant),* }

        impl Choice for $name {
            fn word(&self) -> &'static str {
                match self { $($name::$variant => $word),* }
            }

            fn choose(&mut self, word: &str) -> bool {
                *self = match word {
                    $($word => $name::$variant,)*
                    _ => return false,
                };
                true
            }

            fn words(&self) -> &'static [&'static str] {
                &[$($word),*]
            }
        }
    )* };
}

choices! {
    /// What may send a task to the cloud.
    Trigger {
        LowConfidence = "low_confidence",
        VerificationFailures = "verification_failures",
        HighComplexity = "high_complexity"
    }
    /// Whether verification commands are confined (Linux, Landlock).
    Sandbox {
        /// Where the kernel can.
        Auto = "auto",
        Off = "off",
        /// Without it a command is not run.
        Required = "required"
    }
    /// How a CLI is given its prompt.
    PromptVia {
        Stdin = "stdin",
        /// Visible in `ps`, and at most 128 KiB.
        Arg = "arg"
    }
    /// How a CLI's output is read.
    ReplyForm { Text = "text", Claude = "claude", Codex = "codex", Gemini = "gemini" }
    /// What a cloud call may read, from narrow to wide; `<` is narrower.
    Scope {
        /// Exactly what mux sends.
        Prompt = "prompt",
        /// The work directory, by read tools.
        Workdir = "workdir",
        /// Whatever the user can read.
        Machine = "machine"
    }
    /// Who writes the files.
    Implementer { LocalExecutor = "local_executor" }
    /// The form in which a model is asked for files.
    EditFormat {
        /// By the size of the files, and by what the model has got right before.
        Auto = "auto",
        Whole = "whole",
        Edits = "edits"
    }
    /// When a cloud CLI reviews what was accepted locally.
    SotaReview {
        Always = "true",
        /// When nothing proved it.
        Unverified = "unverified",
        Never = "false"
    }
    /// What happens to secrets in what would be sent.
    Secrets { Block = "block", Redact = "redact" }
    /// The style of commit messages.
    Style {
        /// Follows the repository's last subjects.
        Repo = "repo",
        Conventional = "conventional",
        Plain = "plain"
    }
}
