//! One value set in the user's own file. What the text becomes is `rules/config_edit.rs`'s to say.
//!
//! **Invariant:** the file is as before or has the value, never half of it: it is replaced whole, by a rename.

use super::{NAME, read, user_path};
use crate::rules::config_edit;
use crate::rules::config_text::{self, MAX_BYTES};
use crate::words::env::Env;
use crate::words::error::{Context, Error, Kind};
use fs_err as fs;
use rustix::fs::OFlags;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Sets `section.key` to a number in the user's file, which is made if there is none. Returns its path.
///
/// # Errors
/// `Config` without a home, or for a file that is broken or of a form that only its writer should edit; `Io`.
pub fn set_number(env: &Env, section: &str, key: &str, number: f64) -> Result<PathBuf, Error> {
    let path = user_path(env).ok_or_else(|| {
        Error::new(Kind::Config, "cannot write a config: there is no home directory")
            .hint("set HOME or XDG_CONFIG_HOME")
    })?;
    let before = read(&path, OFlags::empty(), MAX_BYTES)?;
    let bytes = before.as_deref().unwrap_or_default();
    let text = config_text::decode(bytes).ok();
    let new = text.and_then(|text| config_edit::set(text, section, key, number)).ok_or_else(|| {
        let error = Error::new(Kind::Config, format!("cannot set `{section}.{key}` in `{}`", path.display()));
        error.hint(format!("write it there yourself: {section}: {{ {key}: {number} }}"))
    })?;
    // A byte order mark is no part of the text.
    let mark = bytes.get(..bytes.len() - text.map_or(bytes.len(), str::len)).unwrap_or_default();
    replace(&path, before.is_some(), &[mark, new.as_bytes()])
        .context(Kind::Io, || format!("cannot write config `{}`", path.display()))?;
    Ok(path)
}

/// Writes a file beside its place and moves it there. A link stays a link: its target is replaced.
fn replace(path: &Path, is_there: bool, parts: &[&[u8]]) -> std::io::Result<()> {
    let file = if is_there { fs::canonicalize(path)? } else { path.to_path_buf() };
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    let temp = file.with_file_name(format!("{NAME}.mux-{}", std::process::id()));
    let write = || {
        let mut out = fs::OpenOptions::new().write(true).create_new(true).open(&temp)?;
        parts.iter().try_for_each(|part| out.write_all(part))?;
        out.sync_all()?;
        if is_there {
            fs::set_permissions(&temp, fs::metadata(&file)?.permissions())?;
        }
        fs::rename(&temp, &file)
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(&temp);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::time::Utc;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn the_users_file_keeps_its_bytes_its_mode_and_its_link() {
        let root = std::env::temp_dir().join(format!("mux-edit-{}", std::process::id()));
        fs::create_dir_all(root.join("dotfiles")).unwrap();
        let env = Env { vars: [("XDG_CONFIG_HOME".into(), root.clone().into())].into(), cwd: None, now: Utc(0) };
        let set = |number| set_number(&env, "router", "local_confidence_threshold", number);
        let path = set(0.7).unwrap();
        assert_eq!(path, root.join("mux/mux.yaml"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "router:\n  local_confidence_threshold: 0.7\n");
        fs::remove_file(&path).unwrap();
        let target = root.join("dotfiles/mux.yaml");
        fs::write(&target, "\u{feff}router: # here\r\n  local_confidence_threshold: 0.6 # mine\r\n").unwrap();
        fs::set_permissions(&target, PermissionsExt::from_mode(0o640)).unwrap();
        symlink(&target, &path).unwrap();
        set(0.71).unwrap();
        let expected = "\u{feff}router: # here\r\n  local_confidence_threshold: 0.71 # mine\r\n";
        assert_eq!(fs::read_to_string(&target).unwrap(), expected);
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
        fs::write(&target, "router: [").unwrap();
        assert!(set(0.7).unwrap_err().to_string().contains("write it there yourself: router: { local"), "broken");
        assert_eq!(fs::read_to_string(&target).unwrap(), "router: [");
        assert_eq!(fs::read_dir(root.join("dotfiles")).unwrap().count(), 1, "nothing is left beside it");
        fs::remove_dir_all(&root).unwrap();
    }
}
