//! From a data folder to a state.

use std::path::Path;

use super::{codec, error::OpenError, folder::Folder};
use crate::{
    engine::State,
    journal::{Journal, SqliteJournal},
};

/// The newest whole snapshot with the rest of the journal applied, and position and time of
/// the snapshot where there was one.
pub(super) fn recover(folder: &Folder, journal: &mut dyn Journal) -> Result<(State, Option<(u64, i64)>), OpenError> {
    let (mut state, claimed) = folder.newest_snapshot()?;
    if journal.last() < claimed {
        return Err(OpenError::JournalBehind { folder: folder.path().to_owned(), last: journal.last(), claimed });
    }
    let from = state.position();
    let snapshot = (from > 0).then_some((from, state.at_us()));
    journal.replay(from, &mut |stored| {
        let event = codec::decode(stored.body)?;
        state.apply(&event);
        Ok(())
    })?;
    tracing::info!(snapshot = from, position = state.position(), slots = state.slots().count(), "recovered");
    Ok((state, snapshot))
}

/// The state that the journal in a folder gives when it is folded from its beginning, snapshots left
/// aside; for audits and tests. The folder must not be in use.
pub fn fold(folder: &Path) -> Result<State, OpenError> {
    let folder = Folder::open(folder)?;
    let mut journal = SqliteJournal::open(folder.path())?;
    let mut state = State::default();
    journal.replay(0, &mut |stored| {
        let event = codec::decode(stored.body)?;
        state.apply(&event);
        Ok(())
    })?;
    Ok(state)
}

/// The state that a node would start from: the newest whole snapshot and what follows; for audits and
/// tests. The folder must not be in use.
pub fn recovered(folder: &Path) -> Result<State, OpenError> {
    let folder = Folder::open(folder)?;
    let mut journal = SqliteJournal::open(folder.path())?;
    Ok(recover(&folder, &mut journal)?.0)
}
