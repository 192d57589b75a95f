//! What came of a run, as files, for people and for other programs: from [`RunReport`](crate::report::RunReport) to text.
//!
//! * [`markdown`]: a comment on a pull request: the verdict first, details folded.
//! * [`junit`]: what CI systems read: a test case per check.
//! * [`html`]: one page that needs nothing else, to show a colleague.
//!
//! Invariants: every output is a pure function of the report, so equal reports give equal bytes; no name out of a
//! scenario is ever taken for markup; what is not known is shown as "–" and never as 0.
//!
//! Deliberately not here: where an output goes; the terminal's tables; and the JSON, which is the report itself
//! ([`RunReport::json`](crate::report::RunReport::json)).

pub mod html;
pub mod junit;
pub mod markdown;
mod markup;
mod number;
mod phrase;
#[cfg(test)]
mod sample;
