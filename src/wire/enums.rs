//! Enumerations of the domain and their counterparts in the API, each pair in one place.

use super::{decode::FieldResult, proto};
use crate::{
    bandit::{ClickModel, Expansion, Link, Sharing},
    engine::{AlertKind, DraftState, Fallback, Reason, SeriesStep, SlotStage, ValueType},
    slot::{
        Aggregation, Consent, ExplorationPreset, FieldError, JoinRule, KindRole, Learning, OnError, ProfileFeatures,
        SilenceRule, SlotKind, Unavailable,
    },
};

/// Enumeration of the domain that has a counterpart in the API.
///
/// Value 0 of the counterpart stands for an unset field, so it is `None` here.
pub(crate) trait ApiEnum: Copy + 'static {
    /// Name of the counterpart with its article, for errors.
    const NAME: &'static str;

    /// All values.
    const ALL: &'static [Self];

    /// Number of the value in the API.
    fn number(self) -> i32;

    /// Returns the value of a number, or `None` if the number is 0 or unknown.
    fn from_number(number: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.number() == number)
    }
}

/// Returns the number of a value, or 0 for `None`.
pub(crate) fn encode_enum<E: ApiEnum>(value: Option<E>) -> i32 {
    value.map_or(0, E::number)
}

/// Decodes a number. Returns `None` for 0.
///
/// # Errors
///
/// If the API has no value with this number. The error names `field`.
pub(crate) fn decode_enum<E: ApiEnum>(field: &str, number: i32) -> FieldResult<Option<E>> {
    match E::from_number(number) {
        None if number != 0 => Err(FieldError::new(field, format!("{number} is not {}", E::NAME))),
        value => Ok(value),
    }
}

/// Pairs an enumeration with the counterpart whose values have the same names.
macro_rules! same_names {
    ($domain:ident, $message:ident, $name:literal, [$($value:ident),+]) => {
        impl ApiEnum for $domain {
            const NAME: &'static str = $name;
            const ALL: &'static [Self] = &[$(Self::$value),+];

            fn number(self) -> i32 {
                match self {
                    $(Self::$value => proto::$message::$value,)+
                }
                .into()
            }
        }
    };
}

same_names!(SlotKind, SlotKind, "a SlotKind", [Offer, Ranking, Block]);
same_names!(Consent, Consent, "a Consent", [Full, SessionOnly, None]);
same_names!(Unavailable, UnavailableBecause, "an UnavailableBecause", [Paused, OutOfStock]);
same_names!(Aggregation, Aggregation, "an Aggregation", [Sum, Max, Last]);
same_names!(KindRole, KindRole, "a KindRole", [Click, Conversion, Revenue, Refund, Guardrail]);
same_names!(JoinRule, JoinRule, "a JoinRule", [Item, Any]);
same_names!(ProfileFeatures, ProfileFeatures, "a ProfileFeatures", [All, Session, None]);
same_names!(DraftState, DraftState, "a DraftState", [Open, Approved, Scheduled, Stale, Expired, Applied, Discarded]);
same_names!(SeriesStep, TimeStep, "a TimeStep", [FiveMinutes, Hour, Day]);
same_names!(ValueType, ValueType, "a ValueType", [Number, Word, Flag, Words, Vector]);
same_names!(
    AlertKind,
    AlertKind,
    "an AlertKind",
    [
        EventStopped,
        FeatureVanished,
        FeatureChangedType,
        FeatureChangedScale,
        CalibrationDrift,
        SampleRatioMismatch,
        OneTakesAll,
        SegmentWorseThanHoldout,
        FloorsAboveOne,
        ClientWithoutEvents
    ]
);
same_names!(Learning, Learning, "a Learning", [Eager, AtClose]);
same_names!(SilenceRule, SilenceRule, "a SilenceRule", [Every, Shown]);
same_names!(ClickModel, ClickModel, "a ClickModel", [None, PositionBased, Cascade]);
same_names!(Link, Link, "a Link", [Identity, Logit]);
same_names!(Expansion, Expansion, "an Expansion", [None, Interactions, Fourier]);
same_names!(Sharing, Sharing, "a Sharing", [Disjoint, Opposed, Shared]);
same_names!(OnError, OnError, "an OnError", [Ignore, Exclude]);
same_names!(ExplorationPreset, ExplorationPreset, "an ExplorationPreset", [Cautious, Balanced, Curious, EvenSplit]);
same_names!(Fallback, Fallback, "a Fallback", [NoEligibleArm, SafeChoice, Model, Deadline]);

impl ApiEnum for Reason {
    const NAME: &'static str = "a Reason";
    const ALL: &'static [Self] = &[
        Self::BestGuess,
        Self::Exploring,
        Self::Floor,
        Self::Rule,
        Self::Holdout,
        Self::Sticky,
        Self::Fallback,
        Self::Shadow,
    ];

    fn number(self) -> i32 {
        match self {
            Self::BestGuess => proto::Reason::BestGuess,
            Self::Exploring => proto::Reason::Exploring,
            Self::Floor => proto::Reason::Floor,
            Self::Rule => proto::Reason::Rule,
            Self::Holdout => proto::Reason::Holdout,
            Self::Sticky => proto::Reason::Sticky,
            Self::Fallback => proto::Reason::Fallback,
            Self::Shadow => proto::Reason::Shadow,
        }
        .into()
    }
}

impl ApiEnum for SlotStage {
    const NAME: &'static str = "a SlotStatus";
    const ALL: &'static [Self] = &Self::ALL;

    fn number(self) -> i32 {
        match self {
            Self::NeedsAttention => proto::SlotStatus::NeedsAttention,
            Self::Shadow => proto::SlotStatus::Shadow,
            Self::WarmingUp => proto::SlotStatus::WarmingUp,
            Self::Confident => proto::SlotStatus::Confident,
            Self::Leading => proto::SlotStatus::Leading,
            Self::WhoWantsWhat => proto::SlotStatus::WhoWantsWhat,
            Self::Settled => proto::SlotStatus::Settled,
            Self::NoDifference => proto::SlotStatus::NoDifference,
            Self::Learning => proto::SlotStatus::Learning,
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<E: ApiEnum + PartialEq + std::fmt::Debug>(values: usize) {
        assert_eq!(E::ALL.len(), values, "{}", E::NAME);
        for &value in E::ALL {
            assert_eq!(E::from_number(value.number()), Some(value));
            assert_ne!(value.number(), 0);
        }
        assert_eq!(decode_enum::<E>("field", 0), Ok(None));
        let error = decode_enum::<E>("field", 99).unwrap_err().to_string();
        assert_eq!(error, format!("field: 99 is not {}", E::NAME));
    }

    #[test]
    fn every_value_survives_its_number_and_an_unknown_number_is_refused() {
        check::<SlotKind>(3);
        check::<Consent>(3);
        check::<Unavailable>(2);
        check::<Aggregation>(3);
        check::<KindRole>(5);
        check::<JoinRule>(2);
        check::<ProfileFeatures>(3);
        check::<SeriesStep>(3);
        check::<ValueType>(5);
        check::<AlertKind>(10);
        check::<Learning>(2);
        check::<ClickModel>(3);
        check::<SilenceRule>(2);
        check::<Link>(2);
        check::<Expansion>(3);
        check::<Sharing>(3);
        check::<OnError>(2);
        check::<ExplorationPreset>(4);
        check::<Fallback>(4);
        check::<Reason>(8);
        check::<SlotStage>(9);
    }
}
