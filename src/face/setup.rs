//! `mux setup`: registers mux with the coding CLIs that are installed, and says what was done. Decides nothing.

use crate::engine::setup::{End, Plan, Report, setup};
use crate::rules::escape::one_line;
use crate::rules::registration::Client;
use crate::sys::proc;
use crate::words::env::Env;
use crate::words::error::{Context, Error, Kind};
use crate::words::stop::Stop;
use fs_err as fs;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What a calling model should know: printed by `--print-skill`, to be put where the client looks for skills.
const SKILL: &str = include_str!("../../config/SKILL.md");

/// The options of `mux setup`.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line, independent of the others")]
#[derive(Debug, Default, PartialEq)]
pub struct SetupArgs {
    /// Those that were named; empty for all that are installed.
    pub clients: Vec<Client>,
    pub trust: bool,
    pub remove: bool,
    pub dry_run: bool,
    pub print_skill: bool,
}

/// Does it and prints. Returns 0, or 1 when a client failed, was named and is not there, or none is there at all.
///
/// # Errors
/// When the program does not know where it is, or `out` cannot be written.
pub fn run(
    args: &SetupArgs,
    env: &Env,
    exe: io::Result<PathBuf>,
    out: &mut dyn Write,
    stop: &Stop,
) -> Result<u8, Error> {
    let written = |written: io::Result<()>| written.context(Kind::Io, || "cannot write the report".to_string());
    if args.print_skill {
        return written(out.write_all(SKILL.as_bytes())).map(|()| 0);
    }
    let exe = exe.context(Kind::Io, || "cannot find out where mux is".to_string())?;
    let program = program(env, &exe).to_string_lossy().into_owned();
    let plan = Plan { program: &program, trust: args.trust, remove: args.remove, dry_run: args.dry_run };
    let clients = if args.clients.is_empty() { &Client::ALL[..] } else { &args.clients };
    let (mut failed, mut installed) = (false, false);
    for client in clients {
        let report = setup(env, *client, &plan, stop);
        failed |= matches!(report.end, End::Failed(_));
        installed |= report.end != End::NotInstalled;
        failed |= report.end == End::NotInstalled && !args.clients.is_empty();
        written(print(out, &report, env.home()))?;
    }
    Ok(u8::from(failed || !installed && !args.remove))
}

/// The name by which mux is found, if that is this program: a link survives an update of what it points to.
fn program(env: &Env, exe: &Path) -> PathBuf {
    let found = proc::which(OsStr::new("mux"), env.var("PATH"), Path::new("/"));
    let is_this = |path: &PathBuf| fs::canonicalize(path).ok() == fs::canonicalize(exe).ok();
    found.filter(is_this).unwrap_or_else(|| exe.to_path_buf())
}

fn print(out: &mut dyn Write, report: &Report, home: Option<&Path>) -> io::Result<()> {
    let name = report.client.name();
    let end = match &report.end {
        End::NotInstalled => "not installed".to_string(),
        End::Already => "nothing to do".to_string(),
        End::Planned => "would do this:".to_string(),
        End::Registered => "registered".to_string(),
        End::Removed => "removed".to_string(),
        End::Failed(why) => format!("FAILED: {}", one_line(why)),
    };
    writeln!(out, "{name}: {end}")?;
    let home = home.map(|home| home.to_string_lossy().into_owned()).filter(|home| home.len() > 1);
    for step in &report.steps {
        let step = home.as_ref().map_or_else(|| step.clone(), |home| step.replace(&format!("{home}/"), "~/"));
        writeln!(out, "  {}", one_line(&step))?;
    }
    for note in &report.notes {
        writeln!(out, "  note: {}", one_line(note))?;
    }
    Ok(())
}
