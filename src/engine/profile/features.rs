//! Features of a request that come from profiles.

use std::sync::Arc;

use super::{
    affinity::Affinities,
    attribute::{ValueKeys, item_key, value_keys},
    matches::{AFFINITY_STEPS, CandidateMatch, CandidateMatches, PRICE_MAX, PRICE_STEPS},
    record::{Seconds, ShopperProfile, seconds},
    store::{ProfileKey, ProfileStore},
};
use crate::{
    bandit::{Features, Value},
    engine::{shopper_event::price_of, subject::Subject},
    slot::{ArmId, ProfileFeatures, limits::FEATURES_MAX},
    stats::math::ln,
};

/// Weight that the session's interest has over the customer's.
const SESSION_FACTOR: f64 = 2.0;
/// Greatest weight of a customer's interest, in clicks, so that a new intent takes over within a session.
const CUSTOMER_MASS_MAX: f64 = 2.0;
/// Weight of no interest at all, in clicks. It keeps one click from counting as certainty.
const NO_INTEREST: f64 = 0.5;
/// Time after the last purchase at which a customer counts as lapsed, seconds.
const LAPSED_S: u32 = 60 * 86_400;

/// Profiles that a decision may use.
#[derive(Debug, Clone, Default)]
pub struct ShopperView {
    session: Option<Arc<ShopperProfile>>,
    customer: Option<Arc<ShopperProfile>>,
}

impl ShopperView {
    /// Finds the profiles of a subject at a time in microseconds since 1970, by a function that returns the profile of a
    /// key. The subject must be as far as its consent goes.
    pub fn find(
        subject: &Subject,
        simulated: bool,
        now_us: i64,
        profile: impl Fn(ProfileKey) -> Option<Arc<ShopperProfile>>,
    ) -> Self {
        let now_s = seconds(now_us);
        let lasting = |key: Option<ProfileKey>| key.and_then(&profile).filter(|profile| !profile.is_over(now_s));
        let customer_key = ProfileStore::customer_key(subject, simulated);
        let session = lasting(ProfileStore::session_key(subject, simulated));
        // A session of another customer says nothing about this one.
        let own = |session: &Arc<ShopperProfile>| {
            session.customer == 0 || customer_key.is_none_or(|key| key == session.customer)
        };
        Self { session: session.filter(own), customer: lasting(customer_key) }
    }

    /// Returns `true` if there is no profile.
    pub fn is_empty(&self) -> bool {
        self.session.is_none() && self.customer.is_none()
    }

    /// Returns the features of session and customer.
    pub fn features(&self, now_us: i64) -> Features {
        let mut features = Features::new();
        self.add_context(&mut features, now_us);
        features
    }

    /// The session's profile and the customer's, as far as they exist.
    pub fn profiles(&self) -> impl Iterator<Item = &Arc<ShopperProfile>> {
        self.session.iter().chain(&self.customer)
    }

    /// Returns the profiles that a slot with this control uses, or `None` if there are none.
    pub(in crate::engine) fn narrowed(&self, wanted: ProfileFeatures) -> Option<Self> {
        let narrowed = match wanted {
            ProfileFeatures::All => self.clone(),
            ProfileFeatures::Session => Self { session: self.session.clone(), customer: None },
            ProfileFeatures::None => Self::default(),
        };
        (narrowed.session.is_some() || narrowed.customer.is_some()).then_some(narrowed)
    }

    /// Adds features of session and customer to a context, whose own features win on a name clash.
    pub(in crate::engine) fn add_context(&self, context: &mut Features, now_us: i64) {
        add_context(context, self.session.as_deref(), self.customer.as_deref(), seconds(now_us));
    }

    /// Returns the matches with candidates, each given by its arm, the attributes of the arm and the candidate's own
    /// features. Returns `None` if the profiles cannot tell one candidate from another.
    pub(in crate::engine) fn matches<'a>(
        &self,
        candidates: impl Iterator<Item = (&'a ArmId, &'a Features, Option<&'a Features>)> + Clone,
    ) -> Option<CandidateMatches> {
        let matcher = Matcher { session: self.session.as_deref(), customer: self.customer.as_deref() };
        if !matcher.knows_anything() {
            return None;
        }
        let matched = candidates
            .clone()
            .zip(0_u32..)
            .map(|((arm, attributes, own), i)| matcher.matched(i, arm.as_str(), attributes, own));
        let notable = matched.filter(CandidateMatch::is_notable).collect();
        Some(CandidateMatches::new(notable, candidates.map(|(_, _, own)| own)))
    }
}

