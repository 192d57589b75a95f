//! Names of the enumerations that documents, differences and reports write as words.
//!
//! Every layer that needs such a word takes it from here, so that each value has one name.

use super::{Aggregation, Consent, ExplorationPreset, Learning, Mode, OnError, SlotKind, Unavailable};
use crate::bandit::ClickModel;

/// Enumeration whose values have a name of one word each.
pub trait Named: Copy + 'static {
    /// All values, in the order of their declaration.
    const ALL: &'static [Self];

    /// Name of the value in snake case.
    fn name(self) -> &'static str;

    /// Returns the value of this name, or `None` if there is none.
    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.name() == name)
    }
}

impl Named for Unavailable {
    const ALL: &'static [Self] = &[Self::Paused, Self::OutOfStock];

    fn name(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::OutOfStock => "out_of_stock",
        }
    }
}

impl Named for SlotKind {
    const ALL: &'static [Self] = &[Self::Offer, Self::Ranking, Self::Block];

    fn name(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::Ranking => "ranking",
            Self::Block => "block",
        }
    }
}

impl Named for Consent {
    const ALL: &'static [Self] = &[Self::Full, Self::SessionOnly, Self::None];

    fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::SessionOnly => "session_only",
            Self::None => "none",
        }
    }
}

impl Named for ExplorationPreset {
    const ALL: &'static [Self] = &[Self::Cautious, Self::Balanced, Self::Curious, Self::EvenSplit];

    fn name(self) -> &'static str {
        match self {
            Self::Cautious => "cautious",
            Self::Balanced => "balanced",
            Self::Curious => "curious",
            Self::EvenSplit => "even_split",
        }
    }
}

impl Named for OnError {
    const ALL: &'static [Self] = &[Self::Ignore, Self::Exclude];

    fn name(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Exclude => "exclude",
        }
    }
}

impl Named for ClickModel {
    const ALL: &'static [Self] = &[Self::None, Self::PositionBased, Self::Cascade];

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::PositionBased => "position_based",
            Self::Cascade => "cascade",
        }
    }
}

impl Named for Aggregation {
    const ALL: &'static [Self] = &[Self::Sum, Self::Max, Self::Last];

    fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Max => "max",
            Self::Last => "last",
        }
    }
}

impl Named for Learning {
    const ALL: &'static [Self] = &[Self::Eager, Self::AtClose];

    fn name(self) -> &'static str {
        match self {
            Self::Eager => "eager",
            Self::AtClose => "at_close",
        }
    }
}

impl Mode {
    /// Name of the mode without its parameter.
    pub fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Shadow => "shadow",
            Self::Test(_) => "test",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<E: Named + PartialEq + std::fmt::Debug>() {
        for &value in E::ALL {
            assert_eq!(E::from_name(value.name()), Some(value));
        }
        assert_eq!(E::from_name(""), None);
    }

    #[test]
    fn every_value_is_found_by_its_own_name() {
        check::<SlotKind>();
        check::<Consent>();
        check::<ExplorationPreset>();
        check::<OnError>();
        check::<ClickModel>();
        check::<Aggregation>();
        check::<Learning>();
    }
}
