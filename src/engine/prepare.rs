//! Understanding a task before anything is called: settings, kind, place, context, proof, and the first facts. Starts no
//! child for a task that names what it is about.

use crate::engine::ahead::is_told_by_checks;
use crate::engine::attempt::ask::prompt_tokens;
use crate::engine::confine::{self, Hold};
use crate::engine::gather::{self, Search};
use crate::engine::gathered::{Gathered, Room, Scale, Window};
use crate::engine::outcome::{Plan, PlannedFile};
use crate::engine::place::{self, Place, Said};
use crate::engine::run::{House, Job};
use crate::engine::verify::{self, Origin};
use crate::rules::argv;
use crate::rules::config::{Config, Tools, Trigger};
use crate::rules::config_keys::TOOLS;
use crate::rules::forecast::Pace;
use crate::rules::intent::{self, Intent};
use crate::rules::names;
use crate::rules::nearest::nearest;
use crate::rules::policy::decide;
use crate::sys::config_files::{self, Effective};
use crate::sys::disk::{Cause, WorkDir};
use crate::sys::state::paces::Paces;
use crate::words::error::{Error, Kind as ErrorKind};
use crate::words::stop::Stop;
use crate::words::task::{Asked, Cloud, Decision, Facts, Hands, Kind, Last, Policy, Provider, Refusal, Tier};
use crate::words::time::Utc;
use std::path::Path;

/// Said once a run where a kernel cannot do what `verification.sandbox: auto` asks for.
const UNCONFINED: &str = "verification runs with all your rights: this kernel has no Landlock (Linux 6.2); \
                          `verification.sandbox: off` says that you know";

/// A task that is understood, before anything is called.
pub struct Prepared {
    pub settings: Effective,
    pub kind: Kind,
    pub intent: Intent,
    pub place: Place,
    pub dir: WorkDir,
    pub context: Gathered,
    pub proof: verify::Plan,
    /// How the commands of `proof` are held.
    pub hold: Hold,
}

/// The configured bound of a reply, in tokens.
pub fn longest_reply(prepared: &Prepared) -> u32 {
    let config = &prepared.settings.config;
    match prepared.kind {
        Kind::Answer | Kind::Undo => config.providers.local.max_tokens,
        Kind::Change => config.local_executor.max_tokens,
    }
}

/// Understands the task: settings, kind, place, context, proof. Calls no model; the only child is a git that lists files.
pub fn prepare(house: &House<'_>, job: &Job<'_>, run_id: &str, stop: &Stop) -> Result<Prepared, Error> {
    let own = settings(house, job, None)?;
    known(job.asked, &own.config)?;
    declared(&own, job)?;
    let mut intent = intent::read(job.task, &own.config.router.complexity_keywords);
    // Who names a check wants something changed that it can check.
    if intent.ambiguous && !job.verify.is_empty() {
        (intent.kind, intent.ambiguous) = (Kind::Change, false);
    }
    let kind = job.kind.unwrap_or(intent.kind);
    let configured = Some(own.config.work_dir.as_path()).filter(|dir| !dir.as_os_str().is_empty());
    // A root that the client names is the project that is open: it counts more than a setting.
    let configured = configured.filter(|_| job.client.is_none_or(|client| !client.is_declared));
    let allowed = &own.config.allowed_roots;
    let fence = job.client.map(|client| client.fence(allowed, house.env));
    let project = job.client.map(|client| client.project(allowed));
    let said = Said { workdir: job.workdir, configured, fence: fence.as_deref() };
    let place = place::choose(house.env, &said, &intent, kind, job.task)?;
    let refused = |cause: Cause| {
        let error = Error::new(ErrorKind::Refused, format!("cannot use the work directory: {cause}"));
        error.hint("name one that you may read and enter: `mux run -C DIR …`")
    };
    let dir = WorkDir::open(&place.dir).map_err(refused)?;
    // An answer may be asked for anywhere: it writes nothing, and reads what the task names.
    let checked = place::check(house.env, &dir, house.state.dir());
    let may_walk = checked.is_ok();
    if kind == Kind::Change || job.workdir.is_some() {
        checked?;
    }
    if kind == Kind::Change {
        place::guarded(&dir)?;
    }
    if let Some(prefix) = &intent.prefix {
        let refused = |rule| {
            let error = Error::new(ErrorKind::Refused, format!("cannot put files in `{prefix}`: {rule}"));
            error.hint("name a directory of the project in the task, such as `src/`")
        };
        names::check(prefix.trim_end_matches('/'), &[]).map_err(refused)?;
    }
    // The project's own file is read once its directory is known.
    let settings =
        if place.dir.join(config_files::NAME).exists() { settings(house, job, Some(&place.dir))? } else { own };
    let mut context = gather::gather(house.env, &place, &dir, (job.task, &intent), kind, job.files)?;
    // The tests of a directory that a model named are somebody's code; the client's project is the user's.
    let may_detect = project.is_none_or(|project| project.iter().any(|root| dir.path().starts_with(root)));
    if !may_detect && kind == Kind::Change && job.verify.is_empty() {
        let note =
            "the work directory is outside the client's project: its own tests are not run unasked; give `verify`";
        context.notes.push(note.to_string());
    }
    let verification = &settings.config.verification;
    let wanted = verify::Wanted {
        flags: job.verify,
        enabled: verification.enabled && !job.no_verify,
        commands: &verification.commands,
        auto_detect: verification.auto_detect && may_detect,
    };
    let proof = verify::plan(&wanted, dir.path(), house.env)?;
    let runs = kind == Kind::Change && proof.origin != Origin::Nowhere;
    let hold = if runs { confine::verification(verification, house.env, dir.path())? } else { Hold::Free };
    if hold == Hold::Unable && cfg!(target_os = "linux") {
        context.notes.push(UNCONFINED.to_string());
    }
    let search = Search { env: house.env, dir: &dir, task: job.task, intent: &intent, kind, may_walk, marker: run_id };
    gather::search(&mut context, &search, stop);
    Ok(Prepared { settings, kind, intent, place, dir, context, proof, hold })
}

