//! Times as text.

use std::time::{Duration, UNIX_EPOCH};

/// The last microsecond of the year 9999, after which RFC 3339 has no years.
const LAST_US: u64 = 253_402_300_799_999_999;

/// A time in microseconds since 1970 as RFC 3339 with microseconds; what lies outside the years 1970
/// to 9999 is the nearest that does not.
pub fn time_text(us: i64) -> String {
    let us = u64::try_from(us).unwrap_or(0).min(LAST_US);
    humantime::format_rfc3339_micros(UNIX_EPOCH + Duration::from_micros(us)).to_string()
}

/// A duration in microseconds as people write it: "14days".
pub(super) fn duration_text(us: i64) -> String {
    humantime::format_duration(Duration::from_micros(us.unsigned_abs())).to_string()
}
