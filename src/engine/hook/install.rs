//! `mux hook install`, `uninstall`, `status`: where git looks for hooks, what stands there, and what is put there.

use crate::rules::hook::{BEFORE, Hook, LEGACY, Whose, asks_its_name, runs_legacy, script, whose};
use crate::sys::git::hook::hooks_dir;
use crate::sys::git::{self, Git, Unanswered};
use crate::sys::hooks;
use crate::sys::proc;
use crate::words::env::Env;
use crate::words::error::{Context, Error, Kind};
use crate::words::stop::Stop;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `shared`: also into a directory that other repositories use.
    Install {
        shared: bool,
    },
    Uninstall {
        shared: bool,
    },
    Status,
}

/// What stands in the place of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Missing,
    /// `before`: with the hook that was there before.
    Ours {
        before: bool,
    },
    /// mux's script under the name that pre-commit gave it, which runs it: `pre-commit.legacy`.
    Renamed,
    Edited,
    Foreign {
        before: bool,
    },
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    pub dir: PathBuf,
    /// Of each hook that was asked for: what is there now, and what was done about it.
    pub hooks: Vec<(Hook, Standing, Option<String>)>,
    pub notes: Vec<String>,
    /// Whether something was left undone.
    pub is_left: bool,
}

/// Does it.
///
/// # Errors
/// `Usage` outside of a repository; `Refused` for a directory that is not this repository's, or that another program
/// makes anew; `Io`.
pub fn run(env: &Env, action: Action, wanted: &[Hook], exe: io::Result<PathBuf>, stop: &Stop) -> Result<Report, Error> {
    let cwd = env.here("`cd` into the repository")?;
    let root = git::root(cwd);
    let place = root.as_deref().unwrap_or(cwd);
    let program = proc::which(OsStr::new("git"), env.var("PATH"), cwd);
    let program = program.ok_or_else(|| {
        Error::new(Kind::Usage, "there is no git in the PATH").hint("install it, then `git --version`")
    })?;
    let mut vars = proc::environment(&env.vars, &|_| true);
    // Where the user's own settings are; nothing else that git is told by its environment counts here.
    for name in ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"] {
        vars.extend(env.var(name).map(|value| (name.into(), value.to_owned())));
    }
    let git = Git { program, env: vars, marker: "hook-install".to_string() };
    let found = hooks_dir(&git, place, stop).map_err(|why| match why {
        Unanswered::Failed { said, .. } => Error::new(Kind::Usage, format!("there is no repository here: {said}"))
            .hint("`cd` into one, or make one: `git init`"),
        Unanswered::Stopped => Error::new(Kind::Io, "git has taken too long"),
    })?;
    let is_own =
        is_below(&found.path, &found.common) || root.as_deref().is_some_and(|root| is_below(&found.path, root));
    let mut report = Report { dir: found.path.clone(), hooks: Vec::new(), notes: Vec::new(), is_left: false };
    match action {
        Action::Install { .. } if found.path.exists() && !found.path.is_dir() => {
            let what = format!("hooks are switched off: `core.hooksPath` is `{}`", found.path.display());
            return Err(Error::new(Kind::Refused, what).hint("`git config --unset core.hooksPath` switches them on"));
        }
        Action::Install { shared } | Action::Uninstall { shared } if !is_own && !shared => {
            let what = format!("`{}` serves other repositories too (`core.hooksPath`)", found.path.display());
            let hint = "`--shared` changes it for all of them; `git config --local core.hooksPath .git/hooks` gives this \
                        repository hooks of its own";
            return Err(Error::new(Kind::Refused, what).hint(hint));
        }
        Action::Install { .. } => {
            if let Some(name) = made_anew(&found.path) {
                let what = format!("`{}` is made anew by {name}", found.path.display());
                let hint = "put `mux hook run pre-commit` into `.husky/pre-commit`, and `mux hook run prepare-commit-msg \
                            \"$@\"` into `.husky/prepare-commit-msg`";
                return Err(Error::new(Kind::Refused, what).hint(hint));
            }
            let exe = exe.context(Kind::Io, || "cannot tell where mux is".to_string())?;
            let exe = exe
                .to_str()
                .map(str::to_string)
                .ok_or_else(|| Error::new(Kind::Io, format!("the path of mux is no UTF-8: `{}`", exe.display())))?;
            let made = || format!("cannot make `{}`", found.path.display());
            fs_err::create_dir_all(&found.path).context(Kind::Io, made)?;
            for hook in wanted {
                install(&mut report, *hook, &exe)?;
            }
            if root.as_deref().is_some_and(|root| is_below(&found.path, root)) && !is_below(&found.path, &found.common)
            {
                report.notes.push("the directory is part of the work tree: git lists what is put there".to_string());
            }
        }
        Action::Uninstall { .. } => {
            for hook in wanted {
                uninstall(&mut report, *hook)?;
            }
        }
        Action::Status => {
            for hook in wanted {
                let standing = standing(&found.path, *hook)?;
                report.hooks.push((*hook, standing, None));
            }
        }
    }
    Ok(report)
}

/// Who writes the scripts of a directory again, whatever is put there.
fn made_anew(dir: &Path) -> Option<&'static str> {
    let is_husky = dir.ends_with(".husky/_") || dir.ends_with(".husky");
    is_husky.then_some("husky")
}

