//! Which directories may be worked in, by their path and a few facts. Pure.

use crate::rules::names::{fold, is_version_control};
use std::fmt;
use std::path::{Component, Path};

/// What is known of a directory that somebody wants to work in. All paths are absolute and without links.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub path: &'a Path,
    /// The home directory.
    pub home: Option<&'a Path>,
    /// Where mux keeps its state.
    pub state: &'a Path,
    /// User id of the directory's owner; `None` while it does not exist.
    pub owner: Option<u32>,
    /// User id of this process.
    pub user: u32,
}

/// Why a directory may not be worked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceRule {
    NotAbsolute,
    Root,
    Home,
    DotOfHome,
    System,
    State,
    VersionControl,
    NotOwned,
}

impl fmt::Display for PlaceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PlaceRule::NotAbsolute => "the work directory must be an absolute path without `..`",
            PlaceRule::Root => "the root directory is no work directory",
            PlaceRule::Home => "the home directory itself is no work directory; use one below it",
            PlaceRule::DotOfHome => "settings directories of the home are no work directories",
            PlaceRule::System => "system directories are no work directories",
            PlaceRule::State => "mux's own state is there",
            PlaceRule::VersionControl => "version control's own directory is no work directory",
            PlaceRule::NotOwned => "the directory belongs to another user",
        })
    }
}

/// Top directories that hold other things than work, all that is below them included.
const SYSTEM: &str = "bin boot dev etc lib lib32 lib64 libx32 lost+found proc run sbin snap sys usr var nix gnu
    System Library Applications private cores";
/// Exceptions: places below [`SYSTEM`] where people do work. The place itself is as little a work directory as `/tmp`.
const WORKABLE: &str = "/dev/shm /run/user /usr/src /usr/local/src /var/tmp /var/www /var/folders
    /private/tmp /private/var/tmp /private/var/folders";
/// Top directories that only hold other people's directories: no work directories themselves.
const SHARED: &str = "home Users Volumes media mnt opt root srv tmp";

/// Returns why `place` may not be a work directory, or `None` where it may.
pub fn refuse_workdir(place: &Place<'_>) -> Option<PlaceRule> {
    let path = place.path;
    let mut names = path.components().skip(1).map(Component::as_os_str);
    if !path.is_absolute() || names.clone().any(|name| name == "..") {
        return Some(PlaceRule::NotAbsolute);
    }
    let Some(top) = names.next() else { return Some(PlaceRule::Root) };
    let only_top = names.next().is_none();
    // A directory that holds the home is even more than the home; the root is the home of some daemons and holds all.
    if place.home.is_some_and(|home| home.starts_with(path)) {
        return Some(PlaceRule::Home);
    }
    if path.starts_with(place.state) || place.state.starts_with(path) {
        return Some(PlaceRule::State);
    }
    let home = place.home.filter(|home| home.components().count() > 1);
    let below_home = home.and_then(|home| path.strip_prefix(home).ok()).and_then(|rest| rest.components().next());
    if let Some(first) = below_home.map(|first| first.as_os_str().to_string_lossy()) {
        if first.starts_with('.') || first == "Library" {
            return Some(PlaceRule::DotOfHome);
        }
    // The home of a service stands below /var or /usr: what is in a home is not the system's.
    } else if is_system(path, &top.to_string_lossy(), only_top) {
        return Some(PlaceRule::System);
    }
    if path.components().any(|component| is_version_control(&fold(&component.as_os_str().to_string_lossy()))) {
        return Some(PlaceRule::VersionControl);
    }
    place.owner.is_some_and(|owner| owner != place.user).then_some(PlaceRule::NotOwned)
}

/// Returns whether an absolute path lies where the system keeps its own files.
pub fn is_of_system(path: &Path) -> bool {
    let mut names = path.components().skip(1).map(Component::as_os_str);
    let top = names.next().unwrap_or_default();
    is_system(path, &top.to_string_lossy(), names.next().is_none())
}

fn is_system(path: &Path, top: &str, only_top: bool) -> bool {
    let listed = |list: &str| list.split_ascii_whitespace().any(|name| name == top);
    let workable = |below: &str| path.starts_with(below) && path != Path::new(below);
    (listed(SYSTEM) && !WORKABLE.split_ascii_whitespace().any(workable)) || (only_top && listed(SHARED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn place(path: &str, expected: Option<PlaceRule>) {
        let (home, state) = (Path::new("/home/ann"), Path::new("/home/ann/.local/state/mux"));
        let facts = Place { path: Path::new(path), home: Some(home), state, owner: Some(1000), user: 1000 };
        assert_eq!(refuse_workdir(&facts), expected, "{path}");
    }

    #[test]
    fn work_directories_are_refused_by_rule() {
        place("/", Some(PlaceRule::Root));
        assert_eq!(PlaceRule::Root.to_string(), "the root directory is no work directory");
        place("relative", Some(PlaceRule::NotAbsolute));
        place("/tmp/../etc", Some(PlaceRule::NotAbsolute));
        place("/home/ann", Some(PlaceRule::Home));
        place("/home", Some(PlaceRule::Home));
        for path in ["/home/ann/.config", "/home/ann/.ssh/x", "/home/ann/.local/share", "/home/ann/Library/x"] {
            place(path, Some(PlaceRule::DotOfHome));
        }
        place("/home/ann/.local/state/mux", Some(PlaceRule::State));
        place("/home/ann/.local/state/mux/runs/X", Some(PlaceRule::State));
        place("/home/ann/.local", Some(PlaceRule::State));
        for path in [
            "/etc",
            "/etc/x",
            "/usr/bin",
            "/var",
            "/var/lib/x",
            "/dev/shm",
            "/tmp",
            "/opt",
            "/private/tmp",
            "/proc/self",
        ] {
            place(path, Some(PlaceRule::System));
        }
        for path in [
            "/tmp/x",
            "/var/tmp/x",
            "/dev/shm/x",
            "/home/ann/p",
            "/home/ann/p/.hidden",
            "/srv/p",
            "/work",
            "/etcetera",
            "/usr/src/p",
            "/private/var/folders/x",
            "/home/annex",
        ] {
            place(path, None);
        }
        place("/home/ann/p/.git/hooks", Some(PlaceRule::VersionControl));
        place("/tmp/x/.GIT", Some(PlaceRule::VersionControl));
    }

    #[test]
    fn owners_homes_and_states_are_facts() {
        let fact = |path, home, state, owner| {
            let (path, home, state) = (Path::new(path), Some(Path::new(home)), Path::new(state));
            refuse_workdir(&Place { path, home, state, owner, user: 5 })
        };
        assert_eq!(fact("/tmp/p", "/home/b", "/s", Some(6)), Some(PlaceRule::NotOwned));
        assert_eq!(fact("/tmp/p", "/home/b", "/s", Some(5)), None);
        assert_eq!(fact("/tmp/p", "/home/b", "/s", None), None, "a new directory is the user's own");
        assert_eq!(fact("/tmp/p", "/home/b", "/tmp/p/state", Some(5)), Some(PlaceRule::State));
        assert_eq!(fact("/var/lib/jenkins/ws", "/var/lib/jenkins", "/s", Some(5)), None, "a service works in its home");
        assert_eq!(fact("/.x", "/", "/s", Some(5)), None);
        assert_eq!(fact("/root/p", "/root", "/s", Some(5)), None);
    }
}
