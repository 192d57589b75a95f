//! Numbers as text for people.
//!
//! Invariants:
//!
//! * A number with an interval shows two digits of the interval's half width; any other shows four digits.
//! * The same number always gives the same text.

/// Text of an unknown number.
pub const UNKNOWN: &str = "–";

/// Greatest number of decimals.
const DECIMALS_MAX: usize = 9;

/// Unit of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// No unit, or units of the slot's goal.
    Plain,
    /// A part of a whole, shown in percent.
    Part,
    /// Milliseconds.
    Milliseconds,
}

impl Unit {
    /// Factor by which a number is multiplied before it is shown.
    pub fn factor(self) -> f64 {
        if self == Self::Part { 100.0 } else { 1.0 }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Part => " %",
            Self::Milliseconds => " ms",
        }
    }

    /// A number with at most four significant digits, without trailing zeros.
    pub fn show(self, number: f64) -> String {
        let number = number * self.factor();
        let text = fixed(number, decimals_for(number, 4));
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        format!("{text}{}", self.suffix())
    }

    /// A number with this many decimals, such as those of `ticks` for an axis.
    pub fn show_fixed(self, number: f64, decimals: usize) -> String {
        format!("{}{}", fixed(number * self.factor(), decimals), self.suffix())
    }

    /// A number and its interval: "5.1 % (4.2 % to 6.0 %)".
    pub fn show_interval(self, mean: f64, interval: Option<(f64, f64)>) -> String {
        let Some((low, high)) = interval.filter(|(low, high)| low.is_finite() && high.is_finite()) else {
            return self.show(mean);
        };
        if high <= low {
            return self.show(mean);
        }
        let decimals = decimals_for((high - low) / 2.0 * self.factor(), 2);
        let [mean, low, high] = [mean, low, high].map(|number| self.show_fixed(number, decimals));
        format!("{mean} ({low} to {high})")
    }

    /// A number and its standard error, if there is one: "0.123 ± 0.004".
    pub fn show_error(self, mean: f64, standard_error: Option<f64>) -> String {
        match standard_error.filter(|error| *error > 0.0 && error.is_finite()) {
            None => self.show(mean),
            Some(error) => {
                let decimals = decimals_for(error * self.factor(), 2);
                format!("{} ± {}", fixed(mean * self.factor(), decimals), self.show_fixed(error, decimals))
            }
        }
    }
}

/// A whole number with separated thousands.
pub fn count(number: u64) -> String {
    grouped(&number.to_string())
}

/// A count with its noun: "1 check", "2 checks".
pub fn counted(number: usize, word: &str) -> String {
    let number = number as u64;
    format!("{} {word}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A p-value as text.
pub fn p_value(p: f64) -> String {
    if p < 0.0001 { "< 0.0001".to_owned() } else { fixed(p, decimals_for(p, 2).clamp(2, 4)) }
}

fn fixed(number: f64, decimals: usize) -> String {
    if !number.is_finite() {
        return UNKNOWN.to_owned();
    }
    let text = format!("{:.decimals$}", number.abs());
    let (whole, part) = text.split_once('.').map_or((text.as_str(), None), |(whole, part)| (whole, Some(part)));
    let zero = text.bytes().all(|b| matches!(b, b'0' | b'.'));
    let sign = if number < 0.0 && !zero { "−" } else { "" };
    part.map_or_else(|| format!("{sign}{}", grouped(whole)), |part| format!("{sign}{}.{part}", grouped(whole)))
}

fn grouped(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Number of decimals that show `significant` digits of a number.
fn decimals_for(number: f64, significant: i32) -> usize {
    if number == 0.0 || !number.is_finite() {
        return 0;
    }
    let exponent = magnitude(number.abs());
    usize::try_from(significant - 1 - exponent).unwrap_or(0).min(DECIMALS_MAX)
}

/// The exponent of a positive number's first digit.
fn magnitude(number: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "a double's exponents are within ±324")]
    let power = number.log10().floor() as i32;
    power
}

/// Round numbers along an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticks {
    /// Values of the ticks. They reach from the axis's low end or below to its high end or above.
    pub values: Vec<f64>,
    /// Number of decimals that distinguish the ticks, for `Unit::show_fixed`.
    pub decimals: usize,
}

