//! Search for single records in a journal without reading all of it. There is no index but the positions, and times
//! ascend with them.

use rusqlite::{OptionalExtension as _, Row, ToSql, params};

use super::{
    JournalReader, ReadError, RecordHandler,
    rows::{COLUMNS, record, stored},
    stretch::ChunkRecord,
};

/// Positions that are searched in one transaction, which takes some tens of milliseconds.
const SPAN: u64 = 65_536;

impl JournalReader {
    /// Passes the newest `count` records of this kind and slot to `each`, newest first. It searches at most `most`
    /// positions.
    pub fn newest(
        &self,
        kind: &str,
        slot: &str,
        count: usize,
        most: u64,
        each: &mut RecordHandler<'_>,
    ) -> Result<(), ReadError> {
        let (mut high, lowest, mut left) = (self.last(), self.last().saturating_sub(most), count);
        while high > lowest && left > 0 {
            let low = high.saturating_sub(SPAN).max(lowest);
            let select = format!(
                "SELECT {COLUMNS} FROM events WHERE position > ? AND position <= ? AND kind = ? AND slot = ? ORDER BY position DESC LIMIT ?"
            );
            let limit = i64::try_from(left).unwrap_or(i64::MAX);
            let found = self.select(high, &select, params![stored(low), stored(high), kind, slot, limit])?;
            left -= found.len();
            self.hand(&found, each)?;
            high = low;
        }
        Ok(())
    }

    /// Passes the first record of this kind and decision that was written at `at_us` or later to `each`. It searches at
    /// most `most` positions from there on. Returns `true` if there is such a record.
    pub fn find(
        &self,
        kind: &str,
        decision: &str,
        at_us: i64,
        most: u64,
        each: &mut RecordHandler<'_>,
    ) -> Result<bool, ReadError> {
        let first = self.first_since(at_us)?;
        let end = first.saturating_add(most).min(self.last().saturating_add(1));
        let select = format!(
            "SELECT {COLUMNS} FROM events WHERE position >= ? AND position < ? AND decision_id = ? AND kind = ? ORDER BY position LIMIT 1"
        );
        let mut low = first;
        while low < end {
            let high = low.saturating_add(SPAN).min(end);
            let found = self.select(low, &select, params![stored(low), stored(high), decision, kind])?;
            if !found.is_empty() {
                return self.hand(&found, each).map(|()| true);
            }
            low = high;
        }
        Ok(false)
    }

    /// Time of the first record from which on all records are kept, microseconds since 1970, or `None` if there is none.
    pub fn kept_since_us(&self) -> Result<Option<i64>, ReadError> {
        Ok(self.at_or_after(self.trimmed() + 1)?.map(|(_, at_us)| at_us))
    }

    /// The records that a query finds, read in one transaction.
    fn select(&self, position: u64, select: &str, bounds: &[&dyn ToSql]) -> Result<Vec<ChunkRecord>, ReadError> {
        self.with_connection(position, |connection| {
            let failed = |why: rusqlite::Error| self.failed(position, &why);
            let mut select = connection.prepare_cached(select).map_err(failed)?;
            let mut rows = select.query(bounds).map_err(failed)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next().map_err(failed)? {
                let at = u64::try_from(row.get::<_, i64>(0).map_err(failed)?).unwrap_or(0);
                found.push(ChunkRecord::new(&record(row, at, self.file())?));
            }
            Ok(found)
        })
    }

    fn hand(&self, found: &[ChunkRecord], each: &mut RecordHandler<'_>) -> Result<(), ReadError> {
        for held in found {
            let (record, position) = (held.stored(), held.stored().position);
            each(&record).map_err(|why| ReadError::Reader { file: self.file().to_owned(), position, why })?;
        }
        Ok(())
    }

    /// The position of the first record that was written at `at_us` or later, or one beyond the last if there is none.
    fn first_since(&self, at_us: i64) -> Result<u64, ReadError> {
        let (mut low, mut high) = (1, self.last() + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.at_or_after(middle)? {
                Some((position, taken_us)) if taken_us < at_us => low = position + 1,
                Some(_) | None => high = middle,
            }
        }
        Ok(low)
    }

