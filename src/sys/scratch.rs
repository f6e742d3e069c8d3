//! An empty directory below the temporary directory, for one child, gone when the value is dropped.

use crate::words::env::Env;
use crate::words::error::{Context, Error, Kind};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The directory; 0700.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes the directory `mux-NAME`; not in the home, which may be a repository that a child would tell about.
    ///
    /// # Errors
    /// `Io` when it cannot be made, also when something of that name stands there.
    pub fn new(env: &Env, name: &str) -> Result<Scratch, Error> {
        let path = env.absolute("TMPDIR").unwrap_or(Path::new("/tmp")).join(format!("mux-{name}"));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.context(Kind::Io, || format!("cannot make the empty directory `{}`", path.display()))?;
        Ok(Scratch { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What a CLI left in it goes too. What cannot be removed is in the temporary directory, after all.
        let _ = fs_err::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::time::Utc;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_empty_private_and_gone_afterwards() {
        let base = std::env::temp_dir().join(format!("mux-scratch-test-{}", std::process::id()));
        fs_err::create_dir(&base).unwrap();
        let vars = [("TMPDIR".into(), base.clone().into_os_string())].into_iter().collect();
        let env = Env { vars, cwd: None, now: Utc(0) };
        let scratch = Scratch::new(&env, "a").unwrap();
        let path = scratch.path().to_path_buf();
        assert_eq!(fs_err::read_dir(&path).unwrap().count(), 0);
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(Scratch::new(&env, "a").unwrap_err().to_string().contains("mux-a"), "somebody else's is not taken");
        fs_err::write(path.join("left"), "x").unwrap();
        drop(scratch);
        assert!(!path.exists());
        fs_err::remove_dir(&base).unwrap();
    }
}
