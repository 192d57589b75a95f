//! Reader of times as programs write them.

use std::time::UNIX_EPOCH;

/// The accepted forms of a time, for error messages.
pub(super) const FORMS: &str =
    "write 2026-11-21T08:30:00Z, 2026-11-21T08:30:00+02:00, 2026-11-21 08:30:00 (UTC), or seconds since 1970";

/// The microseconds since 1970 of a time, or `None` if it has none of the [`FORMS`].
///
/// A time without a zone is in UTC. A number counts seconds, milliseconds, microseconds or nanoseconds since 1970. Its
/// size tells which: read as seconds, the other counts would lie beyond the year 5000.
pub(super) fn microseconds(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return since_epoch(text, number);
    }
    let (local, east_minutes) = split_zone(text)?;
    let local = if local.len() == 10 { format!("{local} 00:00:00") } else { local.to_owned() };
    let time = humantime::parse_rfc3339_weak(&local).ok()?;
    let at_us = i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_micros()).ok()?;
    at_us.checked_sub(east_minutes * 60_000_000).filter(|at_us| *at_us >= 0)
}

/// The microseconds of a count since 1970, in the unit that its size tells.
fn since_epoch(text: &str, number: f64) -> Option<i64> {
    if !(0.0..1e20).contains(&number) {
        return None;
    }
    // Factor and divisor that turn the unit into microseconds.
    let (times, per) = match number {
        ..1e11 => (1_000_000, 1),
        ..1e14 => (1_000, 1),
        ..1e17 => (1, 1),
        _ => (1, 1_000),
    };
    if let Ok(whole) = text.parse::<i64>() {
        return whole.checked_mul(times).map(|count| count / per);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "checked to be below 2^63")]
    let at_us = (number * times as f64 / per as f64) as i64;
    Some(at_us)
}

/// The local time and the minutes by which its zone is ahead of UTC.
fn split_zone(text: &str) -> Option<(&str, i64)> {
    if let Some(utc) = text.strip_suffix(['Z', 'z']).or_else(|| text.strip_suffix("UTC")) {
        return Some((utc.trim_end(), 0));
    }
    // A date has hyphens, too.
    let Some(at) = text.rfind(['+', '-']).filter(|at| *at > 10) else { return Some((text, 0)) };
    let (local, zone) = (text[..at].trim_end(), &text[at + 1..]);
    if !zone.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') {
        return None;
    }
    // The zone is `+02`, `+0200` or `+02:00`.
    let (hours, minutes) = match (zone.len(), zone.split_once(':')) {
        (2, None) => (zone, "0"),
        (4, None) => zone.split_at(2),
        (5, Some((hours, minutes))) if hours.len() == 2 => (hours, minutes),
        _ => return None,
    };
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let ahead = hours * 60 + minutes;
    Some((local, if text[at..].starts_with('-') { -ahead } else { ahead }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_and_programs_write_them() {
        let want = 1_795_249_800_000_000;
        for text in [
            "2026-11-21T08:30:00Z",
            "2026-11-21T08:30:00.000Z",
            "2026-11-21 08:30:00",
            "2026-11-21T08:30:00",
            "2026-11-21T10:30:00+02:00",
            "2026-11-21 10:30:00+0200",
            "2026-11-21 10:30:00 +02",
            "2026-11-21T03:00:00-05:30",
            "2026-11-21 08:30:00 UTC",
            "1795249800",
            "1795249800.0",
            "1795249800000",
            "1795249800000000",
            "1795249800000000000",
        ] {
            assert_eq!(microseconds(text), Some(want), "{text}");
        }
        // Computed by hand: 24 November 2019 was a Sunday, 18,224 days after 1 January 1970.
        let midnight = 18_224 * 86_400_000_000;
        assert_eq!(microseconds("2019-11-24 00:03:13.442536+00:00"), Some(midnight + 193_442_536));
        assert_eq!(microseconds("2019-11-24 00:00:00+09:00"), Some(midnight - 9 * 3_600_000_000));
        assert_eq!(microseconds("2026-11-21"), microseconds("2026-11-21T00:00:00Z"));
        assert_eq!(microseconds("2019-11-24 00:00:01.5+00:00"), Some(1_574_553_601_500_000));
        assert_eq!(microseconds("1795249800.25"), Some(want + 250_000));
        for text in ["", "yesterday", "-5", "21.11.2026", "2026-13-01", "2026-11-21T08:30:00+2:0", "1e30", "NaN"] {
            assert_eq!(microseconds(text), None, "{text}");
        }
    }
}
