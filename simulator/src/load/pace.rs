//! The open loop: requests at times that were laid down, not when earlier ones were answered.
//!
//! Invariant: a request is sent when it is due, however many are unanswered, and its latency
//! counts from when it was due. So a server that stands still for a second shows a second, and not one slow
//! answer (Tene's "coordinated omission"). Beyond a bound of unanswered requests the surplus is shed: a failure
//! that is counted.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::clock::Stopwatch;

/// Between two looks at whether the run is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// What an open loop plays.
pub trait OpenLoop {
    /// What comes back of what was sent.
    type Answer;

    /// When the next thing is due, since the stopwatch began; none: nothing is, until an answer comes.
    fn next_at(&self) -> Option<Duration>;

    /// Sends all that is due by `now`; must not wait for anything.
    fn send(&mut self, now: Duration);

    /// Takes an answer.
    fn take(&mut self, answer: Self::Answer);

    /// Forgets all that is not sent yet.
    fn stop(&mut self);

    /// Whether nothing is due any more, nor any answer to come that matters.
    fn over(&self) -> bool;
}

/// Plays until it is over, or told to stop and over.
///
/// Blocks, on a thread of its own: a runtime's timer is a millisecond coarse, more than a decision takes.
pub fn open_loop<P: OpenLoop>(
    play: &mut P,
    answers: &Receiver<P::Answer>,
    stopwatch: Stopwatch,
    stop: &CancellationToken,
) {
    loop {
        if stop.is_cancelled() {
            play.stop();
        }
        play.send(stopwatch.elapsed());
        if play.over() {
            return;
        }
        let wait = play.next_at().map_or(LOOK, |at| at.saturating_sub(stopwatch.elapsed()).min(LOOK));
        match answers.recv_timeout(wait) {
            Ok(answer) => {
                play.take(answer);
                // What else has come by now costs no more waiting.
                for answer in answers.try_iter() {
                    play.take(answer);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            // Whoever plays holds a sender; without one, only time brings anything.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Three requests, of which none is answered before the last is sent.
    struct Three {
        due: Vec<Duration>,
        sent: usize,
        answers: Sender<usize>,
        taken: Vec<usize>,
    }

    impl OpenLoop for Three {
        type Answer = usize;

        fn next_at(&self) -> Option<Duration> {
            self.due.get(self.sent).copied()
        }

        fn send(&mut self, now: Duration) {
            while self.next_at().is_some_and(|at| at <= now) {
                self.sent += 1;
            }
            if self.sent == 3 && self.taken.is_empty() {
                (0..3).for_each(|k| self.answers.send(k).unwrap());
            }
        }

        fn take(&mut self, answer: usize) {
            self.taken.push(answer);
        }

        fn stop(&mut self) {
            self.due.truncate(self.sent);
        }

        fn over(&self) -> bool {
            self.next_at().is_none() && (self.sent < 3 || self.taken.len() >= 3)
        }
    }

    fn three() -> (Three, Receiver<usize>) {
        let (answers, receiver) = channel();
        (Three { due: [0, 1, 3].map(Duration::from_millis).to_vec(), sent: 0, answers, taken: Vec::new() }, receiver)
    }

    #[test]
    fn all_is_sent_although_nothing_is_answered_and_answers_are_waited_for() {
        let (mut play, answers) = three();
        open_loop(&mut play, &answers, Stopwatch::start(), &CancellationToken::new());
        assert_eq!((play.sent, play.taken), (3, vec![0, 1, 2]));
    }

    #[test]
    fn what_is_stopped_sends_nothing_more() {
        let (mut play, answers) = three();
        let stop = CancellationToken::new();
        stop.cancel();
        open_loop(&mut play, &answers, Stopwatch::start(), &stop);
        assert_eq!((play.sent, play.taken), (0, vec![]));
    }
}
