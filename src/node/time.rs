//! Times as text.

use std::time::{Duration, UNIX_EPOCH};

/// Last microsecond of the year 9999. RFC 3339 has no later years.
const LAST_US: u64 = 253_402_300_799_999_999;

/// Returns a time in microseconds since 1970 as RFC 3339 with microseconds. A time outside the years 1970 to 9999 is
/// moved to the nearest one inside.
pub fn time_text(us: i64) -> String {
    let us = u64::try_from(us).unwrap_or(0).min(LAST_US);
    humantime::format_rfc3339_micros(UNIX_EPOCH + Duration::from_micros(us)).to_string()
}

/// Returns a duration in microseconds as people write it, such as "14days".
///
/// Days are the greatest unit, because months and years have several lengths.
pub fn duration_text(us: i64) -> String {
    const DAY_US: u64 = 24 * 3_600 * 1_000_000;
    let us = us.unsigned_abs();
    let (days, rest) = (us / DAY_US, Duration::from_micros(us % DAY_US));
    let days_text = if days == 1 { "1day".to_owned() } else { format!("{days}days") };
    match (days, rest.is_zero()) {
        (0, _) => humantime::format_duration(rest).to_string(),
        (_, true) => days_text,
        (_, false) => format!("{days_text} {}", humantime::format_duration(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_the_greatest_unit() {
        const DAY_US: i64 = 86_400_000_000;
        for (us, text) in [
            (0, "0s"),
            (90_000_000, "1m 30s"),
            (DAY_US, "1day"),
            (60 * DAY_US, "60days"),
            (400 * DAY_US + 3_600_000_000, "400days 1h"),
        ] {
            assert_eq!(duration_text(us), text);
        }
    }
}
