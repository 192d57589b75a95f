//! Errors of the client.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Reason why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No service answers at the address.
    #[error("no Slotwise answers at {target}; start one with `slotwise serve`, or give another --target")]
    Unreachable {
        /// Address as it was given.
        target: String,
        /// Reason.
        #[source]
        source: tonic::transport::Error,
    },
    /// The text is not the address of a service.
    #[error(
        "'{0}' is not an address of a service; write it as 127.0.0.1:50051 or http://shop.internal:50051 (https is not served)"
    )]
    Address(String),
    /// The service refused the call.
    #[error("{}", .0.message())]
    Refused(Box<Status>),
    /// The answer does not have the form that it should have.
    #[error("the service's answer cannot be read: {0}")]
    Answer(String),
}

impl ClientError {
    /// Time after which the same call is worth another try, or `None` if the service did not give one.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(status) => status.get_details_retry_info()?.retry_delay,
            Self::Unreachable { .. } | Self::Address(_) | Self::Answer(_) => None,
        }
    }

    /// Returns `true` if the slot or the decision does not exist.
    pub fn not_found(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code() == Code::NotFound)
    }

    /// Returns `true` if the slot that was to be created exists already.
    pub fn exists(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code() == Code::AlreadyExists)
    }

    /// Path of the field at fault, or `None` if the service named none.
    pub fn field(&self) -> Option<String> {
        let Self::Refused(status) = self else { return None };
        status.get_details_bad_request()?.field_violations.into_iter().next().map(|violation| violation.field)
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}
