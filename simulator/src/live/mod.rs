//! A scenario against a live server, over gRPC, by the wall clock.
//!
//! * [`LiveOptions`]: the server, the pace, and the names of the slots.
//! * [`Scale`]: conversion from the shop's time to the wall clock's, and of the slots' own times.
//! * `slots`: slots that are created for each policy and replication and deleted again. Slots that are not for
//!   simulation are left alone.
//! * `play`, `answers`: one replication: visits at fixed times, and answers as they come.
//! * `catalogues`: the arms that a server could have shown when it decided.
//! * [`run_live`]: replications over threads, then one report.
//!
//! Invariants:
//!
//! * The scenario, the seed and the scale alone say when shoppers come, never an answer ([`crate::load::pace`]).
//! * Every request says that it is simulated.
//! * A replication deletes what it created on the server, however it ended, even by a panic, unless it is to be kept.
//! * Every request has a deadline, so a run ends.
//!
//! Deliberately not here: the counts of a policy, which are the episode's, and draws, which are the server's own.

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
    client::{CallOptions, Client, ClientError},
    slot::SlotId,
};
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use run::{LiveRunError, run_live};
pub use scale::{RATE, Scale, Tempo};
pub use slots::prefix;

use crate::{
    load::{BACKLOG_MAX, CONNECTIONS, PATIENCE},
    run::episode::{EpisodeError, Setup},
    scenario::{EventReports, FaultKind, Metric, Problem},
};

/// The server, the pace, and the names of the slots.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveOptions {
    /// The server's address, `http://host:port`.
    pub target: String,
    /// The pace. `None` means [`RATE`] decisions per second, or fewer if the slot's own times would get too short.
    pub tempo: Option<Tempo>,
    /// Beginning of the slots' ids, or `None` for the one that [`prefix`] returns.
    pub slots: Option<String>,
    /// True if existing slots of the same ids are deleted first, if they are for simulated traffic.
    pub replace: bool,
    /// True if the slots stay when the run is done.
    pub keep: bool,
    /// Replications at the same time. They share the rate.
    pub at_once: NonZeroUsize,
    /// Maximum of unanswered requests of a replication. A visit beyond it is asked of no policy.
    pub backlog_max: NonZeroUsize,
}

impl LiveOptions {
    /// Returns options for one replication after the other against the server at `target`.
    pub fn new(target: impl Into<String>) -> Self {
        let (target, at_once) = (target.into(), NonZeroUsize::MIN);
        let backlog_max = NonZeroUsize::new(BACKLOG_MAX).unwrap_or(NonZeroUsize::MIN);
        Self { target, tempo: None, slots: None, replace: false, keep: false, at_once, backlog_max }
    }
}

/// Reason why a run against a live server failed.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A call that no shopper makes failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A slot of this id exists and is not for simulation.
    #[error(
        "slot '{0}' is there and not for simulated traffic (controls.simulated), so it is left alone; choose other names with --slot"
    )]
    Foreign(SlotId),
    /// A slot of this id is left from an earlier run, or belongs to another run.
    #[error(
        "slot '{0}' is there, for simulated traffic, from an earlier run or another one; replace it with --replace, or choose other names with --slot"
    )]
    Exists(SlotId),
    /// A slot could not be created or changed.
    #[error("slot '{slot}': {why}")]
    Slot {
        /// The slot's id.
        slot: SlotId,
        /// The cause.
        why: ClientError,
    },
    /// The server refuses a shop's request.
    #[error("slot '{slot}', decision {index}: {why}")]
    Refused {
        /// The slot's id.
        slot: SlotId,
        /// The step's index.
        index: u64,
        /// The cause.
        why: ClientError,
    },
    /// The server no longer answers.
    #[error("the server has answered nothing for {seconds} s ({why}); is it still there?", seconds = answers::SILENCE.as_secs())]
    Silent {
        /// The last failure.
        why: ClientError,
    },
    /// The environment cannot be built.
    #[error(transparent)]
    Episode(#[from] EpisodeError),
    /// A histogram of latencies cannot be built.
    #[error("latencies cannot be counted: {0}")]
    Histogram(#[from] CreationError),
}

/// A live server that scenarios can be played against.
#[derive(Debug)]
pub struct LiveServer {
    options: LiveOptions,
    scale: Scale,
    runtime: Handle,
    /// Connection for slots and reports.
    admin: Client,
    /// Connections for shoppers.
    lines: Vec<Client>,
    tasks: TaskTracker,
    stop: CancellationToken,
    notes: Mutex<Vec<String>>,
}

/// Refuses scenarios that cannot be played against a live server.
///
/// # Errors
///
/// Returns a problem if a part of the scenario cannot be left out without changing its subject.
pub fn playable(setup: &Setup<'_>) -> Result<(), Problem> {
    let restart = |fault: &&crate::scenario::Fault| fault.kind == FaultKind::Restart;
    if setup.scenario.faults.iter().any(|fault| restart(&fault)) {
        let message =
            "a live server is not restarted from here; run it in process, or leave faults out with --set faults=[]";
        return Err(Problem::new("faults", message));
    }
    let several_slots = |key: &str| Problem::new(key, "a live server is asked for one slot only; run it in process");
    if !setup.scenario.touchpoints.is_empty() {
        return Err(several_slots("touchpoints"));
    }
    if setup.shops.iter().any(|shop| shop.events == Some(EventReports::Shopper) || shop.bots == Some(false)) {
        return Err(Problem::new("shop", "shopper events and services without bots are played in process only"));
    }
    if setup.scenario.check.iter().any(|check| check.metric == Metric::ClicksToAdapt) {
        return Err(several_slots("check"));
    }
    Ok(())
}

impl LiveServer {
    /// Connects, and makes sure that no slot is in the way. Blocks. `stop` ends the run early.
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
        let call_options = CallOptions { simulated: true, timeout: Some(PATIENCE), ..CallOptions::default() };
        let connect = async {
            let admin = Client::connect_with(&options.target, &call_options).await?;
            let mut lines = Vec::new();
            for _ in 0..CONNECTIONS {
                lines.push(Client::connect_with(&options.target, &call_options).await?);
            }
            Ok::<_, ClientError>((admin, lines))
        };
        let (admin, lines) = runtime.block_on(connect)?;
        let (tasks, notes) = (TaskTracker::new(), Mutex::new(Vec::new()));
        let live = Self { options, scale, runtime: runtime.clone(), admin, lines, tasks, stop, notes };
        live.clear_the_way(setup)?;
        Ok(live)
    }

    /// Returns the conversion of times.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// Returns whether the run was stopped.
    pub fn stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Ends the run early.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Returns remarks for the report.
    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, note: String) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }

    /// Returns the connection of visit `index`. Visits take the connections in turn.
    fn line(&self, index: u64) -> Client {
        // The remainder is small, and there is at least one connection.
        let at = usize::try_from(index % CONNECTIONS).unwrap_or_default();
        self.lines.get(at).unwrap_or(&self.admin).clone()
    }
}
