//! Shopper events and profiles, as callers of a node use them.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Node, ShopperRequest, WriteError, day_of, queue::ShopperBatch};
use crate::{
    engine::{ProfileKey, Request, ShopperEffect, ShopperProfile, ShopperView, SlotView, Subject},
    slot::Consent,
};

/// Returns an entry of the published profiles for one of the state.
pub(super) fn shared_profile((key, profile): (ProfileKey, &Arc<ShopperProfile>)) -> (ProfileKey, Arc<ShopperProfile>) {
    (key, Arc::clone(profile))
}

/// Shopper of one call, looked up once: requests of a page that name the same subject get the same pseudonym, and features of
/// the same profiles, whatever events arrive meanwhile.
#[derive(Debug, Default)]
pub(super) struct CallShopper {
    /// Subject as the last request named it, as far as its consent went.
    named: Subject,
    pseudonym: Subject,
    /// Profiles of the subject, with the kind of slots that they are of: `true` for simulated ones.
    profiles: Option<(bool, ShopperView)>,
}

impl Node {
    /// Hands shopper events to the writer at once, and gives back what to wait on. With `validate_only` nothing is written, and the effects are those that the events would have.
    pub fn record_shoppers(
        &self,
        mut events: Vec<ShopperRequest>,
        validate_only: bool,
    ) -> Result<impl Future<Output = Result<Vec<ShopperEffect>, WriteError>> + use<>, WriteError> {
        self.writable()?;
        let day = day_of(self.now_us());
        for ShopperRequest { event, consent, .. } in &mut events {
            event.consent = consent.unwrap_or(self.default_consent);
            event.keep_us = self.keep_profiles_us;
            let whole = std::mem::take(&mut event.subject);
            let allowed = whole.clone().as_far_as(event.consent);
            // A consent that was given takes back what a higher one had allowed.
            if consent.is_some() {
                let withdrawn = Subject {
                    id: if allowed.id.is_empty() { whole.id } else { String::new() },
                    session_id: if allowed.session_id.is_empty() { whole.session_id } else { String::new() },
                };
                event.withdrawn = self.subjects.unnamed_pseudonym(&withdrawn);
            }
            event.subject = if validate_only {
                self.subjects.unnamed_pseudonym(&allowed)
            } else {
                self.subjects.pseudonym(&allowed, day)
            };
        }
        let (reply, effects) = oneshot::channel();
        let count = events.len();
        let pushed = self.shared.queue.push_shoppers(ShopperBatch { events, validate_only, reply });
        self.count_refusal("events", count, pushed)?;
        Ok(async { effects.await.unwrap_or(Err(WriteError::Unanswered)) })
    }

    /// Gives the subject of a request, as far as the caller's consent goes, its pseudonym. The conditions of rules still
    /// see its ids.
    pub(super) fn use_pseudonym(
        &self,
        request: &mut Request,
        default_consent: Consent,
        now_us: i64,
        shopper: &mut CallShopper,
    ) {
        let named = std::mem::take(&mut request.subject).as_far_as(request.consent.unwrap_or(default_consent));
        if named == Subject::default() {
            return;
        }
        if shopper.named != named {
            let pseudonym = self.subjects.pseudonym(&named, day_of(now_us));
            *shopper = CallShopper { named: named.clone(), pseudonym, profiles: None };
        }
        request.subject = shopper.pseudonym.clone();
        request.rule_subject = Some(named);
    }

    /// Adds the features of the shopper's profiles to a request. Its subject must be the shopper's pseudonym already, as far
    /// as the request's consent goes.
    pub(super) fn add_profile_features(
        &self,
        request: &mut Request,
        view: &SlotView,
        now_us: i64,
        shopper: &mut CallShopper,
    ) {
        if request.subject == Subject::default() || shopper.profiles.is_none() && self.shared.profiles.is_empty() {
            return;
        }
        let simulated = view.definition.controls.simulated();
        if shopper.profiles.as_ref().is_none_or(|(of, _)| *of != simulated) {
            let find = |key: ProfileKey| self.shared.profiles.get(&key).map(|profile| Arc::clone(&profile));
            shopper.profiles = Some((simulated, ShopperView::find(&request.subject, simulated, now_us, find)));
        }
        if let Some((_, profiles)) = &shopper.profiles {
            profiles.clone().add_features(request, view, now_us);
        }
    }

    /// Adds the features of the item catalogue and of the shopper's profiles to a request that is only tried.
    pub fn add_features_to_trial(&self, request: &mut Request, view: &SlotView, now_us: i64) {
        let subject = request.subject.clone();
        self.items().add_features(request, view);
        let consent = request.consent.unwrap_or(view.definition.default_consent);
        request.subject = self.subjects.unnamed_pseudonym(&subject.clone().as_far_as(consent));
        self.add_profile_features(request, view, now_us, &mut CallShopper::default());
        request.subject = subject;
    }
}
