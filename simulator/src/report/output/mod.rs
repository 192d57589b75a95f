//! A run as files for people and for other programs, made from [`RunReport`](crate::report::RunReport).
//!
//! * [`markdown`]: a comment on a pull request, with the verdict first and the details folded.
//! * [`junit`]: XML for CI systems, with a test case for each check.
//! * [`html`]: one page without other files, to show a colleague.
//!
//! Invariants:
//!
//! * Every output is a pure function of the report, so equal reports give equal bytes.
//! * A name from a scenario is never taken for markup.
//! * An unknown number is shown as "–" and never as 0.
//!
//! Deliberately not here: the destination of an output; the terminal's tables; and the JSON, which is the report itself
//! ([`RunReport::json`](crate::report::RunReport::json)).

pub mod html;
pub mod junit;
pub mod markdown;
mod metric_unit;
mod phrase;
#[cfg(test)]
mod sample;

use slotwise::chart::{markup, number};
