//! The calls that wait for an answer and the work behind them. A run outlives its call: one that is answered early goes
//! on, and another call may wait for it.
//!
//! **Invariants:** at most `mcp.parallel` runs and [`MOST_LOOKS`] looks at a time, and [`MOST_CALLS`] calls in all. A run
//! that nobody waits for ends when its last call is cancelled or the client goes.

use crate::face::mcp::progress::Phase;
use crate::face::mcp::protocol::{self, Era, Meta};
use crate::face::mcp::report::Report;
use crate::face::mcp::serve::Input;
use crate::face::mcp::wires::Outbox;
use crate::face::mcp::wish::Wish;
use crate::face::mcp::work::{Order, Seat, Work, perform};
use crate::rules::client::provider;
use crate::rules::rpc::{self, Id, json};
use crate::sys::state::new_run_id;
use crate::words::stop::Stop;
use crate::words::task::Provider;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

/// The end of a run without `deadline_sec`.
const LONGEST_RUN: Duration = Duration::from_hours(1);
/// The end of a look.
const LONGEST_LOOK: Duration = Duration::from_secs(30);
const MOST_LOOKS: usize = 4;
/// Calls that may wait for an answer.
const MOST_CALLS: usize = 1000;
/// Reports that are kept for a call that may come for them.
const MOST_KEPT: usize = 16;
/// The first progress comes after this time, so that calls of milliseconds make no noise.
const FIRST: Duration = Duration::from_millis(300);
/// A new phase is told at most so often, the same one again so often.
const PHASE: Duration = Duration::from_millis(500);
const AGAIN: Duration = Duration::from_secs(2);

/// A request that is not answered yet.
pub struct Call {
    id: Id,
    era: Era,
    token: Option<Id>,
    /// The provider that asks.
    caller: Option<Provider>,
    begun: Instant,
    /// When it is answered at the latest.
    due: Instant,
    /// Progress that was sent: how often, when, and of which phase.
    sent: u64,
    told: Instant,
    phase: u64,
}

impl Call {
    pub fn new(id: Id, meta: Meta, client: &str, budget: Duration) -> Call {
        let (begun, caller) = (Instant::now(), provider(client));
        let (era, token) = (meta.era, meta.token);
        Call { id, era, token, caller, begun, due: begun + budget, sent: 0, told: begun, phase: 0 }
    }

    pub fn answer(&self, report: &Report, outbox: &Outbox) {
        outbox.push(rpc::answer(&self.id, &report.result(&protocol::stamp(self.era))));
    }

    /// Tells how far the work is, if the client wants to know and it is time. A client that does not read gets none.
    fn progress(&mut self, phase: &Phase, outbox: &Outbox) {
        let Some(token) = &self.token else { return };
        let waited = self.told.elapsed();
        if waited < FIRST || !outbox.is_empty() {
            return;
        }
        let (number, text) = phase.now();
        let is_time = self.sent == 0 || waited >= AGAIN || (number != self.phase && waited >= PHASE);
        if is_time {
            (self.sent, self.told, self.phase) = (self.sent + 1, Instant::now(), number);
            let message = json(&format!("{text} · {} s", self.begun.elapsed().as_secs()));
            let (token, sent) = (token.as_json(), self.sent);
            let params = format!("{{\"progressToken\":{token},\"progress\":{sent},\"message\":{message}}}");
            outbox.push(rpc::notification("notifications/progress", &params));
        }
    }
}

/// Work that is waiting or going on, and who waits for it.
struct Job {
    /// `None` for a look.
    run_id: Option<String>,
    caller: Option<Provider>,
    /// Until a worker takes it.
    work: Option<Work>,
    stop: Stop,
    phase: Phase,
    calls: Vec<Call>,
}

/// All of them.
pub struct Jobs {
    seat: Arc<Seat>,
    inbox: SyncSender<Input>,
    all: BTreeMap<u64, Job>,
    /// How many runs may go on at a time; read with the first.
    most_runs: Option<usize>,
    waiting: VecDeque<u64>,
    /// Reports of runs that nobody waited for any more, by run id: the oldest first.
    kept: BTreeMap<String, Report>,
    next: u64,
}

impl Jobs {
    pub fn new(seat: Arc<Seat>, inbox: SyncSender<Input>) -> Jobs {
        Jobs {
            seat,
            inbox,
            all: BTreeMap::new(),
            most_runs: None,
            waiting: VecDeque::new(),
            kept: BTreeMap::new(),
            next: 0,
        }
    }

    /// Names a run.
    pub fn run(&self, wish: Box<Wish>) -> Work {
        Work::Run { wish, run_id: new_run_id((self.seat.clock)()) }
    }

    pub fn has_call(&self, id: &Id) -> bool {
        self.all.values().flat_map(|job| &job.calls).any(|call| call.id == *id)
    }

    /// Returns whether another call would be one too many.
    pub fn are_full(&self) -> bool {
        self.all.values().map(|job| job.calls.len()).sum::<usize>() >= MOST_CALLS
    }

    pub fn are_working(&self) -> bool {
        !self.all.is_empty()
    }

