//! Comparison of two sequences of records up to the first byte that differs.

use std::fmt;

use slotwise::engine::hash;

use super::record::{RecordKind, RunRecord};

/// Sizes and digest of two equal runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EqualRuns {
    /// Number of events of each run.
    pub events: u64,
    /// Total size of the events.
    pub event_bytes: u64,
    /// Number of snapshots of each run.
    pub snapshots: u64,
    /// Total size of the snapshots.
    pub snapshot_bytes: u64,
    /// Digest of all those bytes in their order: a chain of 128-bit hashes, each of the previous hash and a record.
    pub digest: u128,
}

impl EqualRuns {
    fn count(&mut self, record: &RunRecord) {
        let bytes = record.bytes.len() as u64;
        match record.what {
            RecordKind::Event { .. } => {
                self.events += 1;
                self.event_bytes += bytes;
            }
            RecordKind::Snapshot { .. } => {
                self.snapshots += 1;
                self.snapshot_bytes += bytes;
            }
        }
        let link = hash("simulator meta", &[&self.digest.to_be_bytes(), &record.bytes]);
        self.digest = u128::from(link.word()) << 64 | u128::from(link.other_word());
    }
}

impl fmt::Display for EqualRuns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, event_bytes, snapshots, snapshot_bytes, digest } = self;
        let s = if *snapshots == 1 { "" } else { "s" };
        write!(
            f,
            "{events} events ({event_bytes} bytes) and {snapshots} snapshot{s} ({snapshot_bytes} bytes) are equal"
        )?;
        write!(f, ", digest {digest:032x}")
    }
}

/// First difference of two runs, with the parts of the first and of the second run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunDifference {
    /// Records of the same kind with different bytes.
    Byte {
        /// The record.
        what: RecordKind,
        /// Offset of the first byte that differs, counted from 0.
        offset: usize,
        /// The two bytes. `None` stands for the end of a record.
        bytes: [Option<u8>; 2],
    },
    /// Records of different kinds.
    Kind([RecordKind; 2]),
    /// One run ends, and the other continues with a record.
    End {
        /// The run that ended, 1 or 2.
        run: usize,
        /// The next record of the other run.
        other: RecordKind,
    },
}

impl RunDifference {
    /// The difference of two records, or `None` if they are equal.
    fn between(left: &RunRecord, right: &RunRecord) -> Option<Self> {
        if left.what != right.what {
            return Some(Self::Kind([left.what, right.what]));
        }
        if left.bytes == right.bytes {
            return None;
        }
        let both = left.bytes.iter().zip(&right.bytes);
        let offset = both.take_while(|(left, right)| left == right).count();
        let bytes = [left, right].map(|record| record.bytes.get(offset).copied());
        Some(Self::Byte { what: left.what, offset, bytes })
    }
}

impl fmt::Display for RunDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte { what, offset, bytes } => {
                let [left, right] =
                    bytes.map(|b| b.map_or_else(|| "no byte".to_owned(), |byte| format!("{byte:#04x}")));
                write!(f, "{what} differs at byte {offset}: {left} and {right}")
            }
            Self::Kind([left, right]) => write!(f, "{left} of run 1 is {right} of run 2"),
            Self::End { run, other } => write!(f, "run {run} ends where the other has {other}"),
        }
    }
}

/// Result of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunComparison {
    /// The runs are equal.
    Equal(EqualRuns),
    /// The runs differ.
    Differs(RunDifference),
}

/// Compares the runs record by record, up to the first difference or the end of both.
pub fn compare(left: impl IntoIterator<Item = RunRecord>, right: impl IntoIterator<Item = RunRecord>) -> RunComparison {
    let (mut left, mut right) = (left.into_iter(), right.into_iter());
    let mut equal = EqualRuns::default();
    loop {
        let difference = match (left.next(), right.next()) {
            (None, None) => return RunComparison::Equal(equal),
            (None, Some(other)) => Some(RunDifference::End { run: 1, other: other.what }),
            (Some(other), None) => Some(RunDifference::End { run: 2, other: other.what }),
            (Some(left), Some(right)) => {
                equal.count(&left);
                RunDifference::between(&left, &right)
            }
        };
        if let Some(difference) = difference {
            return RunComparison::Differs(difference);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course() -> Vec<RunRecord> {
        let event = |number, bytes: &[u8]| RunRecord {
            what: RecordKind::Event { number, kind: "decided" },
            bytes: bytes.to_vec(),
        };
        let snapshot = RunRecord { what: RecordKind::Snapshot { position: 2 }, bytes: vec![7; 5] };
        vec![event(1, &[1, 2, 3]), event(2, &[4]), snapshot, event(3, &[])]
    }

    /// Asserts the message for a sequence of records against a changed one.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Vec<RunRecord>), want: &str) {
        let mut other = course();
        change(&mut other);
        let RunComparison::Differs(difference) = compare(course(), other) else { panic!("no difference was found") };
        assert_eq!(difference.to_string(), want);
    }

    #[test]
    fn the_first_byte_that_differs_is_named() {
        check(|c| c[0].bytes[1] = 0xff, "event 1 (decided) differs at byte 1: 0x02 and 0xff");
        check(|c| c[1].bytes.push(9), "event 2 (decided) differs at byte 1: no byte and 0x09");
        check(|c| c[2].bytes[4] = 0, "the snapshot after event 2 differs at byte 4: 0x07 and 0x00");
        check(|c| c[2].bytes.truncate(3), "the snapshot after event 2 differs at byte 3: 0x07 and no byte");
    }

    #[test]
    fn another_course_of_records_is_a_difference() {
        let rewarded = RecordKind::Event { number: 2, kind: "rewarded" };
        check(|c| c[1].what = rewarded, "event 2 (decided) of run 1 is event 2 (rewarded) of run 2");
        check(|c| drop(c.remove(2)), "the snapshot after event 2 of run 1 is event 3 (decided) of run 2");
        check(|c| drop(c.pop()), "run 2 ends where the other has event 3 (decided)");
        check(|c| c.push(c[3].clone()), "run 1 ends where the other has event 3 (decided)");
    }

    #[test]
    fn equal_courses_are_counted_and_their_digest_follows_every_byte() {
        let equal = |course: Vec<RunRecord>| match compare(course.clone(), course) {
            RunComparison::Equal(equal) => equal,
            RunComparison::Differs(difference) => panic!("{difference}"),
        };
        let EqualRuns { events, event_bytes, snapshots, snapshot_bytes, digest } = equal(course());
        assert_eq!((events, event_bytes, snapshots, snapshot_bytes), (3, 4, 1, 5));
        let mut other = course();
        other[0].bytes[0] ^= 1;
        assert_ne!(equal(other).digest, digest);
        let mut moved = course();
        moved[1].bytes = vec![3, 4];
        moved[0].bytes.pop();
        assert_ne!(equal(moved).digest, digest, "where a record ends counts too");
        assert_eq!(equal(Vec::new()), EqualRuns::default());
    }
}
