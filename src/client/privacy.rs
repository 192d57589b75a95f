//! Export and end of everything that is held of one subject.

use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

use super::{connection::Client, error::ClientError};
use crate::{
    engine::Subject,
    slot::ChangeReason,
    wire::{
        decode::decode_timestamp,
        encode,
        proto::{self, ExportSubjectRequest, ForgetSubjectRequest, ListForgottenRequest},
    },
};

/// Result of forgetting a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubjectForgotten {
    /// Decisions and events of the journal that belong to nobody now.
    pub records: u64,
    /// Sessions that were forgotten with the subject.
    pub sessions: u64,
}

/// Subject that was forgotten, as the service lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgottenListing {
    /// Time at which it was forgotten, microseconds since 1970.
    pub at_us: i64,
    /// Pseudonyms of its id and session.
    pub pseudonym: Subject,
}

impl Client {
    /// Passes everything that is held of a subject to `each`, as a JSON object of one line.
    pub async fn export_subject(
        &mut self,
        subject: &Subject,
        each: &mut dyn FnMut(String) -> Result<(), ClientError>,
    ) -> Result<u64, ClientError> {
        let unreadable = |why: String| ClientError::Answer(why);
        let pool = DescriptorPool::decode(proto::DESCRIPTORS).map_err(|why| unreadable(why.to_string()))?;
        let descriptor = pool
            .get_message_by_name("slotwise.v1.ExportSubjectResponse")
            .ok_or_else(|| unreadable("the API has no export of subjects".to_owned()))?;
        let request = ExportSubjectRequest { subject: Some(encode::subject(subject)) };
        let mut stream = self.privacy.export_subject(request).await?.into_inner();
        let mut count = 0;
        while let Some(record) = stream.message().await? {
            let mut message = DynamicMessage::new(descriptor.clone());
            message.transcode_from(&record).map_err(|why| unreadable(why.to_string()))?;
            let mut line = Vec::new();
            let mut json = serde_json::Serializer::new(&mut line);
            message
                .serialize_with_options(&mut json, &SerializeOptions::new())
                .map_err(|why| unreadable(why.to_string()))?;
            each(String::from_utf8(line).map_err(|why| unreadable(why.to_string()))?)?;
            count += 1;
        }
        Ok(count)
    }

    /// Forgets a subject, and the sessions that came with its id.
    pub async fn forget_subject(
        &mut self,
        subject: &Subject,
        why: &ChangeReason,
    ) -> Result<SubjectForgotten, ClientError> {
        let request = ForgetSubjectRequest {
            subject: Some(encode::subject(subject)),
            reason: why.reason.clone(),
            author: why.author.clone(),
        };
        let done = self.privacy.forget_subject(request).await?.into_inner();
        Ok(SubjectForgotten { records: done.records, sessions: done.sessions })
    }

    /// Lists the subjects that were forgotten, the latest first, at most 1,000.
    pub async fn forgotten_subjects(&mut self) -> Result<Vec<ForgottenListing>, ClientError> {
        let request = ListForgottenRequest { page_size: 1_000 };
        let listed = self.privacy.list_forgotten(request).await?.into_inner().subjects;
        let entry = |entry: proto::ForgottenSubject| {
            let at_us = decode_timestamp("time", entry.time.unwrap_or_default())
                .map_err(|why| ClientError::Answer(why.to_string()))?;
            let proto::Subject { id, session_id } = entry.pseudonym.unwrap_or_default();
            Ok(ForgottenListing { at_us, pseudonym: Subject { id, session_id } })
        };
        listed.into_iter().map(entry).collect()
    }
}
