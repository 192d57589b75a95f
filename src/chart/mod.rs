//! Charts as SVG, each with its numbers as a table, for the console and the simulator's pages.
//!
//! * [`markup`]: a writer of well-formed markup that escapes every text.
//! * [`number`]: numbers as text for people, and round numbers along an axis.
//! * [`plot`]: axes, which turn numbers into places.
//! * [`figure`]: a drawing with its title, legend and table.
//!
//! Deliberately not here: what is drawn.
#![expect(clippy::disallowed_methods, reason = "logarithms and powers that only place ticks and digits for people")]

pub mod figure;
pub mod markup;
pub mod number;
pub mod plot;

/// Style of pages with charts, in light and dark.
pub const STYLE: &str = include_str!("page.css");