/// Ticks around `low` to `high` in steps of 1, 2 or 5 times a power of ten of the shown unit: `about` steps or somewhat
/// fewer.
pub fn ticks(low: f64, high: f64, about: usize, unit: Unit) -> Ticks {
    let (low, high) = (low * unit.factor(), high * unit.factor());
    // An axis of no length still needs two ends.
    let (low, high) = if high - low > 1e-12 * high.abs().max(low.abs()).max(1e-9) {
        (low, high)
    } else {
        let room = if low == 0.0 { 1.0 } else { low.abs() / 2.0 };
        (low - room, high + room)
    };
    let rough = (high - low) / about.max(1) as f64;
    let power = magnitude(rough);
    let ten = 10_f64.powi(power);
    let step = [1.0, 2.0, 5.0, 10.0].map(|of| of * ten).into_iter().find(|step| *step >= rough * 0.999_999);
    let step = step.unwrap_or(10.0 * ten);
    // A number a hair beyond a tick is on it.
    let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most `about` + 2")]
    let steps = (last - first).max(1.0) as u32;
    let values = (0..=steps).map(|i| (first + f64::from(i)) * step / unit.factor()).collect();
    Ticks { values, decimals: usize::try_from(-magnitude(step * 1.000_001)).unwrap_or(0).min(DECIMALS_MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_shows_four_digits_at_most() {
        for (unit, number, want) in [
            (Unit::Plain, 0.0, "0"),
            (Unit::Plain, -0.000_000_000_01, "0"),
            (Unit::Plain, 0.012_345_6, "0.01235"),
            (Unit::Plain, 0.5, "0.5"),
            (Unit::Plain, -12.345_6, "−12.35"),
            (Unit::Plain, 12_345.6, "12,346"),
            (Unit::Plain, 1000.0, "1,000"),
            (Unit::Plain, f64::NAN, UNKNOWN),
            (Unit::Part, 0.051_23, "5.123 %"),
            (Unit::Part, 1.0, "100 %"),
            (Unit::Milliseconds, 1.25, "1.25 ms"),
        ] {
            assert_eq!(unit.show(number), want);
        }
    }

    #[test]
    fn an_interval_shows_two_digits_of_its_half_width() {
        let show = |unit: Unit, mean, low, high| unit.show_interval(mean, Some((low, high)));
        assert_eq!(show(Unit::Plain, 0.421_34, 0.418_71, 0.423_92), "0.4213 (0.4187 to 0.4239)");
        assert_eq!(show(Unit::Part, 0.051_2, 0.0421, 0.0603), "5.12 % (4.21 % to 6.03 %)");
        assert_eq!(show(Unit::Plain, 1834.2, 1702.0, 1966.0), "1,834 (1,702 to 1,966)");
        assert_eq!(show(Unit::Plain, -0.5, -1.5, 0.5), "−0.5 (−1.5 to 0.5)");
        assert_eq!(Unit::Plain.show_interval(0.25, None), "0.25");
        assert_eq!(show(Unit::Part, 0.0, 0.0, 0.0), "0 %", "an interval of no width is none");
        assert_eq!(Unit::Plain.show_error(0.123_45, Some(0.004_2)), "0.1235 ± 0.0042");
        assert_eq!(Unit::Part.show_error(0.5, None), "50 %");
    }

    #[test]
    fn small_p_values_are_told_as_small() {
        for (p, want) in [(0.0, "< 0.0001"), (0.000_123, "0.0001"), (0.0321, "0.032"), (0.5, "0.50"), (1.0, "1.00")] {
            assert_eq!(p_value(p), want);
        }
    }

    #[test]
    fn ticks_are_round_and_enclose_what_is_shown() {
        let shown = |low, high, unit: Unit| {
            let ticks = ticks(low, high, 5, unit);
            ticks.values.iter().map(|tick| unit.show_fixed(*tick, ticks.decimals)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown(0.0, 20_000.0, Unit::Plain), "0 5,000 10,000 15,000 20,000");
        assert_eq!(shown(0.0, 1.0, Unit::Part), "0 % 20 % 40 % 60 % 80 % 100 %");
        assert_eq!(shown(0.031, 0.062, Unit::Plain), "0.03 0.04 0.05 0.06 0.07");
        assert_eq!(shown(-0.021, 0.058, Unit::Part), "−4 % −2 % 0 % 2 % 4 % 6 %");
        assert_eq!(shown(3.0, 3.0, Unit::Plain), "1 2 3 4 5");
        assert_eq!(shown(0.0, 0.0, Unit::Plain), "−1.0 −0.5 0.0 0.5 1.0");
    }

    #[test]
    fn ticks_never_run_away() {
        for exponent in -200..200 {
            let high = 10_f64.powi(exponent) * 3.3;
            for low in [0.0, -high, high * 0.999, high] {
                let ticks = ticks(low, high, 6, Unit::Part);
                let (first, last) = (ticks.values[0], *ticks.values.last().unwrap());
                assert!((2..=9).contains(&ticks.values.len()), "{low} to {high}: {ticks:?}");
                assert!(first <= low + 1e-6 * high && last >= high * (1.0 - 1e-6), "{low} to {high}: {ticks:?}");
            }
        }
    }
}
