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
pub fn duration_text(us: i64) -> String {
    humantime::format_duration(Duration::from_micros(us.unsigned_abs())).to_string()
}
