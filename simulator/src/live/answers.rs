//! What comes back from a live server: decisions that are shown, events that were heard, calls that came to nothing.

use std::{sync::Arc, time::Duration};

use slotwise::{
    engine::Decision,
    wire::{ClientError, RewardStatus},
};
use tonic::Code;

use super::{
    LiveError,
    calls::{Answer, ChangeAnswer, PendingVisit},
    play::LiveEpisode,
};
use crate::{
    load::{PATIENCE, code_name, tally::CallCounts},
    run::episode::{
        agent::{EventAnswer, StepContext},
        queue::EventClock,
    },
};

/// When nothing but failures came for so long the server is given up.
pub(super) const SILENCE: Duration = Duration::from_secs(15);

/// When the first of the failures since the last answer came. From then on it counts: before, there may have been nothing
/// to answer.
#[derive(Debug, Default)]
pub(super) struct ServerSilence(Option<Duration>);

impl ServerSilence {
    /// An answer came.
    fn broken(&mut self) {
        self.0 = None;
    }

    /// A failure came; whether nothing else did for too long.
    fn too_long(&mut self, at: Duration) -> bool {
        at.saturating_sub(*self.0.get_or_insert(at)) > SILENCE
    }
}

/// So much later than its id says a decision may have been taken in, microseconds: what follows it must not seem to have
/// come before it.
const ID_US: i64 = 2_000;

impl LiveEpisode<'_> {
    /// Takes what came back.
    pub(super) fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Decided { policy, pending, sent, at, result } => {
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
                            gave_up(&mut self.calls[policy].decide, &name);
                        }
                    }
                }
                self.catalogues.done(&pending.version);
            }
            Answer::Recorded { policy, sent, at, result } => {
                self.under_way -= 1;
                self.recording[policy] = false;
                match result {
                    Ok(statuses) => {
                        self.silence.broken();
                        for ((of, reverses, due), status) in sent.into_iter().zip(statuses) {
                            self.calls[policy].record.answered(at.saturating_sub(due));
                            self.agents[policy].heard(of, reverses, Some(heard(&status)));
                        }
                    }
                    Err(why) => {
                        let index = sent.first().map_or(0, |(of, ..)| of.visit);
                        if let Some(name) = self.failed(policy, index, at, why) {
                            for _ in &sent {
                                gave_up(&mut self.calls[policy].record, &name);
                            }
                        }
                    }
                }
            }
            Answer::Changed { policy, told, result } => {
                self.unchanged -= 1;
                if let Err(why) = result {
                    let slot = self.agents[policy].slot().clone();
                    self.failure.get_or_insert(LiveError::Slot { slot, why });
                }
                match told {
                    ChangeAnswer::Part => {}
                    ChangeAnswer::Batch(number) => self.catalogues.told(policy, number),
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
        let catalogue = self.catalogues.judge(policy, &pending.version, &chosen, count);
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
        };
        let (at_us, speed) = (self.live.scale.shop_us(at), self.live.scale.speed);
        // The server's clock is the one that counts; the id says what it was, down to the millisecond.
        let clock = EventClock { shop_us: at_us, told_us: decision.decided.id.at_us() + ID_US, speed };
        agent.decided(&step, decision, at_us, clock);
    }

    /// A call came to nothing: that is counted, unless there is no sense in going on.
    fn failed(&mut self, policy: usize, index: u64, at: Duration, why: ClientError) -> Option<String> {
        let code = match &why {
            ClientError::Refused(status) if passing(status.code()) => status.code(),
            ClientError::Refused(_)
            | ClientError::Unreachable { .. }
            | ClientError::Address(_)
            | ClientError::Answer(_) => {
                let slot = self.agents[policy].slot().clone();
                self.failure.get_or_insert(LiveError::Refused { slot, index, why });
                return None;
            }
        };
        if code == Code::ResourceExhausted {
            // That is an answer: it is there, and has too much to do.
            self.silence.broken();
        } else if self.silence.too_long(at) {
            self.failure.get_or_insert(LiveError::Silent { why });
        }
        Some(code_name(code))
    }
}

/// Whether a call that ends with this code may succeed another time.
pub(super) fn passing(code: Code) -> bool {
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

/// Nobody knows how long an answer that never came would have taken: at least as long as is waited.
pub(super) fn gave_up(counted: &mut CallCounts, why: &str) {
    counted.failed(why);
    counted.answered(PATIENCE);
}

fn heard(status: &RewardStatus) -> EventAnswer {
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

    /// Nothing is due for a minute, say; then a server that answers nothing is given up after 15 s and not at once.
    #[test]
    fn silence_counts_from_the_first_failure_since_an_answer() {
        let seconds = Duration::from_secs;
        let mut silence = ServerSilence::default();
        assert!(![60, 70, 75].map(|at| silence.too_long(seconds(at))).contains(&true), "no more than 15 s");
        silence.broken();
        assert!(![76, 91].map(|at| silence.too_long(seconds(at))).contains(&true), "it answered in between");
        assert!(silence.too_long(seconds(92)));
    }
}
