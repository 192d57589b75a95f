//! Consistency of numbers that were read from outside, such as a file.
//!
//! Each type says whether it may be the result of observations. Bytes that were damaged or made up can then be refused
//! before anything computes with them.

/// Reason why numbers from outside cannot be the result of observations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Inconsistency(&'static str);

/// Returns an [`Inconsistency`] with this reason unless the condition holds.
///
/// # Errors
///
/// The condition does not hold.
pub fn ensure(holds: bool, why: &'static str) -> Result<(), Inconsistency> {
    if holds { Ok(()) } else { Err(Inconsistency(why)) }
}

/// Returns whether two numbers have the same bits.
pub(super) fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
}

/// Returns whether a number is above zero and finite.
pub fn is_positive(number: f64) -> bool {
    number > 0.0 && number.is_finite()
}
