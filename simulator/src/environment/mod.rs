//! The environment of scenarios, which the library has: see [`slotwise::environment`]. Its tests are here, since they
//! need the shipped scenarios.

#[cfg(test)]
mod tests;

pub use slotwise::environment::{
    Coins, Environment, EnvironmentArm, FunnelPath, Purpose, ShopperOutcome, Traffic, Truth, Visit, draw_delay, groups,
    needs, reward, reward_bounds, value,
};
