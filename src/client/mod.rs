//! The Rust client of the service.
//!
//! A [`Client`] connects to a running Slotwise, asks for decisions and reports rewards. Slots, arms and
//! requests are the library's own validated types, so a request that cannot be valid fails before it is sent.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use slotwise::{
//!     client::{Client, RewardEvent, RewardStatus},
//!     engine::Request,
//!     slot::SlotId,
//! };
//!
//! let mut client = Client::connect("127.0.0.1:50051").await?;
//! let decision = client.decide(&Request::new(SlotId::parse("slot", "offers")?)).await?;
//! let (arm, propensity) = &decision.arms[0];
//! println!("show {arm}, drawn with probability {propensity}");
//!
//! let click = RewardEvent {
//!     event_id: format!("click-{}", decision.id),
//!     decision_id: decision.id.clone(),
//!     arm_id: arm.clone(),
//!     kind: "click".into(),
//!     value: None,
//! };
//! assert_eq!(client.record(vec![click]).await?, [RewardStatus::Accepted]);
//! # Ok(())
//! # }
//! ```
//!
//! Deliberately not here: retries. [`ClientError::retry_after`] says when the same call is worth another try.

pub use crate::wire::{
    Calling as CallOptions, Client, ClientDecision as Decision, ClientError, ClientExplanation as Explanation,
    ClientPreview as Preview, ClientRevision as Revision, ClientReward as RewardEvent, ClientSlot as SlotSummary,
    Mark as CallInterceptor, RewardStatus,
};
