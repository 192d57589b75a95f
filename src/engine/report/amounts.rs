//! Amounts of reward as people read them.

use super::SlotReport;
use crate::engine::view::SlotView;

/// Format of amounts of reward: as rates in percent, as money, or as plain numbers.
///
/// # Examples
///
/// ```
/// use slotwise::engine::AmountFormat;
///
/// let money = AmountFormat { percent: false, currency: Some("EUR".into()) };
/// assert_eq!(money.amount(12.3), "12.30 EUR");
/// assert_eq!(AmountFormat { percent: true, currency: None }.amount(0.0412), "4.12 %");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmountFormat {
    /// Amounts are rates and are written in percent.
    pub percent: bool,
    /// Currency of the amounts, or `None` if they are no money.
    pub currency: Option<String>,
}

impl AmountFormat {
    pub(super) fn new(view: &SlotView) -> Self {
        let goal = &view.definition.goal;
        Self { percent: goal.within_unit(), currency: goal.currency.clone() }
    }

    /// Returns the format of a slot's amounts.
    pub fn of_slot(view: &SlotView) -> Self {
        Self::new(view)
    }

    /// Returns the format of a report's amounts.
    pub fn of_report(report: &SlotReport) -> Self {
        Self { percent: report.rates, currency: report.currency.clone() }
    }

    /// Returns one amount as text.
    pub fn amount(&self, value: f64) -> String {
        match &self.currency {
            Some(currency) if value.abs() >= 0.005 || value.abs() <= 0.0 => format!("{value:.2} {currency}"),
            Some(currency) => format!("{} {currency}", significant_digits(value)),
            None if self.percent => format!("{} %", significant_digits(100.0 * value)),
            None => significant_digits(value),
        }
    }
}

/// Returns a number with at least two significant digits, and no more decimals than that takes.
fn significant_digits(value: f64) -> String {
    match value.abs() {
        10.0.. => format!("{value:.1}"),
        0.1.. => format!("{value:.2}"),
        0.001.. => format!("{value:.4}"),
        _ if value.abs() > 0.0 => format!("{value:.1e}"),
        _ => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_at_least_two_significant_digits() {
        let rate = AmountFormat { percent: true, currency: None };
        assert_eq!(rate.amount(0.041_234), "4.12 %");
        assert_eq!(rate.amount(0.4), "40.0 %");
        assert_eq!(rate.amount(0.000_041), "0.0041 %");
        let plain = AmountFormat { percent: false, currency: None };
        assert_eq!(plain.amount(-12.345), "-12.3");
        assert_eq!(plain.amount(0.0), "0");
        assert_eq!(plain.amount(0.000_012), "1.2e-5");
        let euros = AmountFormat { percent: false, currency: Some("EUR".to_owned()) };
        assert_eq!(euros.amount(12.345), "12.35 EUR");
        assert_eq!(euros.amount(-0.5), "-0.50 EUR");
        assert_eq!(euros.amount(0.0012), "0.0012 EUR");
    }
}
