//! Changes of the truth over time.

use std::f64::consts::TAU;

use super::spec::{DriftCourse, time::Moment};
use crate::stats::math;

/// Returns the level of a drift: 0 to 1, or −1 to 1 if it is seasonal.
pub fn level(course: &DriftCourse, now: Moment) -> f64 {
    match *course {
        DriftCourse::Abrupt { at, until } => {
            f64::from(u8::from(at.reached(now) && until.is_none_or(|until| !until.reached(now))))
        }
        DriftCourse::Gradual { from, until } => {
            let (begin, end) = (from.value(), until.value());
            ((from.scale(now) - begin) / (end - begin)).clamp(0.0, 1.0)
        }
        DriftCourse::Seasonal { period, phase } => math::sin(TAU * (period.scale(now) / period.value() + phase)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::spec::time::{Span, When};

    fn at(index: u64) -> Moment {
        Moment { index, horizon: 100, at_us: index as f64 * 3_600e6 }
    }

    /// Computed by hand, in parts of a horizon of 100 and in hours.
    #[test]
    fn drift_levels_follow_their_shape() {
        let abrupt = DriftCourse::Abrupt { at: When::Part(0.5), until: Some(When::Part(0.75)) };
        for (index, want) in [(49, 0.0), (50, 1.0), (74, 1.0), (75, 0.0)] {
            assert!((level(&abrupt, at(index)) - want).abs() < 1e-12, "{index}");
        }
        let gradual = DriftCourse::Gradual { from: When::Part(0.2), until: When::Part(0.6) };
        for (index, want) in [(0, 0.0), (20, 0.0), (30, 0.25), (60, 1.0), (99, 1.0)] {
            assert!((level(&gradual, at(index)) - want).abs() < 1e-12, "{index}");
        }
        let day = When::After(Span::seconds(24.0 * 3600.0));
        let seasonal = DriftCourse::Seasonal { period: day, phase: 0.25 };
        for (hour, want) in [(0, 1.0), (6, 0.0), (12, -1.0), (24, 1.0)] {
            assert!((level(&seasonal, at(hour)) - want).abs() < 1e-12, "{hour}");
        }
    }
}
