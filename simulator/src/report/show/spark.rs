//! Curves as a line of bars.

/// Bars from the lowest to the highest.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A curve as at most `width` bars between `low` and `high`. Neighbours are averaged, and a gap is a blank.
pub fn sparkline(values: &[Option<f64>], low: f64, high: f64, width: usize) -> String {
    let bars = width.min(values.len());
    (0..bars)
        .map(|i| {
            let part = &values[i * values.len() / bars..(i + 1) * values.len() / bars];
            let known: Vec<f64> = part.iter().flatten().copied().collect();
            if known.is_empty() {
                return ' ';
            }
            let mean = known.iter().sum::<f64>() / known.len() as f64;
            let height = if high > low { ((mean - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number from 0 to 7")]
            let step = (height * (BARS.len() - 1) as f64).round() as usize;
            BARS[step.min(BARS.len() - 1)]
        })
        .collect()
}

/// A bar of at most `width` blocks, whose length is the place of `value` between `low` and `high`.
pub fn bar(value: f64, low: f64, high: f64, width: usize) -> String {
    let part = if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 1.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the width")]
    let blocks = (part * width as f64).round() as usize;
    "█".repeat(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_between_low_and_high() {
        let values: Vec<Option<f64>> = [0.0, 1.0, 2.0, 3.5, 7.0].map(Some).to_vec();
        assert_eq!(sparkline(&values, 0.0, 7.0, 10), "▁▂▃▅█");
        assert_eq!(sparkline(&values, 0.0, 0.0, 10), "▁▁▁▁▁");
        assert_eq!(sparkline(&[Some(0.0), Some(7.0), None, None], 0.0, 7.0, 2), "▅ ");
        assert_eq!(sparkline(&[], 0.0, 1.0, 5), "");
    }

    #[test]
    fn a_bar_is_as_long_as_its_value() {
        assert_eq!(bar(5.0, 0.0, 10.0, 8), "████");
        assert_eq!(bar(-1.0, 0.0, 10.0, 8), "");
        assert_eq!(bar(1.0, 1.0, 1.0, 2), "██");
    }
}
