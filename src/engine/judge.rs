//! From a checked changeset to a verdict: apply, prove, compare a red proof with the tree as it was, and leave the files
//! standing only if the verdict lets them. Not the choice of what happens next.
//!
//! **Invariant:** when this returns, the changeset is applied and its journal open, or the tree is as it was. For the
//! baseline it is rolled back and, if it may stay, applied again as a new changeset with a journal of its own: a kill at
//! any instant finds one open journal or none, and a file that was saved meanwhile is refused as it always is.

use crate::engine::baseline::{Baseline, Compared};
use crate::engine::verify::{self, Ground, Origin, Plan};
use crate::rules::names::{self, Planned};
use crate::rules::weaken::Weakened;
use crate::rules::{examples, failing};
use crate::sys::disk::{self, Applied, RollBack, Settled, WorkDir};
use crate::words::changes::FileOp;
use crate::words::event::{Event, Watcher};
use crate::words::stop::Stop;
use crate::words::task::{Failure, Proof, Red, Verdict};
use std::collections::BTreeMap;
use std::path::Path;

/// A changeset and what it is judged by.
pub struct Trial<'a> {
    pub dir: &'a WorkDir,
    pub run_dir: &'a Path,
    pub planned: &'a [Planned<'a>],
    /// What the model was shown, as `disk::apply` wants it.
    pub seen: &'a BTreeMap<String, Option<String>>,
    pub plan: &'a Plan,
    pub ground: Ground<'a>,
    /// What the changeset takes out of tests, and whether the task asks for that.
    pub weakened: &'a [Weakened],
    pub may_weaken: bool,
    pub task: &'a str,
    /// Whether another try may follow: then a change that leaves red the very tests that the task may be about has
    /// failed, and only the last try is kept as unproven.
    pub more_tries: bool,
}

/// A changeset with its verdict; applied unless the verdict is `Failed`.
pub struct Judged {
    pub applied: Option<Applied>,
    pub files: Vec<FileOp>,
    pub proof: Proof,
    /// What the checks, or somebody else, made of the files meanwhile.
    pub settled: Settled,
}

/// Applies and judges a changeset.
///
/// # Errors
/// [`Failure::Unchanged`] where it changes no byte; what `disk::apply` refused, also when it refused to apply again what
/// the baseline had rolled back.
pub fn judge(
    trial: &Trial<'_>,
    baseline: &mut Baseline,
    stop: &Stop,
    watcher: &mut dyn Watcher,
) -> Result<Judged, Failure> {
    let mut written = apply(trial, stop, watcher)?;
    if written.ops().is_empty() {
        return Err(Failure::Unchanged);
    }
    let touched: Vec<String> = written.ops().iter().map(|file| file.path.clone()).collect();
    let ground = Ground { touched: &touched, ..trial.ground };
    let texts = written.texts();
    let place = trial.dir.place();
    let mut proof = verify::verify(trial.plan, &ground, stop, watcher);
    if let Err(cause) = place.clone().and_then(|place| trial.dir.still(place)) {
        take_back(trial.dir, written, watcher);
        return Err(Failure::from(&cause));
    }
    let settled = written.settle(&texts);
    let mut files = written.ops().to_vec();
    let mut applied = Some(written);
    let is_weakened = !trial.weakened.is_empty() && !trial.may_weaken;
    let is_red = proof.verdict == Verdict::Failed && trial.plan.origin != Origin::Flag && !is_weakened;
    if is_red && !proof.red.is_empty() && proof.red.iter().all(|red| red.failures.is_some()) {
        applied = applied.and_then(|applied| take_back(trial.dir, applied, watcher));
        baseline.learn(&mut proof, trial.plan.origin, &ground, stop, watcher);
        match baseline.compare(&proof.red) {
            Compared::NoWorse { n_fixed: 0, .. }
                if trial.more_tries && concerns(trial, &proof, &touched) || lacks_what_was_asked(trial, &proof) =>
            {
                proof.summary.push_str("; the same tests as before the change");
            }
            compared @ (Compared::NoWorse { .. } | Compared::Worse(_) | Compared::Unknown) => {
                if let Compared::NoWorse { .. } = compared {
                    let again = apply(trial, stop, watcher)?;
                    files = again.ops().to_vec();
                    applied = Some(again);
                }
                settle(compared, &mut proof);
            }
        }
    }
    weigh(trial.weakened, trial.may_weaken, trial.plan.origin, &mut proof);
    // Red tests never keep their files: the next try, and the user, start from the tree as it was.
    if proof.verdict == Verdict::Failed {
        applied = applied.and_then(|applied| take_back(trial.dir, applied, watcher));
    }
    Ok(Judged { applied, files, proof, settled })
}

