//! Enumerations that the journal stores as numbers, each with its numbers in one place.
//!
//! Invariant: a number that was ever written keeps its meaning.

use super::error::DecodeError;
use crate::{
    bandit::{ClickModel, Expansion, Link, Sharing},
    engine::{Fallback, Reason},
    slot::{
        Aggregation, Consent, ExplorationPreset, JoinRule, KindRole, Learning, OnError, ProfileFeatures, SilenceRule,
        SlotKind, Unavailable,
    },
};

/// Enumeration that the journal stores as a number.
pub(super) trait Numbered: Copy + 'static {
    /// Name of the field that holds the number, for errors.
    const FIELD: &'static str;

    /// All values.
    const ALL: &'static [Self];

    /// Number of the value.
    fn number(self) -> u32;

    /// Returns the value of a number.
    fn from_number(number: u32) -> Result<Self, DecodeError> {
        let value = Self::ALL.iter().copied().find(|value| value.number() == number);
        value.ok_or(DecodeError::UnknownNumber { field: Self::FIELD, number })
    }

    /// Returns the value of a number, or `None` for the number `none`, which stands for no value.
    fn from_optional(number: u32, none: u32) -> Result<Option<Self>, DecodeError> {
        if number == none { Ok(None) } else { Self::from_number(number).map(Some) }
    }
}

/// Returns the number of a value, or the number that stands for no value.
pub(super) fn optional_number<E: Numbered>(value: Option<E>, none: u32) -> u32 {
    value.map_or(none, E::number)
}

/// Gives the values of an enumeration their numbers.
macro_rules! numbered {
    ($domain:ident, $field:literal, {$($value:ident = $number:literal),+ $(,)?}) => {
        impl Numbered for $domain {
            const FIELD: &'static str = $field;
            const ALL: &'static [Self] = &[$(Self::$value),+];

            fn number(self) -> u32 {
                match self {
                    $(Self::$value => $number,)+
                }
            }
        }
    };
}

numbered!(SlotKind, "the slot's kind", { Offer = 1, Ranking = 2, Block = 3 });
numbered!(Consent, "the consent", { Full = 1, SessionOnly = 2, None = 3 });
numbered!(Unavailable, "the reason why an arm is not available", { Paused = 1, OutOfStock = 2 });
numbered!(Aggregation, "the aggregation", { Sum = 1, Max = 2, Last = 3 });
numbered!(KindRole, "the role of a kind", { Click = 1, Conversion = 2, Revenue = 3, Refund = 4, Guardrail = 5 });
numbered!(JoinRule, "the rule by which a kind joins", { Item = 1, Any = 2 });
numbered!(ProfileFeatures, "the profile features", { All = 1, Session = 2, None = 3 });
numbered!(Learning, "the moment of learning", { Eager = 0, AtClose = 1 });
numbered!(SilenceRule, "the silence that is learned", { Every = 0, Shown = 1 });
numbered!(ClickModel, "the click model", { None = 0, PositionBased = 1, Cascade = 2 });
numbered!(Link, "the link", { Identity = 0, Logit = 1 });
numbered!(Expansion, "the expansion", { None = 0, Interactions = 1, Fourier = 2 });
numbered!(Sharing, "the sharing", { Disjoint = 0, Opposed = 1, Shared = 2 });
numbered!(OnError, "the meaning of a failing condition", { Ignore = 0, Exclude = 1 });
numbered!(ExplorationPreset, "the exploration preset", { Cautious = 1, Balanced = 2, Curious = 3, EvenSplit = 4 });
numbered!(Fallback, "the fallback", { NoEligibleArm = 1, SafeChoice = 2, Model = 3, Deadline = 4 });
numbered!(Reason, "the reason", {
    BestGuess = 1,
    Exploring = 2,
    Floor = 3,
    Rule = 4,
    Holdout = 5,
    Sticky = 6,
    Fallback = 7,
    Shadow = 8,
});

/// Number of a linear model's link that is chosen by the goal.
pub(super) const LINK_BY_GOAL: u32 = 2;

/// Number of a linear model's sharing that is chosen by the number of arms.
pub(super) const SHARING_BY_ARMS: u32 = 3;
