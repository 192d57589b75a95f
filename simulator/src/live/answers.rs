//! What comes back from a live server: decisions that are shown, events that were heard, calls that came to nothing.

use std::{sync::Arc, time::Duration};

use slotwise::{
    engine::Decision,
    wire::{ClientError, RewardStatus},
};
use tonic::Code;

use super::{
    LiveError,
    calls::{Answer, Held, Told},
    play::Playing,
};
use crate::{
    load::{PATIENCE, code_name, tally::Counted},
    run::episode::{
        player::{Heard, Scene},
        queue::Dating,
    },
};

/// When nothing but failures came for so long the server is given up.
pub(super) const SILENCE: Duration = Duration::from_secs(15);

/// When the first of the failures since the last answer came. From then on it counts: before, there may have been nothing
/// to answer.
#[derive(Debug, Default)]
pub(super) struct Silence(Option<Duration>);

impl Silence {
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

impl Playing<'_> {
    /// Takes what came back.
    pub(super) fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Decided { policy, held, sent, at, result } => {
                self.under_way -= 1;
                self.calls[policy].lag.answered(sent.saturating_sub(held.due));
                match result {
                    Ok(decision) => {
                        self.silence.broken();
                        self.calls[policy].decide.answered(at.saturating_sub(held.due));
                        self.decided(policy, &held, at, &decision);
                    }
                    Err(why) => {
                        if let Some(name) = self.failed(policy, held.visit.now.index, at, why) {
                            gave_up(&mut self.calls[policy].decide, &name);
                        }
                    }
                }
                self.shelves.done(&held.asked);
            }
            Answer::Recorded { policy, sent, at, result } => {
                self.under_way -= 1;
                self.recording[policy] = false;
                match result {
                    Ok(statuses) => {
                        self.silence.broken();
                        for ((of, reverses, due), status) in sent.into_iter().zip(statuses) {
                            self.calls[policy].record.answered(at.saturating_sub(due));
                            self.players[policy].heard(of, reverses, Some(heard(&status)));
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
                    let slot = self.players[policy].slot().clone();
                    self.failure.get_or_insert(LiveError::Slot { slot, why });
                }
                match told {
                    Told::Part => {}
                    Told::Batch(number) => self.shelves.told(policy, number),
                    Told::Reset { before } => self.players[policy].reset(before),
                }
            }
        }
    }

    fn decided(&mut self, policy: usize, held: &Held, at: Duration, decision: &Decision) {
        let player = &mut self.players[policy];
        let count = player.count();
        let chosen: Vec<usize> =
            decision.decided.chosen.iter().filter_map(|chosen| self.stage.by_id.get(&chosen.arm).copied()).collect();
        let shelf = self.shelves.judge(policy, &held.asked, &chosen, count);
        let known = held.best.iter().find(|(known, _)| *known == count).filter(|_| Arc::ptr_eq(&shelf, &held.shelf));
        let best = known.map_or_else(|| self.stage.bounds(&held.truth, &shelf, count), |(_, best)| *best);
        let scene = Scene {
            world: &self.stage.world,
            visit: &held.visit,
            truth: &held.truth,
            shelf: &shelf,
            by_id: &self.stage.by_id,
            best,
            overridden: held.overridden,
            audited: held.audited,
        };
        let (at_us, speed) = (self.live.scale.shop_us(at), self.live.scale.speed);
        // The server's clock is the one that counts; the id says what it was, down to the millisecond.
        let dating = Dating { shop_us: at_us, told_us: decision.decided.id.at_us() + ID_US, speed };
        player.decided(&scene, decision, at_us, dating);
    }

    /// A call came to nothing: that is counted, unless there is no sense in going on.
    fn failed(&mut self, policy: usize, index: u64, at: Duration, why: ClientError) -> Option<String> {
        let code = match &why {
            ClientError::Refused(status) if passing(status.code()) => status.code(),
            ClientError::Refused(_)
            | ClientError::Unreachable { .. }
            | ClientError::Address(_)
            | ClientError::Answer(_) => {
                let slot = self.players[policy].slot().clone();
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
pub(super) fn gave_up(counted: &mut Counted, why: &str) {
    counted.failed(why);
    counted.answered(PATIENCE);
}

fn heard(status: &RewardStatus) -> Heard {
    match status {
        RewardStatus::Accepted => Heard::Accepted,
        RewardStatus::Duplicate => Heard::Duplicate,
        RewardStatus::Late(_) => Heard::Late,
        RewardStatus::Unmatched(_) => Heard::Unmatched,
        RewardStatus::Rejected(_) => Heard::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing is due for a minute, say; then a server that answers nothing is given up after 15 s and not at once.
    #[test]
    fn silence_counts_from_the_first_failure_since_an_answer() {
        let seconds = Duration::from_secs;
        let mut silence = Silence::default();
        assert!(![60, 70, 75].map(|at| silence.too_long(seconds(at))).contains(&true), "no more than 15 s");
        silence.broken();
        assert!(![76, 91].map(|at| silence.too_long(seconds(at))).contains(&true), "it answered in between");
        assert!(silence.too_long(seconds(92)));
    }
}
