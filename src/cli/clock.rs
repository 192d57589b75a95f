//! `slotwise clock`: what to do when the machine's clock and the journal disagree.

use clap::{Args, Subcommand};

use super::{CommandResult, Data, say};
use crate::node::accept_clock;

/// Settle a disagreement between this machine's clock and the journal's time.
#[derive(Debug, Args)]
pub(super) struct ClockCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Confirm that this machine's clock is right. A running service follows it within a second, and a service that starts
    /// next does not ask again. This cannot be undone: reward windows close, and old evidence loses weight.
    Accept(Data),
}

impl ClockCommand {
    pub(super) fn run(self) -> CommandResult {
        let Action::Accept(Data { data }) = self.action;
        let file = accept_clock(&data).map_err(|why| format!("cannot accept the clock: {why}"))?;
        say(format_args!("the clock is accepted: {} tells the service", file.display()));
        Ok(())
    }
}
