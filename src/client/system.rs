//! State of a service.

use super::{connection::Client, error::ClientError};
use crate::wire::{
    decode::decode_timestamp,
    proto::{GetSystemStateRequest, GetSystemStateResponse},
};

/// State of a service: its version, its data folder, and what it keeps in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemState {
    /// Version of the program.
    pub version: String,
    /// Time of the service's clock, microseconds since 1970.
    pub at_us: i64,
    /// Rewards and changes are refused, because the disk is full.
    pub disk_full: bool,
    /// Seconds by which the clock is ahead of the journal's time, or behind it if negative; 0 unless it is more than a day.
    pub clock_doubt_seconds: i64,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// Bytes of the journal's write-ahead log.
    pub log_bytes: u64,
    /// Bytes of the snapshots.
    pub snapshot_bytes: u64,
    /// Number of slots.
    pub slots: u32,
    /// Number of decisions that wait for rewards.
    pub pending_decisions: u64,
}

impl Client {
    /// Reads the state of the service.
    pub async fn system_state(&mut self) -> Result<SystemState, ClientError> {
        let response = self.insight.get_system_state(GetSystemStateRequest {}).await?.into_inner();
        let GetSystemStateResponse {
            version,
            time,
            disk_full,
            clock_doubt_seconds,
            journal_bytes,
            log_bytes,
            snapshot_bytes,
            slots,
            pending_decisions,
            pending_decisions_bytes: _,
        } = response;
        let at_us = decode_timestamp("time", time.unwrap_or_default());
        let at_us = at_us.map_err(|why| ClientError::Answer(why.to_string()))?;
        Ok(SystemState {
            version,
            at_us,
            disk_full,
            clock_doubt_seconds,
            journal_bytes,
            log_bytes,
            snapshot_bytes,
            slots,
            pending_decisions,
        })
    }
}