    /// The first record at this position or after it, and its time. Positions may have holes where records were
    /// dropped.
    fn at_or_after(&self, position: u64) -> Result<Option<(u64, i64)>, ReadError> {
        let select =
            "SELECT position, at_us FROM events WHERE position >= ? AND position <= ? ORDER BY position LIMIT 1";
        let pair = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let found = self.with_connection(position, |connection| {
            let failed = |why: rusqlite::Error| self.failed(position, &why);
            let mut select = connection.prepare_cached(select).map_err(failed)?;
            select.query_row(params![stored(position), stored(self.last())], pair).optional().map_err(failed)
        })?;
        Ok(found.map(|(position, at_us)| (u64::try_from(position).unwrap_or(0), at_us)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Journal as _, LossPolicy, Record, SqliteJournal};

    const KINDS: [&str; 3] = ["decided", "rewarded", "slot_updated"];
    const SLOTS: [&str; 2] = ["offers", "search"];

    /// Three records a second of their own kinds, two slots, every record with a decision of its own.
    fn records(count: u64) -> Vec<Record> {
        let record = |i: u64| Record {
            at_us: i64::try_from(i / 3).unwrap() * 1_000,
            kind: KINDS[usize::try_from(i % 3).unwrap()],
            slot: SLOTS[usize::try_from(i / 3 % 2).unwrap()].to_owned(),
            decision: Some(format!("d{i}")),
            body: i.to_be_bytes().to_vec(),
        };
        (0..count).map(record).collect()
    }

    fn journal(count: u64) -> (tempfile::TempDir, SqliteJournal, JournalReader) {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = SqliteJournal::open(folder.path(), LossPolicy::Refused).unwrap();
        journal.append(&records(count)).unwrap();
        let reader = JournalReader::open(folder.path()).unwrap();
        (folder, journal, reader)
    }

    #[test]
    fn the_newest_records_of_a_slot_come_newest_first() {
        let (_folder, _journal, reader) = journal(300);
        let newest = |count, most| {
            let mut got = Vec::new();
            let mut each = |stored: &crate::journal::Stored<'_>| {
                assert_eq!((stored.kind, stored.slot), ("decided", "search"));
                got.push(stored.position);
                Ok(())
            };
            reader.newest("decided", "search", count, most, &mut each).unwrap();
            got
        };
        let want: Vec<u64> = (0..300).filter(|i| i % 3 == 0 && i / 3 % 2 == 1).map(|i| i + 1).rev().collect();
        assert_eq!(newest(usize::MAX, u64::MAX), want);
        assert_eq!(newest(4, 1_000), want[..4]);
        assert_eq!(newest(1_000, 30), want[..5], "thirty positions hold five of them");
    }

    #[test]
    fn a_record_is_found_from_its_time_on_and_within_the_bound() {
        let (_folder, _journal, reader) = journal(300);
        let find = |kind: &str, decision: &str, at_us, most| {
            let mut found = None;
            let there = reader.find(kind, decision, at_us, most, &mut |stored| {
                found = Some(stored.position);
                Ok(())
            });
            assert_eq!(there.unwrap(), found.is_some());
            found
        };
        for i in (0..300).step_by(3) {
            let at_us = i64::try_from(i / 3).unwrap() * 1_000;
            let id = format!("d{i}");
            assert_eq!(find("decided", &id, at_us, 1), Some(i + 1), "the first of its time");
            assert_eq!(find("decided", &id, at_us - 2_000, 7), Some(i + 1), "two times later");
            assert_eq!(find("decided", &id, at_us + 1, 1_000), None, "later than it was");
            assert_eq!(find("rewarded", &id, at_us, 1_000), None, "of another kind");
        }
        assert_eq!(find("decided", "d30", 0, 30), None, "beyond the bound");
    }

    #[test]
    fn holes_of_what_was_dropped_do_not_mislead_the_search() {
        let (folder, mut journal, _) = journal(300);
        while journal.trim(&["decided", "rewarded"], 60_000, 200, 50).unwrap() {}
        let reader = JournalReader::open(folder.path()).unwrap();
        assert!(reader.trimmed() > 100, "{}", reader.trimmed());
        let found = |i: u64, kind: &str| {
            let at_us = i64::try_from(i / 3).unwrap() * 1_000;
            reader.find(kind, &format!("d{i}"), at_us, 10, &mut |_| Ok(())).unwrap()
        };
        assert!(!found(30, "decided") && found(32, "slot_updated") && found(240, "decided"));
        let since = reader.kept_since_us().unwrap().unwrap();
        assert!((50_000..=67_000).contains(&since), "{since}");
    }
}
