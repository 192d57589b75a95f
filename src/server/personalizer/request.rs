//! Requests in Personalizer's shape.

use std::collections::{HashMap, HashSet};

use rand::{Rng as _, rngs::StdRng};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::answer::PersonalizerError;
use crate::{
    server::features::{FeatureMap, add_features},
    slot::{
        limits::{BATCH_MAX, EXPLAINED_MAX},
        shorten,
    },
    wire::proto::{Candidate, DecideRequest, FeatureValue, feature_value::Value as Feature},
};

/// Features as a list of objects.
type FeatureList = Vec<Map<String, Value>>;

/// Request of Rank. Fields that are not named here have no meaning for a decision.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RankRequest {
    context_features: Option<FeatureList>,
    pub(super) actions: Vec<RankableAction>,
    excluded_actions: Option<Vec<String>>,
    pub(super) event_id: Option<String>,
    defer_activation: Option<bool>,
}

/// Action that may be chosen.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RankableAction {
    pub(super) id: String,
    features: Option<FeatureList>,
}

/// Request of a multi-slot Rank.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MultiSlotRankRequest {
    context_features: Option<FeatureList>,
    actions: Vec<RankableAction>,
    slots: Vec<PlaceRequest>,
    pub(super) event_id: Option<String>,
    defer_activation: Option<bool>,
}

/// Slot of a multi-slot call: a place on the page.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlaceRequest {
    id: String,
    features: Option<FeatureList>,
    excluded_actions: Option<Vec<String>>,
    baseline_action: Option<String>,
}

/// Request of Reward.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct PersonalizerReward {
    pub(super) value: f64,
}

/// Request of a multi-slot Reward.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct MultiSlotReward {
    pub(super) reward: Vec<PlaceReward>,
}

/// Reward of one place.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlaceReward {
    pub(super) slot_id: String,
    pub(super) value: f64,
}

/// Returns an event id for a request that has none.
pub(super) fn new_event_id() -> String {
    let mut random = rand::make_rng::<StdRng>();
    format!("{:016x}{:016x}", random.next_u64(), random.next_u64())
}

/// Returns the request id of a place's decision.
pub(super) fn request_id_of_place(event_id: &str, place: &str) -> String {
    format!("{event_id}/{place}")
}

fn features(field: &str, prefix: &str, lists: Option<&FeatureList>) -> Result<FeatureMap, PersonalizerError> {
    let mut features = FeatureMap::new();
    for object in lists.into_iter().flatten() {
        let problem = |why| PersonalizerError::bad_request(field, format!("{field}: {why}"));
        add_features(object, &mut features).map_err(problem)?;
    }
    if prefix.is_empty() {
        return Ok(features);
    }
    Ok(features.into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)).collect())
}

/// Returns the candidates of a request: the actions but for the excluded ones, the baseline first.
fn candidates(
    actions: &[RankableAction],
    excluded: Option<&Vec<String>>,
    baseline: Option<&str>,
) -> Result<Vec<Candidate>, PersonalizerError> {
    let excluded: HashSet<&str> = excluded.into_iter().flatten().map(String::as_str).collect();
    let known: HashSet<&str> = actions.iter().map(|action| action.id.as_str()).collect();
    if let Some(unknown) = excluded.iter().find(|id| !known.contains(**id)) {
        let message = format!("excludedActions: '{}' is none of the actions", shorten(unknown));
        return Err(PersonalizerError::bad_request("excludedActions", message));
    }
    let mut candidates = Vec::with_capacity(actions.len());
    for action in actions.iter().filter(|action| !excluded.contains(action.id.as_str())) {
        let features = features("actions.features", "", action.features.as_ref())?;
        candidates.push(Candidate { arm_id: action.id.clone(), features });
    }
    if candidates.is_empty() {
        let message = "actions: no action is left to choose from".to_owned();
        return Err(PersonalizerError::bad_request("actions", message));
    }
    if let Some(baseline) = baseline.filter(|id| !id.is_empty()) {
        // A stable sort keeps the others in their order.
        candidates.sort_by_key(|candidate| candidate.arm_id != baseline);
    }
    Ok(candidates)
}

fn check_count(field: &'static str, count: usize, most: usize) -> Result<(), PersonalizerError> {
    if (1..=most).contains(&count) {
        return Ok(());
    }
    Err(PersonalizerError::bad_request(field, format!("{field}: has {count} entries; 1 to {most} are allowed")))
}

impl RankRequest {
    /// Returns the request for a decision of `slot`.
    pub(super) fn to_decide(&self, slot: &str) -> Result<DecideRequest, PersonalizerError> {
        // An answer has the probability of each action, and a decision explains as many.
        check_count("actions", self.actions.len(), EXPLAINED_MAX)?;
        Ok(DecideRequest {
            slot_id: slot.to_owned(),
            context: features("contextFeatures", "", self.context_features.as_ref())?,
            candidates: candidates(&self.actions, self.excluded_actions.as_ref(), None)?,
            count: 1,
            request_id: self.event_id.clone().unwrap_or_default(),
            explain: true,
            deferred: self.defer_activation == Some(true),
            ..DecideRequest::default()
        })
    }
}

