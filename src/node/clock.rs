//! The one clock, guarded against leaps.
//!
//! Invariant: the time that a guarded clock tells does not follow the machine's clock when that is more than a day ahead
//! of what the monotonic clock allows. Otherwise one wrong reading would close every window, fade every posterior and
//! stop time until the year that it named.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::time::{ClockId, clock_gettime};

/// A difference between two clocks beyond which neither is believed without being asked, microseconds: a day.
pub(super) const LEAP_US: i64 = 24 * 3600 * 1_000_000;

/// Tells the time, microseconds since 1970.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now.
    fn now_us(&self) -> i64;

    /// Microseconds by which the machine's clock is ahead of the time that this clock gives, or 0 if the two agree.
    fn leap_us(&self) -> i64 {
        0
    }

    /// Follows the machine's clock from now on, wherever it leapt to.
    fn accept(&self) {}
}

/// The last moment at which the machine's clock and the monotonic clock agreed.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "the common ending is their unit")]
struct Anchor {
    wall_us: i64,
    monotonic_us: i64,
    leap_us: i64,
}

/// Tells the time from two clocks, of which only the monotonic one is trusted over more than a day.
#[derive(Debug, Default)]
struct LeapGuard(Mutex<Option<Anchor>>);

impl LeapGuard {
    /// Returns the time by both clocks.
    fn time_us(&self, wall_us: i64, monotonic_us: i64) -> i64 {
        let mut anchor = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let expected_us = anchor.map_or(wall_us, |anchor| anchor.wall_us + (monotonic_us - anchor.monotonic_us));
        let leap_us = wall_us - expected_us;
        if leap_us > LEAP_US {
            if let Some(anchor) = anchor.as_mut() {
                if anchor.leap_us == 0 {
                    tracing::warn!(
                        ahead_seconds = leap_us / 1_000_000,
                        "the machine's clock leapt ahead by more than a day; time goes on without it until it agrees again, or `slotwise clock accept` is run"
                    );
                }
                anchor.leap_us = leap_us;
            }
            return expected_us;
        }
        if anchor.is_some_and(|anchor| anchor.leap_us != 0) {
            tracing::info!("the machine's clock agrees again");
        }
        // A clock that was set back by more than a day must be able to come back to where it was.
        if leap_us >= -LEAP_US {
            *anchor = Some(Anchor { wall_us, monotonic_us, leap_us: 0 });
        } else if let Some(anchor) = anchor.as_mut() {
            anchor.leap_us = 0;
        }
        wall_us
    }

    fn leap_us(&self) -> i64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map_or(0, |anchor| anchor.leap_us)
    }

    fn accept(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The machine's clock.
#[derive(Debug, Default)]
pub struct SystemClock(LeapGuard);

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everyone else takes")]
    fn now_us(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // The clock that also counts while the machine sleeps.
        let boot = clock_gettime(ClockId::Boottime);
        let monotonic_us = boot.tv_sec.saturating_mul(1_000_000).saturating_add(boot.tv_nsec / 1_000);
        self.0.time_us(i64::try_from(since.as_micros()).unwrap_or(i64::MAX), monotonic_us)
    }

    fn leap_us(&self) -> i64 {
        self.0.leap_us()
    }

    fn accept(&self) {
        self.0.accept();
    }
}

/// A clock that stands still until it is set: for tests.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall_us: AtomicI64,
    monotonic_us: AtomicI64,
    guard: LeapGuard,
}

impl ManualClock {
    /// A clock that says `now_us`.
    pub fn new(now_us: i64) -> Self {
        Self { wall_us: AtomicI64::new(now_us), ..Self::default() }
    }

    /// Lets `us` microseconds pass.
    pub fn advance(&self, us: i64) {
        self.monotonic_us.fetch_add(us, Ordering::SeqCst);
        self.leap(us);
    }

    /// Sets the machine's clock ahead by `us` microseconds, which do not pass.
    pub fn leap(&self, us: i64) {
        self.wall_us.fetch_add(us, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> i64 {
        self.guard.time_us(self.wall_us.load(Ordering::SeqCst), self.monotonic_us.load(Ordering::SeqCst))
    }

    fn leap_us(&self) -> i64 {
        self.guard.leap_us()
    }

    fn accept(&self) {
        self.guard.accept();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_is_not_followed_until_the_clocks_agree_or_it_is_accepted() {
        let clock = ManualClock::new(1_000);
        assert_eq!((clock.now_us(), clock.leap_us()), (1_000, 0));
        clock.leap(3_600_000_000);
        assert_eq!((clock.now_us(), clock.leap_us()), (3_600_001_000, 0), "an hour is a time zone");
        let ten_years_us = 10 * 365 * LEAP_US;
        clock.leap(ten_years_us);
        clock.advance(5);
        assert_eq!((clock.now_us(), clock.leap_us()), (3_600_001_005, ten_years_us));
        clock.leap(-ten_years_us);
        clock.advance(5);
        assert_eq!((clock.now_us(), clock.leap_us()), (3_600_001_010, 0), "it agrees again");
        clock.leap(-2 * LEAP_US);
        assert_eq!(clock.now_us(), 3_600_001_010 - 2 * LEAP_US, "a clock may be set back");
        clock.leap(2 * LEAP_US);
        assert_eq!((clock.now_us(), clock.leap_us()), (3_600_001_010, 0), "and come back");
        clock.leap(ten_years_us);
        assert_eq!(clock.now_us(), 3_600_001_010);
        clock.accept();
        assert_eq!((clock.now_us(), clock.leap_us()), (3_600_001_010 + ten_years_us, 0));
    }

    #[test]
    fn the_system_s_clock_tells_the_time_and_does_not_leap() {
        let clock = SystemClock::default();
        let before = clock.now_us();
        assert!(before > 1_700_000_000_000_000 && clock.now_us() >= before && clock.leap_us() == 0);
    }
}
