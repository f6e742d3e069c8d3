//! What is written about a call, before and after: the budget, the sign for a mux below, the egress record, cool-downs.
//!
//! **Invariant:** nothing leaves before its record is on disk; what cannot be recorded is not sent.

use super::{Gate, Open, Refused};
use crate::engine::attempt::ask::millis;
use crate::rules::provider;
use crate::sys::ancestry::{self, Escalating};
use crate::sys::ledger::egress::{Egress, Ended, Sending, SentFile};
use crate::sys::proc::{Exit, Ran};
use crate::sys::state::budget::{Budget, Reservation, Reserved};
use crate::sys::state::cooldown::CoolDowns;
use crate::words::cloud::{CloudFailure, CloudReply};
use crate::words::error::{Context, Error, Kind};
use crate::words::event::{Event, Watcher};
use crate::words::stop::Stop;
use crate::words::task::{Provider, Reason, Refusal};
use crate::words::time::Utc;
use std::time::{Duration, Instant};

/// How long closing the books may take, also when the run was called off in the meantime.
const TO_CLOSE: Duration = Duration::from_secs(5);

/// A call that has begun.
pub(super) struct Begun {
    reservation: Reservation,
    /// Its id in the egress record.
    id: String,
    _sign: Escalating,
}

impl Gate<'_> {
    /// What a call may cost where the user limits dollars: claude can be held to it, so that no call costs more than
    /// what was reserved for it.
    pub(super) fn ceiling(&self) -> Option<f64> {
        let limits = &self.config.budget;
        let is_limited = limits.max_cloud_usd_per_day > 0.0 || limits.max_cloud_usd_per_run > 0.0;
        is_limited.then_some(limits.unknown_call_usd).filter(|usd| *usd > 0.0)
    }

    /// Reserves the budget, puts up the sign and records what is sent.
    ///
    /// # Errors
    /// `Budget` where a limit would be passed; `NoProvider` where something cannot be written.
    pub(super) fn begin(
        &self,
        open: &Open<'_>,
        text: &str,
        files: &[SentFile],
        reason: &Reason,
        stop: &Stop,
    ) -> Result<Begun, Refused> {
        let reservation = self.reserve(stop)?;
        let number = self.calls.get() + 1;
        self.calls.set(number);
        let sending = Sending {
            run_id: self.run_id,
            call: number,
            now: self.house.env.now,
            provider: open.provider.name(),
            step: open.step().name(),
            scope: open.scope,
            reason,
            workdir: self.workdir,
            payload: text.as_bytes(),
            files,
        };
        let written = self
            .sign(number)
            .and_then(|sign| Egress::below(self.house.state.dir()).begin(&sending, stop).map(|id| (sign, id)));
        match written {
            Ok((sign, id)) => Ok(Begun { reservation, id, _sign: sign }),
            Err(error) => {
                let released = reservation.release(stop).err().map(|error| format!("; {error}")).unwrap_or_default();
                Err(Refused { why: Refusal::NoProvider, note: Some(format!("{error}{released}")) })
            }
        }
    }

    /// Writes how a call ended. It is made: what cannot be written any more is said.
    pub(super) fn close(
        &self,
        begun: Begun,
        provider: Provider,
        reply: &Result<CloudReply, CloudFailure>,
        ran: &Ran,
        watcher: &mut dyn Watcher,
    ) {
        let stop = &Stop::at(Instant::now() + TO_CLOSE);
        let usd = cost(reply);
        let has_started = !matches!(ran.exit, Exit::NotStarted(_));
        let settled = if has_started { begun.reservation.settle(usd, stop) } else { begun.reservation.release(stop) };
        let now = later(self.house.env.now, ran.duration);
        let ended = Ended {
            ts: now.to_string(),
            outcome: reply.as_ref().map_or_else(|failure| failure.class.name(), |_| "ok").to_string(),
            usd,
            duration_ms: millis(ran.duration),
        };
        let recorded = Egress::below(self.house.state.dir()).end(&begun.id, &ended, stop);
        let cooled = self.cool(provider, reply, now, stop);
        for error in [settled, recorded, cooled].into_iter().filter_map(Result::err) {
            watcher.event(&Event::Note(&error.to_string()));
        }
    }

    /// Nobody knows what a call will cost, so the ceiling is reserved.
    fn reserve(&self, stop: &Stop) -> Result<Reservation, Refused> {
        let limits = &self.config.budget;
        let budget = Budget::below(self.house.state.dir());
        let day = self.house.env.now.day();
        let refused = |note: String| Err(Refused { why: Refusal::Budget, note: Some(note) });
        match budget.reserve(limits, &day, self.run_id, limits.unknown_call_usd, stop) {
            Ok(Reserved::Held(reservation)) => Ok(reservation),
            Ok(Reserved::Refused(exceeded)) => refused(exceeded.to_string()),
            Err(error) => refused(error.to_string()),
        }
    }

    fn sign(&self, number: u32) -> Result<Escalating, Error> {
        ancestry::escalating(&self.house.state.escalations(), &format!("{}.{number}", self.run_id))
            .context(Kind::Io, || "cannot mark the escalation in the state directory".to_string())
    }

    /// Leaves a provider alone that will fail again, and forgets that of one that works.
    fn cool(
        &self,
        provider: Provider,
        reply: &Result<CloudReply, CloudFailure>,
        now: Utc,
        stop: &Stop,
    ) -> Result<(), Error> {
        let cool_downs = CoolDowns::below(self.house.state.dir());
        match reply {
            Ok(_) => cool_downs.end(provider.name(), now, stop),
            Err(failure) => match provider::cooldown(failure.class) {
                Some(span) => cool_downs.start(provider.name(), later(now, span), failure.class.name(), now, stop),
                None => Ok(()),
            },
        }
    }
}

/// What a call cost by the CLI's own word. A call that failed may have cost something all the same.
pub(super) fn cost(reply: &Result<CloudReply, CloudFailure>) -> Option<f64> {
    match reply {
        Ok(reply) => reply.cost_usd,
        Err(failure) => failure.cost_usd,
    }
}

fn later(now: Utc, span: Duration) -> Utc {
    Utc(now.0.saturating_add(millis(span)))
}
