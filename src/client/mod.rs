//! The Rust client of the service.
//!
//! A [`Client`] connects to a running Slotwise, asks for decisions, reports rewards, and reads and changes slots.
//! Slots, arms and requests are the library's own validated types, so a request that cannot be valid fails before it
//! is sent.
//!
//! * [`Client::decide`] and [`Client::record_rewards`] are all that a shop needs.
//! * [`Client::create_slot`], [`Client::change_slot`] and their siblings are what `slotwise slots` is made of.
//! * [`Client::draft_change`] and [`Client::approve_draft`] make a change that needs a second person.
//! * [`Client::report`], [`Client::preview_slot`] and [`Client::explain_decision`] read what was learned.
//! * [`Client::record_shopper_events`] reports what shoppers did, once for all slots.
//! * [`Client::upsert_items`] and its siblings keep the catalogue that all slots share.
//! * [`Client::export_subject`] and [`Client::forget_subject`] answer what a person may ask of a shop.
//! * [`Client::import_part`] teaches a slot decisions of the past.
//! * [`CallOptions`] sets a timeout, and marks the shoppers of a client as simulated.
//!
//! This example starts a service on free ports, as `slotwise serve` does, and plays one shopper:
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use slotwise::{
//!     client::{Client, RewardEvent, RewardStatus},
//!     config::Config,
//!     engine::Request,
//!     server::{Listeners, run},
//!     slot::{Arm, ArmId, ChangeReason, Definition, SlotId},
//! };
//! use tokio_util::sync::CancellationToken;
//!
//! # let runtime = tokio::runtime::Runtime::new()?;
//! # runtime.block_on(async {
//! # let folder = tempfile::tempdir()?;
//! let config = Config {
//!     data: folder.path().join("data"),
//!     grpc_address: "127.0.0.1:0".parse()?,
//!     http_address: "127.0.0.1:0".parse()?,
//!     shutdown_delay: Duration::ZERO,
//!     ..Config::default()
//! };
//! let listeners = Listeners::bind(&config).await?;
//! let address = listeners.grpc_address()?.to_string();
//! let stop = CancellationToken::new();
//! let (ready, is_ready) = tokio::sync::oneshot::channel();
//! let server = tokio::spawn({
//!     let stop = stop.clone();
//!     async move { run(listeners, &config, stop, || drop(ready.send(()))).await }
//! });
//! is_ready.await?;
//!
//! let mut client = Client::connect(&address).await?;
//! let slot = SlotId::parse("slot", "offers")?;
//! let mut definition = Definition::new(slot.clone());
//! for id in ["free-shipping", "gift-wrap"] {
//!     definition.arms.push(Arc::new(Arm::new(ArmId::parse("arm", id)?)));
//! }
//! client.create_slot(&definition, &ChangeReason::default(), false).await?;
//!
//! let decision = client.decide(&Request::new(slot)).await?;
//! let (arm, propensity) = &decision.arms[0];
//! assert!((0.0..=1.0).contains(propensity));
//!
//! let click = RewardEvent {
//!     event_id: format!("click-{}", decision.id),
//!     decision_id: decision.id.clone(),
//!     arm_id: arm.clone(),
//!     kind: "click".into(),
//!     value: None,
//! };
//! assert_eq!(client.record_rewards(vec![click]).await?, [RewardStatus::Accepted]);
//! assert_eq!(client.report("offers").await?.counters.decisions, 1);
//!
//! stop.cancel();
//! server.await??;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Deliberately not here: retries. [`ClientError::retry_after`] says when the same call is worth another try.

mod address;
mod changes;
mod connection;
mod drafts;
mod error;
mod events;
mod figures;
mod imports;
mod insight;
mod items;
mod learning;
mod privacy;
mod slots;
mod system;
mod traffic;

pub use address::target_url;
pub use connection::{CallInterceptor, CallOptions, Client};
pub use drafts::{SlotDraftDetails, SlotDraftSummary};
pub use error::ClientError;
pub use events::{EventLine, EventOutcome, EventReport, EventReward, ReportedItem};
pub use figures::{PeriodReport, PolicyBaselines, PolicyComparisonResult, ReportPeriod, SeriesPoint, SeriesSplit};
pub use imports::ImportedSoFar;
pub use insight::{ChangePreview, DecisionExplanation, ExplainedArm};
pub use items::{CatalogueItem, ItemJson};
pub use learning::{ImportedLearning, LearningOrigin};
pub use privacy::{ForgottenListing, SubjectForgotten};
pub use slots::{SlotRevision, SlotSummary};
pub use system::SystemState;
pub use traffic::{Decision, RewardEvent, RewardStatus};
