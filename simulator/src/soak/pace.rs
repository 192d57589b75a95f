//! Sends requests: at the times that were laid down (open loop), or as fast as answers come (closed loop).
//!
//! Invariant of the open loop: a request is sent when it is due, however many are unanswered, and its latency
//! counts from when it was due. So a server that stands still for a second shows a second, and not one slow
//! answer (Tene's "coordinated omission"). Beyond a bound of unanswered requests the surplus is shed: a failure
//! that is counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    calls::Caller,
    schedule::{Due, Schedule},
    shop::Click,
};
use crate::clock::Stopwatch;

/// Between two looks at whether the run is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// What a request that is not sent any more counts as.
const SHED: &str = "SHED";

/// A click that an answer brought, with the number of its decision and when it is due.
type Brought = (Duration, u64, Click);

/// An open loop.
#[derive(Debug)]
pub struct Pace {
    /// What is due, and when.
    pub schedule: Schedule,
    /// Calls, and counts.
    pub caller: Arc<Caller>,
    /// The time that counts.
    pub stopwatch: Stopwatch,
    /// Unanswered requests at most.
    pub backlog_max: usize,
    /// Requests that are under way.
    pub tasks: TaskTracker,
    /// Ends it early.
    pub stop: CancellationToken,
}

impl Pace {
    /// Sends until all was sent, or told to stop; the last answers are left to `tasks`.
    ///
    /// Blocks, on a thread of its own: a runtime's timer is a millisecond coarse, more than a decision takes.
    pub fn run(mut self, runtime: &Handle) {
        let (sender, brought) = channel::<Brought>();
        let mut sender = Some(sender);
        loop {
            if self.stop.is_cancelled() {
                self.schedule.clear();
            }
            while let Some((at, due)) = self.schedule.take(self.stopwatch.elapsed()) {
                self.send(at, due, runtime, sender.clone());
            }
            if !self.schedule.decides() {
                // From now on only the decisions that are under way bring clicks.
                sender = None;
            }
            let next = self.schedule.next_at();
            let wait = next.map_or(LOOK, |at| at.saturating_sub(self.stopwatch.elapsed()).min(LOOK));
            match brought.recv_timeout(wait) {
                Ok((at, k, click)) => self.schedule.add(at, k, click),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) if next.is_none() => return,
                Err(RecvTimeoutError::Disconnected) => thread::sleep(wait),
            }
        }
    }

    fn send(&self, at: Duration, due: Due, runtime: &Handle, brought: Option<Sender<Brought>>) {
        let (caller, stopwatch) = (Arc::clone(&self.caller), self.stopwatch);
        let full = self.tasks.len() >= self.backlog_max;
        match due {
            Due::Decision(_) if full => caller.decide.failed(SHED),
            Due::Click(..) if full => caller.record.failed(SHED),
            Due::Decision(k) => {
                let decide = async move {
                    let click = caller.decide(k, stopwatch, at).await;
                    if let (Some(click), Some(brought)) = (click, brought) {
                        // Nobody waits for it once the run was stopped.
                        let _ = brought.send((stopwatch.elapsed() + click.after, k, click));
                    }
                };
                self.tasks.spawn_on(decide, runtime);
            }
            Due::Click(k, click) => {
                self.tasks.spawn_on(async move { caller.click(k, click, stopwatch, at).await }, runtime);
            }
        }
    }
}

/// A closed loop: `in_flight` shoppers for so long, each of whom decides, clicks at once or not, and decides
/// anew. Returns how long it took.
///
/// A click is answered when it is durable and learned, so those who click wait for the server's learning, and
/// what is measured is what the server can keep up.
pub async fn closed_loop(
    caller: &Arc<Caller>,
    in_flight: usize,
    duration: Duration,
    stop: &CancellationToken,
) -> Duration {
    let (next, stopwatch) = (Arc::new(AtomicU64::new(0)), Stopwatch::start());
    let tasks = TaskTracker::new();
    for _ in 0..in_flight {
        let (caller, next, stop) = (Arc::clone(caller), Arc::clone(&next), stop.clone());
        tasks.spawn(async move {
            while stopwatch.elapsed() < duration && !stop.is_cancelled() {
                let k = next.fetch_add(1, Ordering::Relaxed);
                if let Some(click) = caller.decide(k, stopwatch, stopwatch.elapsed()).await {
                    caller.click(k, click, stopwatch, stopwatch.elapsed()).await;
                }
            }
        });
    }
    tasks.close();
    tasks.wait().await;
    stopwatch.elapsed()
}
