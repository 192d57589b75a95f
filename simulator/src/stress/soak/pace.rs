//! Sender of the soak's requests: at planned times (the open loop of [`crate::load::pace`]), or as fast as answers
//! arrive (closed loop).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Sender, channel},
    },
    time::Duration,
};

use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    calls::SoakCaller,
    schedule::{DueRequest, RequestSchedule},
    shop::Click,
};
use crate::{
    clock::RunStopwatch,
    load::{
        SHED,
        pace::{OpenLoop, open_loop},
    },
};

/// The click that a decision's answer led to, with its due time and the number of the decision.
type FollowingClick = Option<(Duration, u64, Click)>;

/// Inputs of an open loop.
#[derive(Debug)]
pub struct SoakLoop {
    /// Due times of decisions and clicks.
    pub schedule: RequestSchedule,
    /// Caller that sends and counts.
    pub caller: Arc<SoakCaller>,
    /// Stopwatch of the due times.
    pub stopwatch: RunStopwatch,
    /// Greatest number of unanswered requests.
    pub backlog_max: usize,
    /// Requests in flight.
    pub tasks: TaskTracker,
    /// Signal that ends the loop early.
    pub stop: CancellationToken,
}

impl SoakLoop {
    /// Sends every request, or stops at the signal. Blocks until then. `tasks` still waits for the last answers.
    pub fn run(self, runtime: &Handle) {
        let (sender, brought) = channel::<FollowingClick>();
        let (stopwatch, stop) = (self.stopwatch, self.stop.clone());
        open_loop(&mut RequestSender { pace: self, runtime, sender, deciding: 0 }, &brought, stopwatch, &stop);
    }
}

struct RequestSender<'a> {
    pace: SoakLoop,
    runtime: &'a Handle,
    sender: Sender<FollowingClick>,
    /// Number of decisions that may still lead to a click.
    deciding: u64,
}

impl OpenLoop for RequestSender<'_> {
    type Answer = FollowingClick;

    fn next_at(&self) -> Option<Duration> {
        self.pace.schedule.next_at()
    }

    fn send(&mut self, now: Duration) {
        while let Some((at, due)) = self.pace.schedule.take_due(now) {
            self.send_one(at, due);
        }
    }

    fn take_answer(&mut self, brought: FollowingClick) {
        self.deciding -= 1;
        if let Some((at, k, click)) = brought.filter(|_| !self.pace.stop.is_cancelled()) {
            self.pace.schedule.add(at, k, click);
        }
    }

    fn stop(&mut self) {
        self.pace.schedule.clear();
    }

    fn over(&self) -> bool {
        self.deciding == 0 && self.pace.schedule.next_at().is_none()
    }
}

impl RequestSender<'_> {
    fn send_one(&mut self, at: Duration, due: DueRequest) {
        let pace = &self.pace;
        let (caller, stopwatch) = (Arc::clone(&pace.caller), pace.stopwatch);
        let full = pace.tasks.len() >= pace.backlog_max;
        match due {
            DueRequest::Decision(_) if full => caller.decide.failed(SHED),
            DueRequest::Click(..) if full => caller.record.failed(SHED),
            DueRequest::Decision(k) => {
                self.deciding += 1;
                let brought = self.sender.clone();
                let decide = async move {
                    let click = caller.decide(k, stopwatch, at).await;
                    // The loop holds the receiver until every decision was answered.
                    let _ = brought.send(click.map(|click| (stopwatch.elapsed() + click.after, k, click)));
                };
                pace.tasks.spawn_on(decide, self.runtime);
            }
            DueRequest::Click(k, click) => {
                pace.tasks.spawn_on(async move { caller.click(k, click, stopwatch, at).await }, self.runtime);
            }
        }
    }
}

/// Runs a closed loop: `in_flight` shoppers repeatedly decide and perhaps click at once, for `duration`. Returns the
/// time that this took.
///
/// A click is answered when it is durable and learned, so shoppers who click wait for the server's learning. The result
/// is therefore the rate that the server can sustain.
pub async fn closed_loop(
    caller: &Arc<SoakCaller>,
    in_flight: usize,
    duration: Duration,
    stop: &CancellationToken,
) -> Duration {
    let (next, stopwatch) = (Arc::new(AtomicU64::new(0)), RunStopwatch::start());
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
