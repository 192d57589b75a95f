//! `PrivacyService`: export and end of everything that is held of one subject.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{
    Api,
    access::CallAccess,
    actor::actor,
    decode::decode_subject,
    encode::{self, encode_features, encode_timestamp},
    enums::ApiEnum as _,
    error,
    proto::{
        EventItem, ExportSubjectRequest, ExportSubjectResponse, ForgetSubjectRequest, ForgetSubjectResponse,
        ForgottenSubject, ListForgottenRequest, ListForgottenResponse, RewardEvent, ShopperEvent, SubjectDecision,
        SubjectProfile, export_subject_response::Record, privacy_service_server::PrivacyService,
    },
    slots::page_size,
    stream::AnswerStream,
};
use crate::{
    engine::{self, ShopperView, Subject},
    node::{HeldRecord, HindsightError, Node, PrivacyError},
    slot::{ArmId, ChangeReason, FieldError},
};

/// Records that may wait for a caller to read them.
const WAITING: usize = 64;

fn status(why: PrivacyError) -> Status {
    match why {
        PrivacyError::Read(why) => error::hindsight(HindsightError::Read(why)),
        PrivacyError::Write(why) => error::write(&why),
        why @ PrivacyError::Table(_) => error::table(why.to_string()),
    }
}

fn named(subject: Option<super::proto::Subject>) -> Result<Subject, Status> {
    let subject = decode_subject(subject).map_err(|why| error::field(&why))?;
    if subject == Subject::default() {
        let message = "is needed: give its id, its session_id, or both";
        return Err(error::field(&FieldError::new("subject", message)));
    }
    Ok(subject)
}

fn encode_profiles(profiles: &ShopperView, now_us: i64) -> Vec<Record> {
    let features = encode_features(&profiles.features(now_us));
    let one = |profile: &Arc<engine::ShopperProfile>| {
        Record::Profile(SubjectProfile {
            session: profile.is_session(),
            events: profile.events(),
            purchases: profile.purchases(),
            spent: profile.spent(),
            features: features.clone(),
        })
    };
    profiles.profiles().map(one).collect()
}

fn encode_decision(node: &Node, decided: &engine::DecisionRecord) -> Record {
    Record::Decision(SubjectDecision {
        slot_id: decided.slot.to_string(),
        decision_id: decided.id.to_string(),
        arm_ids: decided.chosen.iter().map(|chosen| chosen.arm.to_string()).collect(),
        context: encode_features(&decided.context),
        subject: Some(encode::subject(&node.named_subject(&decided.subject))),
        deferred: decided.expire_us.is_some(),
    })
}

fn encode_reward(node: &Node, reward: engine::RewardEvent) -> Record {
    let engine::RewardEvent { slot, event_id, decision, subject, arm, kind, value, time_us, reverses } = reward;
    Record::Reward(RewardEvent {
        event_id,
        decision_id: decision.map(|id| id.to_string()).unwrap_or_default(),
        slot_id: slot.to_string(),
        subject: Some(encode::subject(&node.named_subject(&subject))),
        arm_id: arm.as_ref().map(ArmId::to_string).unwrap_or_default(),
        kind,
        value,
        time: Some(encode_timestamp(time_us)),
        reverses_event_id: reverses.unwrap_or_default(),
    })
}

fn encode_shopper(node: &Node, event: engine::ShopperEvent) -> Record {
    let item = |item: engine::ShopperItem| EventItem {
        item_id: item.item.to_string(),
        quantity: item.quantity,
        value: item.value,
    };
    Record::Event(ShopperEvent {
        event_id: event.event_id,
        subject: Some(encode::subject(&node.named_subject(&event.subject))),
        time: Some(encode_timestamp(event.time_us)),
        consent: event.consent.number(),
        kind: event.kind,
        items: event.items.into_iter().map(item).collect(),
        attributes: encode_features(&event.attributes),
        query: event.query,
        value: event.value,
        currency: event.currency.unwrap_or_default(),
        decision_ids: event.decisions.iter().map(ToString::to_string).collect(),
        reverses_event_id: event.reverses.unwrap_or_default(),
        viewed_through_position: event.viewed_through,
    })
}

fn encode_records(node: &Node, at_us: i64, record: HeldRecord) -> Vec<ExportSubjectResponse> {
    let records = match record {
        HeldRecord::Profile(profiles) => encode_profiles(&profiles, at_us),
        HeldRecord::Decision(decided) => vec![encode_decision(node, &decided)],
        HeldRecord::Reward(reward) => vec![encode_reward(node, *reward)],
        HeldRecord::Shopper(event) => vec![encode_shopper(node, *event)],
    };
    let time = Some(encode_timestamp(at_us));
    records.into_iter().map(|record| ExportSubjectResponse { time, record: Some(record) }).collect()
}

#[tonic::async_trait]
impl PrivacyService for Api {
    type ExportSubjectStream = AnswerStream<ExportSubjectResponse>;

    async fn export_subject(
        &self,
        request: Request<ExportSubjectRequest>,
    ) -> Result<Response<Self::ExportSubjectStream>, Status> {
        CallAccess::of(&request).check_all_slots()?;
        let subject = named(request.into_inner().subject)?;
        let node = Arc::clone(self.node()?);
        let (answers, stream) = mpsc::channel(WAITING);
        let draining = self.draining();
        self.tasks().spawn(async move {
            let held = Arc::clone(&node);
            let mut each = |at_us, record| {
                let mut records = encode_records(&held, at_us, record).into_iter();
                !draining.is_cancelled()
                    && records.all(|record| tokio::task::block_in_place(|| answers.blocking_send(Ok(record)).is_ok()))
            };
            if let Err(why) = node.export_subject(&subject, &mut each).await {
                // The caller may be gone.
                let _ = answers.send(Err(status(why))).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn forget_subject(
        &self,
        request: Request<ForgetSubjectRequest>,
    ) -> Result<Response<ForgetSubjectResponse>, Status> {
        CallAccess::of(&request).check_all_slots()?;
        let actor = actor(&request);
        let ForgetSubjectRequest { subject, reason, author } = request.into_inner();
        let subject = named(subject)?;
        let why = ChangeReason { author, reason, actor };
        why.check().map_err(|why| error::field(&why))?;
        let forgotten = self.node()?.forget_subject(&subject, why).await.map_err(status)?;
        Ok(Response::new(ForgetSubjectResponse { records: forgotten.records, sessions: forgotten.sessions }))
    }

    async fn list_forgotten(
        &self,
        request: Request<ListForgottenRequest>,
    ) -> Result<Response<ListForgottenResponse>, Status> {
        CallAccess::of(&request).check_all_slots()?;
        let most = page_size(request.into_inner().page_size, 100, 1_000)?;
        let listed = self.node()?.forgotten_subjects(most).await.map_err(|why| error::write(&why))?;
        let encode_entry = |entry: engine::ForgottenEntry| ForgottenSubject {
            time: Some(encode_timestamp(entry.at_us)),
            pseudonym: Some(encode::subject(&entry.origin)),
        };
        Ok(Response::new(ListForgottenResponse { subjects: listed.into_iter().map(encode_entry).collect() }))
    }
}
