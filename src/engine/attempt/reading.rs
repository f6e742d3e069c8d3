//! From the text of a reply to changes that may be looked at: read, inside the place that was asked for, and of files that
//! the model has seen. Writes nothing.

use crate::engine::attempt::local_change::Site;
use crate::engine::gathered::Gathered;
use crate::rules::echo::Parted;
use crate::rules::reply::{self, Expect, Fault};
use crate::rules::spelled::Places;
use crate::rules::{ends, names, stray};
use crate::sys::disk::WorkDir;
use crate::words::changes::ChangeSet;
use crate::words::task::{Failure, Form};

/// Tries that look at one file only, where a red check leads to several.
const NARROW: u32 = 2;

/// The one file that the task is about, when it is known: then the model is asked for its content and nothing else. Where
/// only a red check tells, later tries may change the other files that it leads to.
pub fn target(context: &Gathered, number: u32) -> Option<&str> {
    let named: Vec<&str> = context.named().map(|file| file.path.as_str()).collect();
    match (named.as_slice(), context.to_create.as_slice()) {
        ([], [only]) => Some(only),
        ([only], []) => Some(only),
        ([], []) if number <= NARROW => context.led_to(),
        (_, _) => None,
    }
}

/// Reads the changes in the text of a reply, whoever wrote it. Nothing is written.
pub fn read(site: &mut Site<'_>, text: &str, form: Form) -> Result<ChangeSet, Failure> {
    let shown: Vec<(&str, &str)> =
        site.context.files.iter().map(|file| (file.path.as_str(), file.content.as_str())).collect();
    let parted = site.context.only_edited().map(|file| Parted { path: &file.path, lines: &file.parts });
    let parted: Vec<Parted<'_>> = parted.collect();
    let (about_ends, root) = (ends::is_about(site.task), site.dir.path().to_string_lossy());
    let own = site.dir.path().file_name().map(|name| name.to_string_lossy().into_owned());
    // In a diff `a/` and `b/` stand before each path; models write them, and the name of the project, elsewhere too.
    let strange = ["a", "b"].map(String::from).into_iter().chain(own);
    let strange: Vec<String> = strange.filter(|name| !site.dir.path().join(name).exists()).collect();
    let places = Places { root: &root, strange: &strange, new: &site.context.to_create };
    let target = target(site.context, site.number);
    let expect = Expect { target, shown: &shown, parted: &parted, form, about_ends, places };
    reply::parse(text, &expect).map_err(|fault| {
        // A file that is edited unseen is shown first, like one that is rewritten unseen.
        if let Fault::Unshown { path } = &fault
            && names::readable(path).is_ok_and(|path| site.context.add_rewritten(site.dir, &path) == Ok(true))
        {
            return Failure::Unseen { paths: format!("`{path}`") };
        }
        match reply::declined(text) {
            Some(quote) => Failure::Declined { quote: quote.to_string() },
            None => Failure::Unusable { fault: fault.to_string() },
        }
    })
}

/// "Create … in tools/report" asks for files below that directory, and nowhere else.
pub fn inside_prefix(prefix: Option<&str>, changes: &ChangeSet) -> Result<(), Failure> {
    let Some(prefix) = prefix.map(|prefix| prefix.trim_matches('/')) else { return Ok(()) };
    let outside = changes.changes.iter().find(|change| {
        let path = change.path().trim_start_matches("./");
        path.strip_prefix(prefix).is_none_or(|rest| !rest.starts_with('/'))
    });
    match outside {
        None => Ok(()),
        Some(change) => Err(Failure::Unusable {
            fault: format!("`{}` is not below `{prefix}/`. Put every new file below `{prefix}/`.", change.path()),
        }),
    }
}

/// A file that exists but was not shown to the model would be rewritten blindly: it is shown first, once.
pub fn seen_before(site: &mut Site<'_>, planned: &[names::Planned<'_>]) -> Result<(), Failure> {
    let mut unseen = Vec::new();
    for plan in planned {
        match site.context.add_rewritten(site.dir, &plan.path) {
            Ok(true) => unseen.push(format!("`{}`", plan.path.as_str())),
            Err(why) if plan.content.is_some() => {
                let fault = format!(
                    "It writes `{}`, which is there and cannot be shown to you: {why}. Leave it as it is.",
                    plan.path
                );
                return Err(Failure::Unusable { fault });
            }
            Ok(false) | Err(_) => {}
        }
    }
    if unseen.is_empty() {
        return Ok(());
    }
    Err(Failure::Unseen { paths: unseen.join(", ") })
}

/// Returns the text of a file as it is, `None` where there is none.
pub fn before(dir: &WorkDir, path: &str) -> Option<String> {
    let path = names::readable(path).ok()?;
    let file = dir.read(&path, names::MAX_FILE_BYTES as u64).ok()??;
    let text = stray::to_text(&file.bytes).map(|(text, _)| text);
    Some(text.unwrap_or_else(|| String::from_utf8_lossy(&file.bytes).into_owned()))
}