/// Checks that a route which is none of mux's own is a CLI that the configuration declares.
fn known(asked: Asked, config: &Config) -> Result<(), Error> {
    let Asked::Declared(name) = asked else { return Ok(()) };
    let tools = &config.providers.sota_cli.tools;
    if tools.named(name.as_str()).is_some() {
        return Ok(());
    }
    let names = Asked::NAMES.into_iter().chain(tools.0.iter().map(|(name, _)| name.as_str()));
    let hint = match nearest(name.as_str(), names) {
        Some(word) => format!("did you mean `{word}`? `mux --help` lists all"),
        None => format!("`{TOOLS}` declares other CLIs; `mux --help` lists the routes that are built in"),
    };
    Err(Error::new(ErrorKind::Usage, format!("unknown route `{}`", name.as_str())).hint(hint))
}

/// A provider that was named on the command line has to be one that the configuration knows.
fn declared(settings: &Effective, job: &Job<'_>) -> Result<(), Error> {
    let tools = &settings.config.providers.sota_cli.tools;
    job.asked.provider().into_iter().chain(job.verify_with).try_for_each(|provider| is_declared(tools, provider))
}

/// Refuses a provider that the configuration does not know.
///
/// # Errors
/// `Usage`, with those that it knows.
pub fn is_declared(tools: &Tools, provider: Provider) -> Result<(), Error> {
    if tools.named(provider.name()).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = tools.0.iter().map(|(name, _)| name.as_str()).collect();
    let what = format!("there is no cloud CLI `{}` in the configuration", provider.name());
    let hint = format!("known are {}; others are declared in `providers.sota_cli.tools`", known.join(", "));
    Err(Error::new(ErrorKind::Usage, what).hint(hint))
}

/// All layers, with the flags of the job on top.
fn settings(house: &House<'_>, job: &Job<'_>, project: Option<&Path>) -> Result<Effective, Error> {
    let mut settings = config_files::load(house.env, house.config_file, project, house.state.dir())?;
    if job.local_only {
        config_files::overlay(&mut settings, house.env, "privacy.local_only", "true", "--local-only")?;
    }
    Ok(settings)
}

/// The settings of the policy, for a kind of task.
pub fn policy(config: &Config, kind: Kind, prefer_local: bool, can_ask: bool) -> Policy {
    let router = &config.router;
    let escalates = |on: Trigger| router.escalate_on.contains(&on);
    Policy {
        threshold: router.local_confidence_threshold,
        max_local_tries: match kind {
            Kind::Answer | Kind::Undo => 1 + router.max_local_retries,
            Kind::Change => config.local_executor.max_attempts,
        },
        on_low_confidence: escalates(Trigger::LowConfidence),
        on_verification_failures: escalates(Trigger::VerificationFailures),
        on_high_complexity: escalates(Trigger::HighComplexity),
        complexity_threshold: router.complexity_threshold,
        prefer_local,
        hands: match (config.workflow.allow_sota_write_fallback, can_ask) {
            (true, _) => Hands::Allowed,
            (false, true) => Hands::Ask,
            (false, false) => Hands::Never,
        },
    }
}

