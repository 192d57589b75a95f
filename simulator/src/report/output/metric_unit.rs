//! Units of metrics, and estimates in them.

use serde::{
    Deserialize as _,
    de::value::{Error, StrDeserializer},
};

use super::number::Unit;
use crate::{report::IntervalEstimate, scenario::Metric};

/// Returns the unit of a metric by its name. An unknown metric has none.
pub(super) fn unit_of(metric: &str) -> Unit {
    let Ok(metric) = Metric::deserialize(StrDeserializer::<Error>::new(metric)) else { return Unit::Plain };
    match metric {
        Metric::Lift
        | Metric::Share
        | Metric::IntervalCoverage
        | Metric::PopulationCoverage
        | Metric::FiguresShown
        | Metric::WhoWantsWhat
        | Metric::RightArm
        | Metric::FalseConfidence
        | Metric::CountedError
        | Metric::FallbackShare => Unit::Part,
        Metric::P99Latency => Unit::Milliseconds,
        Metric::RewardPerDecision
        | Metric::RegretPerDecision
        | Metric::RegretLastTenth
        | Metric::DecisionsToAdapt
        | Metric::ClicksToAdapt
        | Metric::PropensityCalibration => Unit::Plain,
    }
}

/// Returns an estimate and its interval as text.
pub(super) fn show_estimate(unit: Unit, estimate: &IntervalEstimate) -> String {
    unit.show_interval(estimate.mean, estimate.low.zip(estimate.high))
}