fn concerns(trial: &Trial<'_>, proof: &Proof, touched: &[String]) -> bool {
    let evidence = proof.evidence.as_deref().unwrap_or_default();
    let mut red = proof.red.iter().filter_map(|red| red.failures.as_ref());
    red.any(|failures| failing::concern(&failures.names, evidence, trial.task, touched))
}

/// Whether examples of the very function that the task names are red. They were red before because it was not there yet:
/// that is no excuse.
fn lacks_what_was_asked(trial: &Trial<'_>, proof: &Proof) -> bool {
    let of_examples = |red: &&Red| trial.ground.examples.is_some_and(|examples| examples.argv == red.argv);
    let mut names =
        proof.red.iter().filter(of_examples).filter_map(|red| red.failures.as_ref()).flat_map(|red| &red.names);
    names.any(|name| examples::is_asked_for(trial.task, name))
}

/// A changeset that somebody else has written, and what it is judged by.
pub struct Standing<'a> {
    pub plan: &'a Plan,
    pub ground: Ground<'a>,
    pub weakened: &'a [Weakened],
    pub may_weaken: bool,
}

/// Judges a changeset that stands already, against a baseline that was taken before it. Writes nothing.
pub fn judge_standing(standing: &Standing<'_>, baseline: &Baseline, stop: &Stop, watcher: &mut dyn Watcher) -> Proof {
    let mut proof = verify::verify(standing.plan, &standing.ground, stop, watcher);
    let is_weakened = !standing.weakened.is_empty() && !standing.may_weaken;
    if proof.verdict == Verdict::Failed && standing.plan.origin != Origin::Flag && !is_weakened {
        let compared = baseline.compare(&proof.red);
        settle(compared, &mut proof);
    }
    weigh(standing.weakened, standing.may_weaken, standing.plan.origin, &mut proof);
    proof
}

/// Puts what a comparison with the baseline says into a red proof.
fn settle(compared: Compared, proof: &mut Proof) {
    match compared {
        Compared::NoWorse { remark, .. } => {
            proof.verdict = Verdict::Unproven;
            proof.evidence = None;
            proof.summary.push_str("; red before the change too");
            proof.remarks.push(remark);
        }
        Compared::Worse(line) => proof.evidence = proof.evidence.take().map(|evidence| format!("{line}\n{evidence}")),
        Compared::Unknown => {}
    }
}

/// A change that weakens tests is never verified (`weaken.rs`), and fails: also where no test is left that could, unless
/// the user wants no proof.
fn weigh(weakened: &[Weakened], may_weaken: bool, origin: Origin, proof: &mut Proof) {
    let Some(remark) = remark(weakened) else { return };
    match proof.verdict {
        Verdict::Passed if may_weaken => {
            proof.verdict = Verdict::Skipped;
            proof.summary.push_str("; weakened tests prove nothing");
        }
        Verdict::Skipped if origin == Origin::Nowhere => {}
        Verdict::Passed | Verdict::Failed | Verdict::Skipped if !may_weaken => {
            let what = "Keep every test and every assertion as it is, and change the code instead.";
            let was_red = proof.verdict == Verdict::Failed;
            let evidence = if was_red { proof.evidence.take() } else { Some(String::new()) };
            proof.evidence = evidence.map(|rest| format!("{remark} {what}\n{rest}").trim_end().to_string());
            if !was_red {
                proof.verdict = Verdict::Failed;
                proof.summary.push_str("; the change weakens tests");
            }
        }
        Verdict::Passed | Verdict::Failed | Verdict::Unproven | Verdict::Skipped => {}
    }
    proof.remarks.insert(0, remark);
}

/// The sentence that names weakened tests.
pub fn remark(weakened: &[Weakened]) -> Option<String> {
    let names: Vec<String> = weakened.iter().map(ToString::to_string).collect();
    (!names.is_empty()).then(|| format!("This change weakens tests: {}.", names.join("; ")))
}

/// The notes about files that changed while they were checked: what was proved is perhaps not what is there.
pub fn told(settled: &Settled) -> impl Iterator<Item = String> {
    settled
        .moved
        .iter()
        .map(|path| format!("`{path}` changed while it was checked, by a check or by someone else, and was left so"))
}

