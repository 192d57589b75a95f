//! Growth of a number: a line through points by least squares.

use serde::Serialize;

/// Slope of a line with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Trend {
    /// Units of y per unit of x.
    pub slope: f64,
    /// Standard error of the slope for independent residuals. Memory is not quite independent from point to point, so
    /// the true error is at least as large.
    pub standard_error: f64,
    /// Number of points.
    pub points: usize,
}

impl Trend {
    /// The line through the points (x, y), or `None` for fewer than three points or if all x are equal. O(points).
    ///
    /// ```text
    /// slope           = Sxy / Sxx                 Sxy = Σ (x − x̄)(y − ȳ), Sxx = Σ (x − x̄)²
    /// standard error  = √(Σ e² / (n − 2) / Sxx)   e: residuals of y
    /// ```
    ///
    /// # Source
    ///
    /// Draper & Smith, *Applied Regression Analysis* (3rd ed. 1998), §1.2 and §1.4.
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        if points.len() < 3 {
            return None;
        }
        let n = points.len() as f64;
        let x_mean = points.iter().map(|(x, _)| x).sum::<f64>() / n;
        let y_mean = points.iter().map(|(_, y)| y).sum::<f64>() / n;
        let s_xx: f64 = points.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
        let s_xy: f64 = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
        if s_xx <= 0.0 {
            return None;
        }
        let slope = s_xy / s_xx;
        let left: f64 = points.iter().map(|(x, y)| (y - y_mean - slope * (x - x_mean)).powi(2)).sum();
        Some(Self { slope, standard_error: (left / (n - 2.0) / s_xx).sqrt(), points: points.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by hand: through (10, 1), (12, 3), (14, 2), (16, 5) Sxx is 20 and Sxy 11, so the slope is .55. The
    /// residuals are −.1, .8, −1.3 and .6, their squares sum to 2.7, and √(2.7 / 2 / 20) = .2598.
    #[test]
    fn a_slope_and_its_error_are_those_of_least_squares() {
        let trend = Trend::fit(&[(10.0, 1.0), (12.0, 3.0), (14.0, 2.0), (16.0, 5.0)]).unwrap();
        assert!((trend.slope - 0.55).abs() < 1e-12, "{trend:?}");
        assert!((trend.standard_error - 0.259_807_621_135_331_6).abs() < 1e-12, "{trend:?}");
        assert_eq!(trend.points, 4);
    }

    #[test]
    fn a_line_of_two_points_or_of_one_moment_has_no_error_to_tell() {
        assert_eq!(Trend::fit(&[(1.0, 2.0), (2.0, 3.0)]), None);
        assert_eq!(Trend::fit(&[(1.0, 2.0), (1.0, 3.0), (1.0, 4.0)]), None);
    }
}