impl MultiSlotRankRequest {
    /// Returns one request for a decision of `slot` for each place.
    pub(super) fn to_decide(&self, slot: &str, event_id: &str) -> Result<Vec<DecideRequest>, PersonalizerError> {
        if self.defer_activation == Some(true) {
            let message = "deferActivation: activate does not say which of the slots were shown; send false, and rank when you show them";
            return Err(PersonalizerError::bad_request("deferActivation", message.to_owned()));
        }
        check_count("slots", self.slots.len(), BATCH_MAX)?;
        check_count("actions", self.actions.len(), EXPLAINED_MAX)?;
        if self.actions.len() < self.slots.len() {
            let message =
                "actions: each slot shows another action, so there must be as many actions as slots".to_owned();
            return Err(PersonalizerError::bad_request("actions", message));
        }
        let ids: HashSet<&str> = self.slots.iter().map(|place| place.id.as_str()).collect();
        if ids.len() < self.slots.len() {
            return Err(PersonalizerError::bad_request("slots", "slots: an id stands there twice".to_owned()));
        }
        let context = features("contextFeatures", "", self.context_features.as_ref())?;
        self.slots.iter().map(|place| place.to_decide(slot, event_id, &context, &self.actions)).collect()
    }

    /// Ids of the places, in their order.
    pub(super) fn places(&self) -> impl Iterator<Item = &str> {
        self.slots.iter().map(|place| place.id.as_str())
    }
}

impl PlaceRequest {
    fn to_decide(
        &self,
        slot: &str,
        event_id: &str,
        context: &HashMap<String, FeatureValue>,
        actions: &[RankableAction],
    ) -> Result<DecideRequest, PersonalizerError> {
        let mut context = context.clone();
        context.extend(features("slots.features", "slot.", self.features.as_ref())?);
        context.insert("slot.id".to_owned(), FeatureValue { value: Some(Feature::Text(self.id.clone())) });
        Ok(DecideRequest {
            slot_id: slot.to_owned(),
            context,
            candidates: candidates(actions, self.excluded_actions.as_ref(), self.baseline_action.as_deref())?,
            count: 1,
            request_id: request_id_of_place(event_id, &self.id),
            ..DecideRequest::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rank(json: Value) -> Result<DecideRequest, String> {
        let request: RankRequest = serde_json::from_value(json).unwrap();
        request.to_decide("offers").map_err(|why| why.to_string())
    }

    #[test]
    fn a_rank_becomes_a_request_without_the_excluded_actions() {
        let request = rank(json!({
            "contextFeatures": [{"time": "morning"}, {"user": {"loyal": true}}],
            "actions": [{"id": "a", "features": [{"price": 3}]}, {"id": "b"}, {"id": "c", "features": []}],
            "excludedActions": ["b"], "eventId": "e1", "deferActivation": false
        }));
        let request = request.unwrap();
        let ids: Vec<&str> = request.candidates.iter().map(|candidate| candidate.arm_id.as_str()).collect();
        assert_eq!((ids, request.count, request.request_id.as_str()), (vec!["a", "c"], 1, "e1"));
        assert_eq!(request.context["user.loyal"].value, Some(Feature::Flag(true)));
        assert_eq!(request.candidates[0].features["price"].value, Some(Feature::Number(3.0)));
        assert!(
            !request.deferred && rank(json!({"actions": [{"id": "a"}], "deferActivation": true})).unwrap().deferred
        );
    }

    #[test]
    fn a_rank_that_cannot_be_decided_says_why() {
        let a = json!([{"id": "a"}]);
        for (request, words) in [
            (json!({"actions": []}), "actions: has 0 entries"),
            (json!({"actions": a, "excludedActions": ["a"]}), "no action is left"),
            (json!({"actions": a, "excludedActions": ["z"]}), "'z' is none of the actions"),
            (json!({"actions": a, "contextFeatures": [{"x": 1}, {"x": 2}]}), "'x' stands there twice"),
            (json!({"actions": [{"id": "a", "features": [{"x": [1, "y"]}]}]}), "actions.features: 'x' is a list"),
        ] {
            let why = rank(request).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn each_place_is_a_request_with_its_own_baseline_and_features() {
        let request: MultiSlotRankRequest = serde_json::from_value(json!({
            "actions": [{"id": "a"}, {"id": "b"}, {"id": "c"}],
            "slots": [
                {"id": "top", "features": [{"size": "large"}], "excludedActions": ["c"], "baselineAction": "b"},
                {"id": "side", "baselineAction": "c"}
            ]
        }))
        .unwrap();
        let requests = request.to_decide("offers", "e").unwrap();
        let ids = |i: usize| requests[i].candidates.iter().map(|c| c.arm_id.as_str()).collect::<Vec<_>>();
        assert_eq!((ids(0), ids(1)), (vec!["b", "a"], vec!["c", "a", "b"]));
        assert_eq!(requests[0].context["slot.size"].value, Some(Feature::Text("large".into())));
        assert_eq!(requests[1].context["slot.id"].value, Some(Feature::Text("side".into())));
        assert_eq!(requests[1].request_id, "e/side");
        let few = MultiSlotRankRequest { actions: request.actions[..1].to_vec(), ..request };
        assert!(few.to_decide("offers", "e").unwrap_err().to_string().contains("as many actions as slots"));
    }
}