/// Adds features of session and customer to a context.
fn add_context(
    context: &mut Features,
    session: Option<&ShopperProfile>,
    customer: Option<&ShopperProfile>,
    now_s: Seconds,
) {
    let mut add = |name: &str, value: Value| {
        if context.len() < FEATURES_MAX {
            context.entry(name.to_owned()).or_insert(value);
        }
    };
    if let Some(session) = session {
        let stage = match (session.is_buyer(), session.has_cart()) {
            (_, true) => "cart",
            (true, false) => "bought",
            (false, false) => "browsing",
        };
        add("session.stage", Value::Text(stage.to_owned()));
        if let Some(interest) = session.interest() {
            add("session.interest", Value::Text(interest.to_owned()));
        }
        let words: Vec<String> = session.query_words().map(str::to_owned).collect();
        if !words.is_empty() {
            add("session.query", Value::Texts(words));
        }
    }
    if let Some(customer) = customer {
        let lapsed = customer.is_buyer() && now_s.saturating_sub(customer.last_purchase_s()) > LAPSED_S;
        let kind = match (customer.is_buyer(), lapsed) {
            (false, _) => "visitor",
            (true, false) => "buyer",
            (true, true) => "lapsed",
        };
        add("customer.kind", Value::Text(kind.to_owned()));
        if let Some(interest) = customer.interest() {
            add("customer.interest", Value::Text(interest.to_owned()));
        }
    }
}

/// Compares candidates with the profiles of a shopper.
#[derive(Clone, Copy)]
struct Matcher<'a> {
    session: Option<&'a ShopperProfile>,
    customer: Option<&'a ShopperProfile>,
}

impl<'a> Matcher<'a> {
    fn profiles(self) -> impl Iterator<Item = &'a ShopperProfile> {
        self.session.into_iter().chain(self.customer)
    }

    /// Returns `true` if the profiles can tell one candidate from another.
    fn knows_anything(self) -> bool {
        self.profiles().any(|profile| profile.affinities().mass() > 0.0)
    }

    /// Affinities of each profile with their factor.
    fn weighted(self) -> impl Iterator<Item = (f64, &'a Affinities)> {
        let session = self.session.map(|session| (SESSION_FACTOR, session.affinities()));
        let customer = self.customer.map(|customer| {
            let affinities = customer.affinities();
            ((CUSTOMER_MASS_MAX / affinities.mass().max(CUSTOMER_MASS_MAX)).min(1.0), affinities)
        });
        session.into_iter().chain(customer)
    }

    /// Fraction of the shopper's interest that concerns these values, 0 to 1.
    fn affinity(self, keys: &ValueKeys) -> f64 {
        if keys.is_empty() {
            return 0.0;
        }
        let (mut of_values, mut total) = (0.0, NO_INTEREST);
        for (factor, affinities) in self.weighted() {
            total += factor * affinities.mass();
            of_values += factor * keys.iter().map(|&key| affinities.weight(key)).sum::<f64>() / keys.len() as f64;
        }
        (of_values / total).clamp(0.0, 1.0)
    }

    /// Logarithm of a price over the usual one, steps.
    fn price(self, price: f64) -> Option<i8> {
        let (mut weight, mut sum) = (0.0, 0.0);
        for (of_profile, mean) in self.profiles().filter_map(ShopperProfile::ln_price) {
            weight += of_profile;
            sum += of_profile * mean;
        }
        if weight <= 0.0 {
            return None;
        }
        let most = f64::from(PRICE_MAX);
        let steps = (PRICE_STEPS * (ln(price) - sum / weight)).round().clamp(-most, most);
        #[expect(clippy::cast_possible_truncation, reason = "at most 12")]
        let steps = steps as i8;
        Some(steps)
    }

    /// Returns the match of a candidate. Its own features are used where the slot knows no attributes of it.
    fn matched(self, candidate: u32, id: &str, attributes: &Features, own: Option<&Features>) -> CandidateMatch {
        let described = if attributes.is_empty() { own.unwrap_or(attributes) } else { attributes };
        let price = own.and_then(price_of).or_else(|| price_of(attributes));
        let item = item_key(id);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 16")]
        let affinity = (AFFINITY_STEPS * self.affinity(&value_keys(described))).round() as u8;
        CandidateMatch {
            candidate,
            affinity,
            price: price.and_then(|price| self.price(price)),
            seen: self.profiles().any(|profile| profile.has_seen(item)),
            bought: self.profiles().any(|profile| profile.has_bought(item)),
        }
    }
}
