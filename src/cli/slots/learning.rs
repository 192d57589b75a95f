//! Commands about what slots have learned.

use super::{
    super::{CommandResult, Target, say, terminal::printable},
    ChangeNote,
};

/// Flags of `slots clone`.
#[derive(Debug, clap::Args)]
pub(super) struct CloneSlot {
    /// Id of the slot.
    slot: String,
    /// Id of the new slot.
    new_slot: String,
    /// Start without what the slot has learned.
    #[arg(long, conflicts_with = "weight")]
    without_learning: bool,
    /// Weight of each observation of the slot, above 0 and at most 1; its own observations count 1.
    #[arg(long, value_name = "X")]
    weight: Option<f64>,
    #[command(flatten)]
    because: ChangeNote,
    #[command(flatten)]
    target: Target,
}

impl CloneSlot {
    pub(super) async fn run(self) -> CommandResult {
        let Self { slot, new_slot, without_learning, weight, because, target } = self;
        let weight = (!without_learning).then_some(weight.unwrap_or(1.0));
        let mut client = target.connect().await?;
        client.clone_slot(&slot, &new_slot, weight, &because.why("clone")).await?;
        let (slot, new_slot) = (printable(&slot), printable(&new_slot));
        match weight {
            None => say(format_args!("{new_slot} is like {slot}, and has learned nothing")),
            Some(weight) => {
                say(format_args!("{new_slot} is like {slot}, and starts from what it learned (weight {weight})"));
            }
        }
        Ok(())
    }
}

/// Flags of `slots reset-arm`.
#[derive(Debug, clap::Args)]
pub(super) struct ResetArm {
    /// Id of the slot.
    slot: String,
    /// Id of the arm.
    arm: String,
    #[command(flatten)]
    because: ChangeNote,
    #[command(flatten)]
    target: Target,
}

impl ResetArm {
    pub(super) async fn run(self) -> CommandResult {
        let Self { slot, arm, because, target } = self;
        target.connect().await?.reset_arm(&slot, &arm, &because.why("reset-arm")).await?;
        say(format_args!("{} has forgotten what it learned of {}", printable(&slot), printable(&arm)));
        Ok(())
    }
}
