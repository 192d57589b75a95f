//! Answers of a live server: decisions that are shown, events that were recorded, and calls that failed.

use std::{sync::Arc, time::Duration};

use slotwise::{
    client::{ClientError, RewardStatus},
    engine::Decision,
};
use tonic::Code;

use super::{
    LiveError,
    calls::{CallAnswer, ChangeAnswer, PendingVisit, SentEvent},
    play::LiveEpisode,
};
use crate::{
    load::{PATIENCE, code_name, tally::CallCounts},
    run::episode::{
        queue::EventClock,
        step::{EventAnswer, StepContext},
    },
};

/// Time without anything but failures after which the server is given up.
pub(super) const SILENCE: Duration = Duration::from_secs(15);

/// Time of the first failure since the last answer. Silence counts from there, since before it there may have been
/// nothing to answer.
#[derive(Debug, Default)]
pub(super) struct ServerSilence(Option<Duration>);

impl ServerSilence {
    /// Records an answer.
    fn broken(&mut self) {
        self.0 = None;
    }

    /// Records a failure, and returns whether nothing else came for too long.
    fn too_long(&mut self, at: Duration) -> bool {
        at.saturating_sub(*self.0.get_or_insert(at)) > SILENCE
    }
}

/// Upper bound of the time, microseconds, between a decision's id and the moment at which the server takes it in.
/// Events that follow a decision must not seem to precede it.
const INTAKE_US: i64 = 2_000;

impl LiveEpisode<'_> {
    /// Takes an answer.
    pub(super) fn answer(&mut self, answer: CallAnswer) {
        match answer {
            CallAnswer::Decided { policy, pending, sent, at, result } => {
                self.under_way -= 1;
                self.calls[policy].lag.answered(sent.saturating_sub(pending.due));
                match result {
                    Ok(decision) => {
                        self.silence.broken();
                        self.calls[policy].decide.answered(at.saturating_sub(pending.due));
                        self.decided(policy, &pending, at, &decision);
                    }
                    Err(why) => {
                        if let Some(name) = self.failed(policy, pending.visit.now.index, at, why) {
                            count_without_answer(&mut self.calls[policy].decide, &name);
                        }
                    }
                }
                self.catalogues.done(&pending.version);
            }
            CallAnswer::Recorded { policy, sent, at, result } => {
                self.under_way -= 1;
                self.recording[policy] = false;
                match result {
                    Ok(statuses) => {
                        self.silence.broken();
                        for (SentEvent { origin, reverses, due }, status) in sent.into_iter().zip(statuses) {
                            self.calls[policy].record.answered(at.saturating_sub(due));
                            self.agents[policy].count_answer(origin, reverses, Some(event_answer(&status)));
                        }
                    }
                    Err(why) => {
                        let index = sent.first().map_or(0, |event| event.origin.visit);
                        if let Some(name) = self.failed(policy, index, at, why) {
                            for _ in &sent {
                                count_without_answer(&mut self.calls[policy].record, &name);
                            }
                        }
                    }
                }
            }
            CallAnswer::Changed { policy, received, result } => {
                self.unchanged -= 1;
                if let Err(why) = result {
                    let slot = self.agents[policy].slot().clone();
                    self.failure.get_or_insert(LiveError::Slot { slot, why });
                }
                match received {
                    ChangeAnswer::Part => {}
                    ChangeAnswer::Batch(number) => self.catalogues.received(policy, number),
                    ChangeAnswer::Reset { before } => self.agents[policy].reset(before),
                }
            }
        }
    }

    fn decided(&mut self, policy: usize, pending: &PendingVisit, at: Duration, decision: &Decision) {
        let agent = &mut self.agents[policy];
        let count = agent.count();
        let chosen: Vec<usize> =
            decision.decided.chosen.iter().filter_map(|chosen| self.episode.by_id.get(&chosen.arm).copied()).collect();
        let catalogue = self.catalogues.catalogue_of(policy, &pending.version, &chosen, count);
        let known = pending
            .best
            .iter()
            .find(|(known, _)| *known == count)
            .filter(|_| Arc::ptr_eq(&catalogue, &pending.catalogue));
        let best = known.map_or_else(|| self.episode.bounds(&pending.truth, &catalogue, count), |(_, best)| *best);
        let step = StepContext {
            environment: &self.episode.environment,
            visit: &pending.visit,
            truth: &pending.truth,
            catalogue: &catalogue,
            by_id: &self.episode.by_id,
            best,
            overridden: pending.overridden,
            audited: pending.audited,
            touchpoint: 0,
            seen_after_us: Some(0.0),
        };
        let (at_us, speed) = (self.live.scale.shop_us(at), self.live.scale.speed);
        // The server's clock counts. The id tells its time to the millisecond.
        let clock = EventClock { shop_us: at_us, event_us: decision.decided.id.at_us() + INTAKE_US, speed };
        agent.decided(&step, decision, at_us, clock);
    }

    /// Records a failed call and returns its name, or `None` if the run cannot go on.
    fn failed(&mut self, policy: usize, index: u64, at: Duration, why: ClientError) -> Option<String> {
        let code = match &why {
            ClientError::Refused(status) if may_succeed_later(status.code()) => status.code(),
            ClientError::Refused(_)
            | ClientError::Unreachable { .. }
            | ClientError::Address(_)
            | ClientError::Key
            | ClientError::CaFile { .. }
            | ClientError::NotGrpc
            | ClientError::Answer(_) => {
                let slot = self.agents[policy].slot().clone();
                self.failure.get_or_insert(LiveError::Refused { slot, index, why });
                return None;
            }
        };
        if code == Code::ResourceExhausted {
            // The answer proves that the server is there. It has too much to do.
            self.silence.broken();
        } else if self.silence.too_long(at) {
            self.failure.get_or_insert(LiveError::Silent { why });
        }
        Some(code_name(code))
    }
}

/// Returns whether a call that ends with this code can succeed another time.
pub(super) fn may_succeed_later(code: Code) -> bool {
    match code {
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Internal
        | Code::Unknown => true,
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => false,
    }
}

/// Records a call without an answer. Its latency is unknown, but at least the time limit.
pub(super) fn count_without_answer(counted: &mut CallCounts, why: &str) {
    counted.failed(why);
    counted.answered(PATIENCE);
}

fn event_answer(status: &RewardStatus) -> EventAnswer {
    match status {
        RewardStatus::Accepted => EventAnswer::Accepted,
        RewardStatus::Duplicate => EventAnswer::Duplicate,
        RewardStatus::Late(_) => EventAnswer::Late,
        RewardStatus::Unmatched(_) => EventAnswer::Unmatched,
        RewardStatus::Rejected(_) => EventAnswer::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers nothing is given up after 15 s of silence, and not at once because nothing was due for a
    /// minute, for example.
    #[test]
    fn silence_counts_from_the_first_failure_after_an_answer() {
        let seconds = Duration::from_secs;
        let mut silence = ServerSilence::default();
        assert!(![60, 70, 75].map(|at| silence.too_long(seconds(at))).contains(&true), "no more than 15 s");
        silence.broken();
        assert!(![76, 91].map(|at| silence.too_long(seconds(at))).contains(&true), "it answered in between");
        assert!(silence.too_long(seconds(92)));
    }
}
