//! A live server, over gRPC.

use slotwise::{
    client::{CallOptions, Client, ClientError, RewardEvent, RewardStatus},
    engine::Request,
    slot::{Definition, SlotId},
};

use super::{BanditService, Reward, ServiceChoice, ServiceError, why};

/// A live server, over gRPC, called as a simulator: its slots are for simulated traffic, and it reaches no others.
///
/// A reward is durable when it is answered. A decision is journalled after its answer, so a decision without a reward
/// event may be learned a little after the next decision is made.
#[derive(Debug)]
pub struct Remote {
    client: Client,
}

impl Remote {
    /// Connects to the server at `target`, `http://host:port`.
    pub async fn connect(target: &str) -> Result<Self, ServiceError> {
        let options = CallOptions { simulated: true, ..CallOptions::default() };
        Ok(Self { client: Client::connect_with(target, &options).await? })
    }
}

impl BanditService for Remote {
    async fn create(&mut self, mut definition: Definition, replace: bool) -> Result<(), ServiceError> {
        definition.controls.simulated = Some(true);
        if replace {
            match self.client.delete_slot(definition.id.as_str(), &why()).await {
                Err(why) if why.not_found() => {}
                done => done?,
            }
        }
        match self.client.create_slot(&definition, &why(), false).await {
            Ok(_) => Ok(()),
            Err(why) if why.exists() => Err(ServiceError::Exists(definition.id)),
            Err(why) => Err(why.into()),
        }
    }

    async fn decide(&mut self, request: Request) -> Result<ServiceChoice, ServiceError> {
        let decision = self.client.decide(&request).await?;
        let (arm, propensity) = decision.arms.into_iter().next().ok_or(ServiceError::Nothing(request.slot))?;
        Ok(ServiceChoice { decision: decision.id, arm, propensity, fallback: !decision.fallback.is_empty() })
    }

    async fn reward(&mut self, reward: Reward) -> Result<(), ServiceError> {
        let Reward { slot: _, event, decision, kind, value } = reward;
        let sent = RewardEvent {
            event_id: event.clone(),
            decision_id: decision,
            arm_id: String::new(),
            kind,
            value: Some(value),
        };
        let status = self.client.record_rewards(vec![sent]).await?.into_iter().next();
        let why = match status.ok_or_else(|| ClientError::Answer("there is no result in it".into()))? {
            RewardStatus::Accepted => return Ok(()),
            RewardStatus::Duplicate => "the service has counted an event of this id before".to_owned(),
            RewardStatus::Late(why) | RewardStatus::Unmatched(why) | RewardStatus::Rejected(why) => why,
        };
        Err(ServiceError::NotCounted { event, why })
    }

    async fn delete(&mut self, slot: &SlotId) -> Result<(), ServiceError> {
        Ok(self.client.delete_slot(slot.as_str(), &why()).await?)
    }
}