/// What is known before the first try.
pub fn first_facts(job: &Job<'_>, prepared: &Prepared, local_up: bool) -> Facts {
    let local_only = prepared.settings.config.privacy.local_only;
    Facts {
        kind: prepared.kind,
        asked: job.asked,
        local_up,
        risk_words: prepared.intent.risk_words.clone(),
        local_tries: 0,
        tier: Tier::Local,
        escalated: None,
        last: Last::Nothing,
        best_local: None,
        standing: None,
        cloud: if local_only { Cloud::Refused(Refusal::LocalOnly) } else { Cloud::Unknown },
        hands_answer: None,
        stopped: None,
        late: None,
    }
}

/// What is known of the pace of the model that the configuration names.
pub fn pace(house: &House<'_>, prepared: &Prepared) -> Pace {
    let local = &prepared.settings.config.providers.local;
    let server = local.base_url.first().map_or("", String::as_str);
    Paces::below(house.state.dir()).known(server, &local.model)
}

/// What `--dry-run` shows. `cloud`: who would take the first step, if it went to the cloud.
pub fn plan(job: &Job<'_>, mut prepared: Prepared, cloud: Cloud, pace: &Pace, now: Utc) -> Plan {
    // No server is asked: without what earlier runs have seen, the usual window is assumed.
    let window = pace.window(now).map_or(Window::Assumed, Window::Known);
    let room = Room { window, reply: longest_reply(&prepared), task: job.task };
    let left_out = prepared.context.cut(&room, Scale::SAME);
    prepared.context.notes.extend(left_out);
    let config = &prepared.settings.config;
    let policy = policy(config, prepared.kind, job.prefer_local, false);
    let first_step = match decide(&policy, &Facts { cloud, ..first_facts(job, &prepared, true) }) {
        Decision::Try { tier: Tier::Local, .. } if is_told_by_checks(job.task, &prepared) => {
            format!("ask the checks what is red, then the local model {}", config.providers.local.model)
        }
        Decision::Try { tier: Tier::Local, .. } => format!("ask the local model {}", config.providers.local.model),
        Decision::Try { tier, reason } => {
            let who =
                if let Cloud::Open(provider) = cloud { provider.name().to_string() } else { "nobody".to_string() };
            match tier {
                Tier::Hands => format!("let {who} change the files: {reason}"),
                Tier::Local | Tier::CloudAnswer | Tier::Advice => format!("ask {who}: {reason}"),
            }
        }
        Decision::AskHands { provider } => format!("ask whether {} may write", provider.name()),
        Decision::Look | Decision::Accept { .. } => "nothing".to_string(),
        Decision::GiveUp { reason, refused } => {
            format!("nothing: {reason}, refused: {}", refused.map_or("nothing", Refusal::name))
        }
    };
    let files = prepared.context.files.iter();
    let touched: Vec<String> =
        files.clone().map(|file| file.path.clone()).chain(prepared.context.to_create.iter().cloned()).collect();
    let proof = match prepared.kind {
        Kind::Change => verify::outlook(&prepared.proof, prepared.dir.path(), &touched),
        Kind::Answer | Kind::Undo => Vec::new(),
    };
    Plan {
        kind: prepared.kind,
        ambiguous: job.kind.is_none() && prepared.intent.ambiguous,
        workdir: prepared.place.dir.clone(),
        missing: prepared.dir.was_missing(),
        context: files
            .map(|file| PlannedFile {
                path: file.path.clone(),
                bytes: file.content.len(),
                why: file.why.clone(),
                lines: file.lines(),
            })
            .collect(),
        to_create: prepared.context.to_create.clone(),
        context_tokens: prepared.context.tokens(),
        expected: pace.forecast(prompt_tokens(job.task, &prepared.context), prepared.kind),
        verification: proof.iter().map(|argv| argv::spell(argv)).collect(),
        first_step,
        notes: prepared.settings.notes.iter().chain(&prepared.context.notes).cloned().collect(),
    }
}