fn is_below(path: &Path, top: &Path) -> bool {
    let real = |path: &Path| {
        // What is not there yet is where its parent is.
        path.ancestors().find_map(|part| {
            let known = fs_err::canonicalize(part).ok()?;
            Some(path.strip_prefix(part).map(|rest| known.join(rest)).unwrap_or(known))
        })
    };
    matches!((real(path), real(top)), (Some(path), Some(top)) if path.starts_with(&top))
}

fn place(dir: &Path, hook: Hook) -> (PathBuf, PathBuf) {
    (dir.join(hook.name()), dir.join(format!("{}{BEFORE}", hook.name())))
}

fn renamed(dir: &Path, hook: Hook) -> PathBuf {
    dir.join(format!("{}{LEGACY}", hook.name()))
}

fn standing(dir: &Path, hook: Hook) -> Result<Standing, Error> {
    let (path, aside) = place(dir, hook);
    let look = |path: &Path| hooks::read(path).context(Kind::Io, || format!("cannot read `{}`", path.display()));
    let before = look(&aside)?.is_some();
    let Some(bytes) = look(&path)? else { return Ok(Standing::Missing) };
    let is_renamed =
        runs_legacy(&bytes) && look(&renamed(dir, hook))?.is_some_and(|bytes| whose(hook, &bytes) == Whose::Ours);
    Ok(match whose(hook, &bytes) {
        Whose::Ours => Standing::Ours { before },
        Whose::Edited => Standing::Edited,
        Whose::Foreign if is_renamed => Standing::Renamed,
        Whose::Foreign => Standing::Foreign { before },
    })
}

fn install(report: &mut Report, hook: Hook, exe: &str) -> Result<(), Error> {
    let (path, aside) = place(&report.dir, hook);
    let put_at = |path: &Path| {
        let what = || format!("cannot write `{}`", path.display());
        hooks::put(path, script(hook, exe).as_bytes()).context(Kind::Io, what)
    };
    let put = || put_at(&path);
    let said = match standing(&report.dir, hook)? {
        Standing::Missing => {
            put()?;
            "installed".to_string()
        }
        Standing::Ours { .. } => {
            put()?;
            "installed again".to_string()
        }
        Standing::Renamed => {
            let legacy = renamed(&report.dir, hook);
            put_at(&legacy)?;
            format!("installed again, as `{}`, which the hook that is there runs", shown(&legacy))
        }
        Standing::Foreign { before: false } => {
            if hooks::read(&path).is_ok_and(|bytes| bytes.is_some_and(|script| asks_its_name(&script))) {
                let name = shown(&aside);
                report.notes.push(format!("`{name}` seems to ask for its own name, which has changed: try a commit"));
            }
            let what = || format!("cannot set `{}` aside", path.display());
            hooks::set_aside(&path, &aside).context(Kind::Io, what)?;
            put()?;
            format!("installed; the hook that was there is now `{}` and runs first", shown(&aside))
        }
        Standing::Foreign { before: true } => {
            report.is_left = true;
            format!("left alone: it is not mux's, and `{}` exists already", shown(&aside))
        }
        Standing::Edited => {
            report.is_left = true;
            "left alone: mux's script was edited; take the file away and install again".to_string()
        }
    };
    let standing = standing(&report.dir, hook)?;
    report.hooks.push((hook, standing, Some(said)));
    Ok(())
}

fn uninstall(report: &mut Report, hook: Hook) -> Result<(), Error> {
    let (path, aside) = place(&report.dir, hook);
    let back_to = |path: &Path| {
        let what = || format!("cannot bring `{}` back", path.display());
        hooks::bring_back(&aside, path).context(Kind::Io, what)
    };
    let back = || back_to(&path);
    let take = |path: &Path| {
        let what = || format!("cannot remove `{}`", path.display());
        fs_err::remove_file(path).context(Kind::Io, what)
    };
    let has_aside = || hooks::read(&aside).is_ok_and(|bytes| bytes.is_some());
    let said = match standing(&report.dir, hook)? {
        Standing::Ours { before: true } => {
            back()?;
            "taken out; the hook that was there before is back".to_string()
        }
        Standing::Ours { before: false } => {
            take(&path)?;
            "taken out".to_string()
        }
        Standing::Renamed => {
            let legacy = renamed(&report.dir, hook);
            match hooks::read(&aside).ok().flatten() {
                // One of the program that runs it: called by it, it would call it in turn.
                Some(bytes) if runs_legacy(&bytes) => {
                    take(&legacy)?;
                    let older = shown(&aside);
                    report.notes.push(format!("`{older}` is an older script of the hook that is there: it may go"));
                    "taken out".to_string()
                }
                Some(_) => {
                    back_to(&legacy)?;
                    format!("taken out; `{}` is the hook that was there before", shown(&legacy))
                }
                None => {
                    take(&legacy)?;
                    "taken out".to_string()
                }
            }
        }
        Standing::Missing if has_aside() => {
            back()?;
            "was not there; the hook that was there before is back".to_string()
        }
        Standing::Missing => "was not there".to_string(),
        Standing::Foreign { .. } => "left alone: it is not mux's".to_string(),
        Standing::Edited => {
            report.is_left = true;
            "left alone: mux's script was edited; take it out by hand".to_string()
        }
    };
    let standing = standing(&report.dir, hook)?;
    report.hooks.push((hook, standing, Some(said)));
    Ok(())
}

fn shown(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
