//! Times as people write them.

use std::time::{Duration, UNIX_EPOCH};

/// The last microsecond of the year 9999, after which RFC 3339 has no years.
const LAST_US: u64 = 253_402_300_799_999_999;
/// Microseconds of a day.
pub(super) const DAY_US: i64 = 24 * 3600 * 1_000_000;

/// A time in RFC 3339 with microseconds; what lies outside the years 1970 to 9999 is the nearest that does not.
pub(super) fn text(us: i64) -> String {
    let us = u64::try_from(us).unwrap_or(0).min(LAST_US);
    humantime::format_rfc3339_micros(UNIX_EPOCH + Duration::from_micros(us)).to_string()
}

/// The date, UTC, of a day counted from 1970.
pub(super) fn date(day: i64) -> String {
    text(day.saturating_mul(DAY_US)).chars().take(10).collect()
}

/// Microseconds since 1970 of a time in RFC 3339, or of the midnight that begins a date, UTC.
pub(super) fn parse(given: &str) -> Result<i64, String> {
    let time = if given.len() == 10 { format!("{given}T00:00:00Z") } else { given.to_owned() };
    let since = humantime::parse_rfc3339(&time).ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since
        .and_then(|since| i64::try_from(since.as_micros()).ok())
        .ok_or_else(|| "write a date (2026-11-21) or a time in UTC (2026-11-21T08:30:00Z)".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_to_the_microsecond() {
        assert_eq!(text(1_793_000_000_123_456), "2026-10-26T07:33:20.123456Z");
        assert_eq!(parse("2026-10-26T07:33:20.123456Z"), Ok(1_793_000_000_123_456));
        assert_eq!((parse("1970-01-02"), date(1).as_str()), (Ok(DAY_US), "1970-01-02"));
        assert_eq!((text(-5), text(i64::MAX)), (text(0), "9999-12-31T23:59:59.999999Z".into()));
        for bad in ["", "yesterday", "2026-13-01", "1969-12-31", "2026-10-26T07:33:20"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
