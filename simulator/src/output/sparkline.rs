//! A curve as a line of bars.

use crate::report::Point;

/// From the lowest to the highest.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Bars of a line: a curve of more points is averaged.
const BARS_MAX: usize = 20;

/// The means as bars: they stand on 0 (or on the lowest, if that is below), and the highest is `top`, which several
/// lines share. Where nothing is known stands a blank.
pub(super) fn sparkline(points: &[Point], top: f64) -> String {
    let known = points.iter().filter_map(|point| point.mean);
    let floor = known.fold(0.0, f64::min);
    let parts = points.len().min(BARS_MAX);
    (0..parts)
        .map(|part| {
            let (from, until) = (part * points.len() / parts, (part + 1) * points.len() / parts);
            mean(points.get(from..until).unwrap_or_default()).map_or(' ', |mean| bar((mean - floor) / (top - floor)))
        })
        .collect()
}

/// The highest of several curves.
pub(super) fn top<'a>(curves: impl Iterator<Item = &'a [Point]>) -> f64 {
    curves.flatten().filter_map(|point| point.mean).fold(0.0, f64::max)
}

/// The mean of what is known.
pub(super) fn mean(points: &[Point]) -> Option<f64> {
    let known: Vec<f64> = points.iter().filter_map(|point| point.mean).collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

/// The bar for a part of the height: the lowest for 0, then equal steps.
fn bar(height: f64) -> char {
    let steps = (BARS.len() - 1) as f64;
    // Not a number, where all is 0: the lowest.
    let step = if height > 0.0 { (height.min(1.0) * steps).ceil() } else { 0.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number from 0 to 7")]
    let step = step as usize;
    BARS.get(step).copied().unwrap_or('█')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(means: &[Option<f64>]) -> Vec<Point> {
        means.iter().map(|mean| Point { mean: *mean, standard_error: None }).collect()
    }

    #[test]
    fn bars_stand_on_zero_and_share_a_top() {
        let falling = points(&[Some(0.7), Some(0.35), None, Some(0.05), Some(0.0)]);
        assert_eq!(sparkline(&falling, 0.7), "█▅ ▂▁");
        assert_eq!(sparkline(&falling, 1.4), "▅▃ ▂▁");
        assert_eq!(sparkline(&points(&[Some(-1.0), Some(0.0), Some(1.0)]), 1.0), "▁▅█");
        assert_eq!(sparkline(&points(&[Some(0.0), Some(0.0)]), 0.0), "▁▁");
        assert_eq!(sparkline(&[], 0.0), "");
    }

    #[test]
    fn long_curves_are_averaged() {
        let line = sparkline(&points(&(0..100).map(|i| Some(f64::from(i))).collect::<Vec<_>>()), 97.0);
        assert_eq!(line, "▂▂▂▃▃▃▄▄▅▅▅▆▆▆▇▇▇███");
    }
}
