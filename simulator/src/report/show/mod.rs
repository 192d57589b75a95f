//! Reports and scenarios as text for a terminal.
//!
//! Deliberately not here: files for other programs, which are made from the same [`crate::report::RunReport`].

mod cells;
mod explain;
mod following;
mod live;
mod spark;
mod text;

pub use cells::{percent, with_error};
pub use explain::explain;
pub use live::{latencies, live_notes, pace, quantiles};
pub use spark::{bar, sparkline};
pub use text::{sweep, text};