    /// Takes a call and the work that it wants: waits for a run that is going on, or queues.
    pub fn take(&mut self, call: Call, work: Work) {
        if let Work::Result(id) = &work
            && let Some(job) = self.all.values_mut().find(|job| job.run_id.as_deref() == Some(id))
        {
            job.calls.push(call);
            return;
        }
        let (run_id, limit) = match &work {
            Work::Run { wish, run_id } => (Some(run_id.clone()), wish.deadline.unwrap_or(LONGEST_RUN)),
            Work::Result(_) | Work::Doctor | Work::Health => (None, LONGEST_LOOK),
        };
        let stop = Stop::at(Instant::now() + limit);
        let phase = Phase::new("waiting for other calls");
        self.next += 1;
        self.waiting.push_back(self.next);
        let caller = call.caller;
        self.all.insert(self.next, Job { run_id, caller, work: Some(work), stop, phase, calls: vec![call] });
    }

    /// Takes back what a request asked for. Nothing is answered to it any more; a run that nobody else waits for ends.
    pub fn cancel(&mut self, id: &Id) {
        let Some((number, job)) = self.all.iter_mut().find(|(_, job)| job.calls.iter().any(|call| call.id == *id))
        else {
            return;
        };
        job.calls.retain(|call| call.id != *id);
        if job.calls.is_empty() {
            job.stop.cancel();
            let (number, is_waiting) = (*number, job.work.is_some());
            if is_waiting {
                self.all.remove(&number);
            }
        }
    }

    /// Ends all runs; nothing is answered to those who wait for them.
    pub fn cancel_runs(&mut self) {
        self.cancel_where(|job| job.run_id.is_some());
    }

    pub fn cancel_all(&mut self) {
        self.cancel_where(|_| true);
    }

    fn cancel_where(&mut self, which: impl Fn(&Job) -> bool) {
        for job in self.all.values_mut().filter(|job| which(job)) {
            job.stop.cancel();
            job.calls.clear();
        }
        self.all.retain(|_, job| job.work.is_none() || !which(job));
    }

    /// A worker has come to its end.
    pub fn ended(&mut self, number: u64, report: Report, outbox: &Outbox) {
        let Some(job) = self.all.remove(&number) else { return };
        for call in &job.calls {
            call.answer(&report, outbox);
        }
        if let (Some(run_id), []) = (job.run_id, job.calls.as_slice()) {
            self.kept.insert(run_id, report);
            if self.kept.len() > MOST_KEPT {
                self.kept.pop_first();
            }
        }
    }

    /// Starts what may start, tells progress, and answers what is due. `roots` are `None` while the client is asked for
    /// them.
    pub fn tend(&mut self, outbox: &Outbox, roots: Option<&Vec<PathBuf>>) {
        if self.all.is_empty() {
            return;
        }
        self.begin(outbox, roots);
        let now = Instant::now();
        for job in self.all.values_mut() {
            for call in &mut job.calls {
                call.progress(&job.phase, outbox);
            }
            let Some(run_id) = &job.run_id else { continue };
            let (_, doing) = job.phase.now();
            let is_over = |call: &mut Call| now >= call.due;
            for call in job.calls.extract_if(.., is_over) {
                let seconds = call.begun.elapsed().as_secs();
                call.answer(&Report::running(run_id, &doing, seconds), outbox);
            }
        }
    }

    fn begin(&mut self, outbox: &Outbox, roots: Option<&Vec<PathBuf>>) {
        let busy = |jobs: &BTreeMap<u64, Job>, is_run: bool| {
            jobs.values().filter(|job| job.work.is_none() && job.run_id.is_some() == is_run).count()
        };
        let (mut runs, mut looks) = (busy(&self.all, true), busy(&self.all, false));
        let seat = &self.seat;
        let most_runs = *self.most_runs.get_or_insert_with(|| seat.most_runs());
        for number in std::mem::take(&mut self.waiting) {
            let Some(job) = self.all.get_mut(&number) else { continue };
            let is_run = job.run_id.is_some();
            let has_room = if is_run { runs < most_runs && roots.is_some() } else { looks < MOST_LOOKS };
            if !has_room {
                self.waiting.push_back(number);
                continue;
            }
            *(if is_run { &mut runs } else { &mut looks }) += 1;
            let Some(work) = job.work.take() else { continue };
            let kept = if let Work::Result(id) = &work { self.kept.get(id).cloned() } else { None };
            if let Some(report) = kept {
                self.ended(number, report, outbox);
                continue;
            }
            job.phase.begin("starting");
            let roots = roots.cloned().unwrap_or_default();
            let (caller, stop, phase) = (job.caller, job.stop.clone(), job.phase.clone());
            let order = Order { work, roots, caller, stop, phase };
            let (seat, inbox) = (Arc::clone(&self.seat), self.inbox.clone());
            let work = move || drop(inbox.send(Input::Ended(number, Box::new(perform(&seat, &order)))));
            if let Err(error) = thread::Builder::new().name("work".into()).spawn(work) {
                self.ended(number, Report::failed(&format!("no thread is to be had: {error}")), outbox);
            }
        }
    }
}
