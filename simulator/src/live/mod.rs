//! A scenario against a live server, over gRPC, by the wall clock.
//!
//! * [`Options`]: the server, how fast the shop's time goes by there, and what the slots are called.
//! * [`Scale`]: from the shop's time to the wall clock's, and the slots' own times with it.
//! * `slots`: slots are made for each policy and replication, and go again; whatever is not for simulation is left alone.
//! * `play`, `answers`: one replication: visits at times that were laid down, answers as they come.
//! * `catalogues`: what was on the catalogue when a server decided, as far as anybody can say.
//!
//! Invariants: when shoppers come follows from the scenario, the seed and the scale alone, never from an answer
//! ([`crate::load::pace`]); every request says that it is simulated; what a replication made on the server it takes
//! away, however it ended, a panic among that, unless it is to be kept; every request has a deadline, so a run ends.
//!
//! Deliberately not here: what is counted of a policy, which is the arena's; draws, which are the server's own.

mod answers;
mod calls;
mod catalogues;
mod play;
mod run;
mod scale;
mod slots;

use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

use hdrhistogram::CreationError;
use slotwise::{
    slot::SlotId,
    wire::{Calling, Client, ClientError},
};
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use run::{LiveRunError, run_live};
pub use scale::{RATE, Scale, Tempo};
pub use slots::prefix;

use crate::{
    load::{BACKLOG_MAX, CONNECTIONS, PATIENCE},
    run::episode::{EpisodeError, Setup},
    scenario::{FaultKind, Problem},
};

/// How a server is played against.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveOptions {
    /// Its address, `http://host:port`.
    pub target: String,
    /// How fast; none: [`RATE`] decisions per second, or fewer where the slot's own times would get too short.
    pub tempo: Option<Tempo>,
    /// What the slots' ids begin with; none: [`prefix`] says it.
    pub slots: Option<String>,
    /// Delete slots of the same ids first, if they are for simulated traffic.
    pub replace: bool,
    /// Leave the slots when done.
    pub keep: bool,
    /// Replications at the same time, which share the rate.
    pub at_once: NonZeroUsize,
    /// Unanswered requests of a replication at most; a visit for which there is no room is asked of no policy.
    pub backlog_max: NonZeroUsize,
}

impl LiveOptions {
    /// One replication after the other against the server at `target`.
    pub fn new(target: impl Into<String>) -> Self {
        let (target, at_once) = (target.into(), NonZeroUsize::MIN);
        let backlog_max = NonZeroUsize::new(BACKLOG_MAX).unwrap_or(NonZeroUsize::MIN);
        Self { target, tempo: None, slots: None, replace: false, keep: false, at_once, backlog_max }
    }
}

/// Why a live server could not be played against.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A call that no shopper makes did not succeed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A slot of this id is not ours.
    #[error(
        "slot '{0}' is there and not for simulated traffic (controls.simulated), so it is left alone; choose other names with --slot"
    )]
    Foreign(SlotId),
    /// A slot of this id is left from an earlier run, or another run's.
    #[error(
        "slot '{0}' is there, for simulated traffic, from an earlier run or another one; replace it with --replace, or choose other names with --slot"
    )]
    Exists(SlotId),
    /// A slot could not be made or changed.
    #[error("slot '{slot}': {why}")]
    Slot {
        /// Which.
        slot: SlotId,
        /// Why.
        why: ClientError,
    },
    /// The server refuses what a shop sends.
    #[error("slot '{slot}', decision {index}: {why}")]
    Refused {
        /// Which.
        slot: SlotId,
        /// When.
        index: u64,
        /// Why.
        why: ClientError,
    },
    /// The server no longer answers.
    #[error("the server has answered nothing for {seconds} s ({why}); is it still there?", seconds = answers::SILENCE.as_secs())]
    Silent {
        /// What came instead of an answer.
        why: ClientError,
    },
    /// The environment cannot be made.
    #[error(transparent)]
    Episode(#[from] EpisodeError),
    /// There is no histogram.
    #[error("latencies cannot be counted: {0}")]
    Histogram(#[from] CreationError),
}

/// A live server that scenarios can be played against.
#[derive(Debug)]
pub struct LiveServer {
    options: LiveOptions,
    scale: Scale,
    runtime: Handle,
    /// For slots and reports.
    admin: Client,
    /// For shoppers.
    lines: Vec<Client>,
    tasks: TaskTracker,
    stop: CancellationToken,
    notes: Mutex<Vec<String>>,
}

/// What of a scenario a live server cannot do.
///
/// # Errors
///
/// Where it cannot be left out without changing what the scenario is about.
pub fn playable(setup: &Setup<'_>) -> Result<(), Problem> {
    let restart = |fault: &&crate::scenario::Fault| fault.kind == FaultKind::Restart;
    if setup.scenario.faults.iter().any(|fault| restart(&fault)) {
        let message =
            "a live server is not restarted from here; run it in process, or leave faults out with --set faults=[]";
        return Err(Problem::new("faults", message));
    }
    Ok(())
}

impl LiveServer {
    /// Connects, and sees that no slot of theirs is in the way. Blocks; `stop` ends what is played early.
    ///
    /// # Errors
    ///
    /// See [`LiveError`].
    pub fn open(
        options: LiveOptions,
        scale: Scale,
        setup: &Setup<'_>,
        runtime: &Handle,
        stop: CancellationToken,
    ) -> Result<Self, LiveError> {
        let calling = Calling { simulated: true, patience: Some(PATIENCE) };
        let connect = async {
            let admin = Client::connect_as(&options.target, calling).await?;
            let mut lines = Vec::new();
            for _ in 0..CONNECTIONS {
                lines.push(Client::connect_as(&options.target, calling).await?);
            }
            Ok::<_, ClientError>((admin, lines))
        };
        let (admin, lines) = runtime.block_on(connect)?;
        let (tasks, notes) = (TaskTracker::new(), Mutex::new(Vec::new()));
        let live = Self { options, scale, runtime: runtime.clone(), admin, lines, tasks, stop, notes };
        live.clear_the_way(setup)?;
        Ok(live)
    }

    /// How it is played.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// Whether it was told to stop.
    pub fn stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Ends what is played early.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// What there is to say beside numbers.
    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, note: String) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }

    /// The connection of visit `index`: each in its turn.
    fn line(&self, index: u64) -> Client {
        // A remainder of a small number; there is at least one.
        let at = usize::try_from(index % CONNECTIONS).unwrap_or_default();
        self.lines.get(at).unwrap_or(&self.admin).clone()
    }
}