/// Applies where the path still leads: whoever looks for the files would find others.
fn apply(trial: &Trial<'_>, stop: &Stop, watcher: &mut dyn Watcher) -> Result<Applied, Failure> {
    trial.dir.place().map_err(|cause| Failure::from(&cause))?;
    disk::apply(trial.dir, trial.run_dir, trial.planned, trial.seen, stop).map_err(|failed| {
        report(&failed.rolled_back, watcher);
        Failure::from(&failed.cause)
    })
}

/// Rolls back, after a verification that may have built what is gone now, and reports what could not be brought back.
pub fn take_back(dir: &WorkDir, applied: Applied, watcher: &mut dyn Watcher) -> Option<Applied> {
    let restored: Vec<String> =
        applied.ops().iter().filter(|file| file.before.is_some()).map(|file| file.path.clone()).collect();
    report(&applied.roll_back(), watcher);
    for path in restored.iter().filter_map(|path| names::readable(path).ok()) {
        // The bytes are back; only a build's idea of their age is at stake.
        let _ = dir.touch(&path);
    }
    None
}

fn report(rolled_back: &RollBack, watcher: &mut dyn Watcher) {
    for left in &rolled_back.left {
        watcher.event(&Event::Note(&left.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::weaken::{Edited, weakened};
    use crate::sys::results::Results;
    use crate::words::env::Env;
    use crate::words::task::Provider;
    use crate::words::time::Utc;
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    /// A work directory and a state directory that go away.
    struct Place(PathBuf);

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs_err::remove_dir_all(&self.0);
        }
    }

    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Watcher for Seen {
        fn event(&mut self, event: &Event<'_>) {
            self.0.push(format!("{event:?}"));
        }

        fn allow_hands(&mut self, _provider: Provider, _deadline: Instant) -> bool {
            false
        }
    }

    const CALC: &str = "def add(a, b):\n    return a - b\n\n\ndef mul(a, b):\n    return a + b\n";
    const TESTS: &str = "import unittest\nfrom calc import add, mul\n\n\nclass T(unittest.TestCase):\n    \
                         def test_add(self):\n        self.assertEqual(add(2, 3), 5)\n\n    def test_mul(self):\n        \
                         self.assertEqual(mul(2, 3), 6)\n\n    def test_two(self):\n        \
                         self.assertEqual(mul(2, 2), 4)\n";
    const UNITTEST: &[&str] = &["python3", "-m", "unittest", "-q"];

    /// How a change ended, and what it took.
    #[derive(Debug, PartialEq, Eq)]
    struct End {
        verdict: Verdict,
        /// Whether the new content stands, and no journal but its own is open.
        stands: bool,
        n_commands: usize,
        remarks: String,
        evidence: String,
    }

    struct Run {
        place: Place,
        baseline: Baseline,
        seen: Seen,
        more_tries: bool,
        task: &'static str,
    }

    impl Run {
        #[track_caller]
        fn new() -> Run {
            let line = std::panic::Location::caller().line();
            let root = std::env::temp_dir().join(format!("mux-judge-{}-{line}", std::process::id()));
            fs_err::create_dir_all(root.join("work")).unwrap();
            fs_err::create_dir_all(root.join("runs")).unwrap();
            fs_err::write(root.join("work/calc.py"), CALC).unwrap();
            fs_err::write(root.join("work/test_calc.py"), TESTS).unwrap();
            let (baseline, seen) = (Baseline::default(), Seen::default());
            Run { place: Place(root), baseline, seen, more_tries: false, task: "Add a line" }
        }

        fn judge(&mut self, origin: Origin, commands: &[&[&str]], path: &str, content: &str, may_weaken: bool) -> End {
            let work = self.place.0.join("work");
            let dir = WorkDir::open(&work).unwrap();
            let run_dir = Results::at(self.place.0.join("runs")).make("01KAP5V0XQ3T0000000000000A").unwrap();
            let before = fs_err::read_to_string(work.join(path)).unwrap();
            let set = [crate::words::changes::Change::Write { path: path.into(), content: content.into() }];
            let planned = names::check_all(&set, &[]).unwrap();
            #[expect(clippy::disallowed_methods, reason = "the runners of this machine are somewhere in its PATH")]
            let vars = std::env::vars_os().filter(|(name, _)| name == "PATH").collect();
            let env = Env { vars, cwd: None, now: Utc(0) };
            let commands = commands.iter().map(|argv| argv.iter().map(ToString::to_string).collect()).collect();
            let plan = Plan { origin, commands, missing: None };
            let timeout = Duration::from_secs(50);
            let edited = [Edited { path, before: Some(&before), after: Some(content) }];
            let examples = examples::examples(self.task, &edited);
            let ground = Ground {
                workdir: &work,
                held: Some(&dir),
                env: &env,
                pass: &[],
                key: "",
                timeout,
                strict: false,
                run_id: "judge",
                writes: None,
                touched: &[],
                examples: examples.as_ref(),
            };
            let weakened = weakened(&edited);
            let seen = BTreeMap::new();
            let trial = Trial {
                dir: &dir,
                run_dir: &run_dir,
                planned: &planned,
                seen: &seen,
                plan: &plan,
                ground,
                weakened: &weakened,
                may_weaken,
                task: self.task,
                more_tries: self.more_tries,
            };
            let stop = Stop::at(Instant::now() + Duration::from_mins(1));
            let judged = judge(&trial, &mut self.baseline, &stop, &mut self.seen).unwrap();
            let now = fs_err::read_to_string(work.join(path)).unwrap();
            assert!(now == content || now == before);
            assert_eq!(judged.applied.is_some(), now == content);
            let end = End {
                verdict: judged.proof.verdict,
                stands: now == content,
                n_commands: judged.proof.commands.len(),
                remarks: judged.proof.remarks.join(" "),
                evidence: judged.proof.evidence.unwrap_or_default().lines().next().unwrap_or_default().to_string(),
            };
            // Ends it as a run that gives up does: the tree is as it was.
            drop(judged.applied);
            assert_eq!(fs_err::read_to_string(work.join(path)).unwrap(), before);
            end
        }
    }

    #[track_caller]
    fn check(run: &mut Run, content: &str, expected: (Verdict, usize, &str, &str)) {
        let end = run.judge(Origin::Config, &[UNITTEST], "calc.py", content, false);
        let (verdict, n_commands, remarks, evidence) = expected;
        let (remarks, evidence) = (remarks.to_string(), evidence.to_string());
        assert_eq!(end, End { verdict, stands: verdict != Verdict::Failed, n_commands, remarks, evidence });
    }

    const ADD: &str = "`test_add (test_calc.T.test_add)`";
    const MUL: &str = "`test_mul (test_calc.T.test_mul)`";
    const BROKE_TWO: &str =
        "This change breaks what worked before: `test_two (test_calc.T.test_two)`. Others were red before.";

    #[test]
    fn a_red_example_of_what_was_asked_for_has_no_excuse() {
        let stub = "def half(n):\n    \"\"\"Halves.\n\n    >>> half(4)\n    2\n    >>> half(2) == 1\n    \"\"\"\n";
        for (task, body, verdict) in [
            ("Implement `half`", "    return n\n", Verdict::Failed),
            ("Add a line", "    return n\n", Verdict::Unproven),
            ("Implement `half`", "    return n // 2\n", Verdict::Skipped),
        ] {
            let mut run = Run::new();
            run.task = task;
            fs_err::remove_file(run.place.0.join("work/test_calc.py")).unwrap();
            fs_err::write(run.place.0.join("work/calc.py"), stub).unwrap();
            let end = run.judge(Origin::Project, &[], "calc.py", &format!("{stub}{body}"), false);
            assert_eq!((end.verdict, end.stands), (verdict, verdict != Verdict::Failed), "{task}: {body}");
        }
    }

    #[test]
    fn red_before_and_after_is_unproven_and_the_baseline_is_taken_once() {
        let mut run = Run::new();
        let same =
            format!("Not proven: tests were red before this change, and the same ones are red after it: {ADD}, {MUL}.");
        check(&mut run, &format!("{CALC}# more\n"), (Verdict::Unproven, 2, &same, ""));
        check(&mut run, &format!("{CALC}# again\n"), (Verdict::Unproven, 1, &same, ""));
        check(&mut run, &CALC.replace("a + b", "a + b + 1"), (Verdict::Failed, 1, "", BROKE_TWO));
        let fewer = format!(
            "Not proven: tests were red before this change, and 1 of 2 are green now, the others still red: {MUL}."
        );
        check(&mut run, &CALC.replace("a - b", "a + b"), (Verdict::Unproven, 1, &fewer, ""));
        let green = CALC.replace("a + b", "a * b").replace("a - b", "a + b");
        check(&mut run, &green, (Verdict::Passed, 1, "", ""));
        let n_notes = run.seen.0.iter().filter(|event| event.contains("red before?")).count();
        assert_eq!(n_notes, 1, "{:?}", run.seen.0);
    }

    #[test]
    fn red_tests_of_the_touched_file_get_every_try() {
        let mut run = Run { more_tries: true, ..Run::new() };
        let evidence = "`python3 -m unittest -q`: exit 1";
        check(&mut run, &format!("{CALC}# more\n"), (Verdict::Failed, 2, "", evidence));
        // What turned one of them green is kept at once.
        let end = run.judge(Origin::Config, &[UNITTEST], "calc.py", &CALC.replace("a - b", "a + b"), false);
        assert_eq!((end.verdict, end.stands, end.n_commands), (Verdict::Unproven, true, 1));
    }

    #[test]
    fn a_green_baseline_makes_every_failure_new() {
        let mut run = Run::new();
        let green = CALC.replace("a + b", "a * b").replace("a - b", "a + b");
        fs_err::write(run.place.0.join("work/calc.py"), &green).unwrap();
        let evidence = format!("This change breaks what worked before: {ADD}.");
        check(&mut run, &green.replace("a + b", "a - b"), (Verdict::Failed, 2, "", &evidence));
    }

    #[test]
    fn what_cannot_be_compared_has_failed() {
        let mut run = Run::new();
        // The module cannot be loaded: one failing "test" of another name.
        let evidence = "This change breaks what worked before: `test_calc (unittest.loader._FailedTest.test_calc)`. \
                        Others were red before.";
        check(&mut run, "def add(:\n", (Verdict::Failed, 2, "", evidence));
        let silent: &[&str] = &["sh", "-c", "exit 1"];
        let end = run.judge(Origin::Config, &[silent], "calc.py", "x = 1\n", false);
        assert_eq!((end.verdict, end.stands, end.n_commands), (Verdict::Failed, false, 1));
        // A command behind the red one counts too.
        let end = run.judge(Origin::Config, &[UNITTEST, silent], "calc.py", &format!("{CALC}#\n"), false);
        assert_eq!((end.verdict, end.stands, end.n_commands), (Verdict::Failed, false, 2));
        let end = run.judge(Origin::Config, &[UNITTEST, &["true"]], "calc.py", &format!("{CALC}#\n"), false);
        assert_eq!((end.verdict, end.stands, end.n_commands), (Verdict::Unproven, true, 2));
    }

    #[test]
    fn a_verify_command_is_never_unproven() {
        let end = Run::new().judge(Origin::Flag, &[UNITTEST], "calc.py", &format!("{CALC}#\n"), false);
        assert_eq!((end.verdict, end.stands, end.n_commands), (Verdict::Failed, false, 1));
    }

    #[test]
    fn weakened_tests_are_never_verified() {
        let mut run = Run::new();
        let green = CALC.replace("a + b", "a * b").replace("a - b", "a + b");
        fs_err::write(run.place.0.join("work/calc.py"), &green).unwrap();
        let without = TESTS.split("    def test_two").next().unwrap();
        let named = "This change weakens tests: test_calc.py: deletes test_two.";
        for origin in [Origin::Config, Origin::Flag] {
            let end = run.judge(origin, &[UNITTEST], "test_calc.py", without, false);
            let order = "Keep every test and every assertion as it is, and change the code instead.";
            let evidence = format!("{named} {order}");
            let remarks = named.to_string();
            assert_eq!(end, End { verdict: Verdict::Failed, stands: false, n_commands: 1, remarks, evidence });
            let end = run.judge(origin, &[UNITTEST], "test_calc.py", without, true);
            let (remarks, evidence) = (named.to_string(), String::new());
            assert_eq!(end, End { verdict: Verdict::Skipped, stands: true, n_commands: 1, remarks, evidence });
        }
        // Where none is left to run, that is no way out; a user who wants no proof gets none.
        let none = "import unittest\n";
        let end = run.judge(Origin::Project, &[], "test_calc.py", none, false);
        assert_eq!((end.verdict, end.stands), (Verdict::Failed, false));
        assert!(end.evidence.starts_with("This change weakens tests: test_calc.py: deletes"), "{end:?}");
        let end = run.judge(Origin::Nowhere, &[], "test_calc.py", none, false);
        assert_eq!((end.verdict, end.stands), (Verdict::Skipped, true));
        assert!(end.remarks.starts_with("This change weakens tests: "), "{end:?}");
        // Red tests that are taken out are no repair: there is no baseline for that.
        fs_err::write(run.place.0.join("work/calc.py"), CALC).unwrap();
        let skipped = TESTS.replace("    def test_add", "    @unittest.skip('x')\n    def test_add");
        let end = run.judge(Origin::Config, &[UNITTEST], "test_calc.py", &skipped, false);
        assert_eq!((end.verdict, end.stands, end.n_commands), (Verdict::Failed, false, 1));
        assert!(end.evidence.starts_with("This change weakens tests: test_calc.py: skips test_add."), "{end:?}");
    }
}
