//! Children that may write in named places only: Landlock, on Linux 6.2 and newer. What they read, the network and
//! other processes stay theirs.
//!
//! **Invariant:** a child that was to be confined is confined or is not started.
//!
//! The kernel confines a thread and all that comes from it, so the child is started by a thread that lives for that
//! alone. This needs neither a hook between fork and exec (`unsafe`) nor a second program. Before Linux 6.2 (ABI 3)
//! `truncate` by name was free; half a promise is none, so older kernels count as unable.

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command};

/// Returns whether this kernel and this build can confine a child.
pub fn is_available() -> bool {
    imp::is_available()
}

/// Starts a child that may write below `places` and nowhere else. A place that does not exist is passed over; one that
/// is a file may be written and not replaced. Device nodes cannot be made anywhere.
pub fn spawn(command: &mut Command, places: &[PathBuf]) -> io::Result<Child> {
    std::thread::scope(|scope| {
        let start = || {
            imp::confine(places).map_err(|why| io::Error::other(format!("cannot confine it: {why}")))?;
            command.spawn()
        };
        let thread = std::thread::Builder::new().name("confined".into()).spawn_scoped(scope, start)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that was to start it died")))
    })
}

#[cfg(all(target_os = "linux", feature = "sandbox"))]
mod imp {
    use landlock::{
        ABI, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
        path_beneath_rules,
    };
    use std::path::PathBuf;

    /// All ways to write that the kernel can tell apart since Linux 6.2.
    fn ruleset() -> Result<RulesetCreated, RulesetError> {
        let rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        rules.handle_access(AccessFs::from_write(ABI::V3))?.create()
    }

    pub fn is_available() -> bool {
        ruleset().is_ok()
    }

    /// Confines this thread for the rest of its life, and all that it starts.
    pub fn confine(places: &[PathBuf]) -> Result<(), RulesetError> {
        // With a node of its own for a disk, root could write past every rule.
        let access = AccessFs::from_write(ABI::V3) & !(AccessFs::MakeChar | AccessFs::MakeBlock);
        ruleset()?.add_rules(path_beneath_rules(places, access))?.restrict_self().map(drop)
    }
}

#[cfg(not(all(target_os = "linux", feature = "sandbox")))]
mod imp {
    use std::path::PathBuf;

    pub fn is_available() -> bool {
        false
    }

    pub fn confine(_places: &[PathBuf]) -> Result<(), &'static str> {
        Err("this build or system has no Landlock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_cannot_be_confined_is_not_started() {
        if !is_available() {
            return assert!(spawn(&mut Command::new("/bin/true"), &[]).is_err());
        }
        // The kernel stacks 16 layers; a thread hands its own down to the one that starts the child.
        let ended = std::thread::spawn(|| {
            let confined = (0..16).map_while(|_| imp::confine(&[]).ok()).count();
            assert!((1..=16).contains(&confined), "{confined}");
            spawn(&mut Command::new("/bin/true"), &[]).map(|mut child| child.wait())
        });
        let error = ended.join().unwrap().unwrap_err().to_string();
        assert!(error.starts_with("cannot confine it: "), "{error}");
    }
}
