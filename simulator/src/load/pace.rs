//! The open loop: requests at times that are fixed beforehand, not when earlier ones are answered.
//!
//! Invariants:
//!
//! * A request is sent when it is due, however many are unanswered, and its latency counts from its due time. A server
//!   that stands still for a second therefore shows a second, and not one slow answer (Tene's "coordinated omission").
//! * Above a maximum of unanswered requests further ones are shed, and each counts as a failure.
//!
//! Runs against live servers and soaks share this loop. Deliberately not here: the soak's closed loop, which sends the
//! next request after an answer to find the peak, and the demo's pace, which is for people to watch.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::clock::RunStopwatch;

/// Pause between two looks at the stop signal.
const LOOK: Duration = Duration::from_millis(100);

/// Requests and answers of an open loop.
pub trait OpenLoop {
    /// The answer to a request.
    type Answer;

    /// Returns the due time of the next request since the stopwatch started, or `None` if nothing is due before the
    /// next answer.
    fn next_at(&self) -> Option<Duration>;

    /// Sends everything that is due by `now`. Must not block.
    fn send(&mut self, now: Duration);

    /// Takes an answer.
    fn take_answer(&mut self, answer: Self::Answer);

    /// Forgets everything that is not sent yet.
    fn stop(&mut self);

    /// Returns whether nothing is due any more and no further answer matters.
    fn over(&self) -> bool;
}

/// Runs a loop until it is over, or until it is stopped and over.
///
/// Blocks, and needs a thread of its own: a runtime's timer has a resolution of a millisecond, which is longer than a
/// decision takes.
pub fn open_loop<P: OpenLoop>(
    play: &mut P,
    answers: &Receiver<P::Answer>,
    stopwatch: RunStopwatch,
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
                play.take_answer(answer);
                // Further answers that are there by now cost no more waiting.
                for answer in answers.try_iter() {
                    play.take_answer(answer);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            // The loop itself holds a sender. Without one only time brings anything.
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

        fn take_answer(&mut self, answer: usize) {
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
    fn everything_is_sent_without_answers_and_answers_are_awaited() {
        let (mut play, answers) = three();
        open_loop(&mut play, &answers, RunStopwatch::start(), &CancellationToken::new());
        assert_eq!((play.sent, play.taken), (3, vec![0, 1, 2]));
    }

    #[test]
    fn a_stopped_loop_sends_nothing_more() {
        let (mut play, answers) = three();
        let stop = CancellationToken::new();
        stop.cancel();
        open_loop(&mut play, &answers, RunStopwatch::start(), &stop);
        assert_eq!((play.sent, play.taken), (0, vec![]));
    }
}
