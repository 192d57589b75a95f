//! Catalogues of the past: the arms that a live server could have shown when it decided.
//!
//! The slots receive changes in batches, each before the visit that meets it. A decision can have been made before or
//! after every batch that was unanswered when it was requested, and every batch that was sent before its own answer
//! came. A decision is assessed by the first of these catalogues:
//!
//! * the catalogue that its visit met, if the shown arms could be shown there;
//! * the nearest one in time that explains the shown arms, later ones first;
//! * all of them together.
//!
//! No server is thus blamed for arms that it was allowed to show under one of them, and regret is relative to the best
//! of the catalogue that explains the shown arms.
//!
//! Invariants:
//!
//! * An earlier or later catalogue differs from the one that the visit met only in the arms of the batches in between.
//! * A batch is dropped once every slot has answered it and no decision requested before that is under way.

use std::{
    collections::{BTreeMap, VecDeque},
    iter::once,
    sync::Arc,
};

use crate::run::episode::catalogue::CurrentCatalogue;

/// Changes that were sent together.
#[derive(Debug)]
struct ChangeBatch {
    /// The arms that the changes are about.
    arms: Vec<usize>,
    before: Arc<CurrentCatalogue>,
    after: Arc<CurrentCatalogue>,
}

/// State of the batches when decisions were requested.
#[derive(Debug)]
pub(super) struct CatalogueVersion {
    /// The catalogue that the visit met.
    catalogue: Arc<CurrentCatalogue>,
    /// Number of batches sent.
    sent: u64,
    /// Number of batches answered, by policy.
    answered: Vec<u64>,
}

impl CatalogueVersion {
    /// Returns the number of batches that all policies had answered.
    fn by_all(&self) -> u64 {
        self.answered.iter().copied().min().unwrap_or(self.sent)
    }
}

/// The current catalogue, and past ones as long as they matter.
#[derive(Debug)]
pub(super) struct CatalogueHistory {
    now: Arc<CurrentCatalogue>,
    /// Batches that can still matter, in the order of sending.
    batches: VecDeque<ChangeBatch>,
    sent: u64,
    answered: Vec<u64>,
    /// Decisions under way, by the number of batches answered when they were requested.
    under_way: BTreeMap<u64, usize>,
}

impl CatalogueHistory {
    /// Returns the history at the start, for this number of policies.
    pub(super) fn new(catalogue: CurrentCatalogue, policies: usize) -> Self {
        Self {
            now: Arc::new(catalogue),
            batches: VecDeque::new(),
            sent: 0,
            answered: vec![0; policies],
            under_way: BTreeMap::new(),
        }
    }

    /// Returns the current catalogue.
    pub(super) fn now(&self) -> Arc<CurrentCatalogue> {
        Arc::clone(&self.now)
    }

    /// Sets the current catalogue without a change for the slots.
    pub(super) fn set(&mut self, catalogue: &CurrentCatalogue) {
        if *self.now != *catalogue {
            self.now = Arc::new(catalogue.clone());
        }
    }

    /// Sets the current catalogue after changes of these arms were sent to the slots. Returns the batch's number.
    pub(super) fn announce(&mut self, catalogue: &CurrentCatalogue, arms: Vec<usize>) -> u64 {
        let before = self.now();
        self.set(catalogue);
        self.batches.push_back(ChangeBatch { arms, before, after: self.now() });
        self.sent += 1;
        self.sent
    }

    /// Records that a policy's slot has received a whole batch.
    pub(super) fn received(&mut self, policy: usize, batch: u64) {
        self.answered[policy] = batch;
        self.drop_old();
    }

    /// Records that this many decisions are requested, and returns the state of the batches.
    pub(super) fn record_requests(&mut self, decisions: usize) -> CatalogueVersion {
        let version = CatalogueVersion { catalogue: self.now(), sent: self.sent, answered: self.answered.clone() };
        if decisions > 0 {
            *self.under_way.entry(version.by_all()).or_default() += decisions;
        }
        version
    }

    /// Records that one of these decisions is no longer under way.
    pub(super) fn done(&mut self, version: &CatalogueVersion) {
        let at = version.by_all();
        if let Some(count) = self.under_way.get_mut(&at) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(&at);
            }
        }
        self.drop_old();
    }

    fn drop_old(&mut self) {
        let answered = self.answered.iter().copied().min().unwrap_or(self.sent);
        let certain = self.under_way.keys().next().map_or(answered, |&first| first.min(answered));
        while self.first() <= certain && self.batches.pop_front().is_some() {}
    }

    /// Returns the number of the first batch that is kept.
    fn first(&self) -> u64 {
        self.sent + 1 - self.batches.len() as u64
    }

    /// Returns the batches from one number to another, both included.
    fn between(&self, from: u64, until: u64) -> impl DoubleEndedIterator<Item = &ChangeBatch> {
        let at = |number: u64| usize::try_from(number.saturating_sub(self.first())).unwrap_or(usize::MAX);
        self.batches.range(at(from).min(self.batches.len())..at(until + 1).min(self.batches.len()))
    }

    /// Returns the catalogue that an answered decision of a policy is assessed by. Of `count` arms these were chosen.
    pub(super) fn catalogue_of(
        &self,
        policy: usize,
        version: &CatalogueVersion,
        chosen: &[usize],
        count: usize,
    ) -> Arc<CurrentCatalogue> {
        let own = &version.catalogue;
        let (mut later, mut earlier) = (Vec::new(), Vec::new());
        let mut arms = Vec::new();
        for batch in self.between(version.sent + 1, self.sent) {
            arms.extend_from_slice(&batch.arms);
            later.push(Arc::new(own.with(&arms, &batch.after)));
        }
        arms.clear();
        for batch in self.between(version.answered[policy] + 1, version.sent).rev() {
            arms.extend_from_slice(&batch.arms);
            earlier.push(Arc::new(own.with(&arms, &batch.before)));
        }
        if later.is_empty() && earlier.is_empty() {
            return Arc::clone(own);
        }
        let all = || once(own).chain(&later).chain(&earlier);
        let allows = |catalogue: &&Arc<CurrentCatalogue>| chosen.iter().all(|&arm| catalogue.may_show(arm));
        // A slot that shows fewer arms than it may has reasons of its own, or does not have the arms.
        let fills = |catalogue: &&Arc<CurrentCatalogue>| {
            let may = (0..catalogue.present.len()).filter(|&arm| catalogue.may_show(arm)).count();
            chosen.len() == count.min(may)
        };
        let explains = all().filter(allows).find(fills).or_else(|| all().find(allows));
        explains.map_or_else(
            || {
                let mut any = (**own).clone();
                all().for_each(|catalogue| any.or(catalogue));
                Arc::new(any)
            },
            Arc::clone,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        environment::Environment,
        run::episode::Setup,
        scenario::{Changes, load, time::Moment},
    };

    /// Returns a catalogue of six arms, of which these may be shown.
    fn catalogue(may: [bool; 6]) -> CurrentCatalogue {
        let loaded = load(
            "search-ranking",
            &Changes { set: vec!["catalogue.generated.count=6".to_owned()], ..Changes::default() },
        );
        let loaded = loaded.unwrap();
        let setup = Setup::new(&loaded.scenario, 1).unwrap();
        let environment = Environment::new(&loaded.scenario, &setup.slot.goal, 1, 0).unwrap();
        let start = Moment { index: 0, horizon: loaded.scenario.horizon, at_us: 0.0 };
        let mut catalogue = CurrentCatalogue::new(&environment, start);
        (catalogue.present, catalogue.in_stock, catalogue.known_in_stock) = (may.to_vec(), may.to_vec(), may.to_vec());
        catalogue
    }

    const ALL: [bool; 6] = [true; 6];

    fn without(arms: &[usize]) -> [bool; 6] {
        std::array::from_fn(|i| !arms.contains(&i))
    }

    fn may(catalogue: &CurrentCatalogue) -> Vec<usize> {
        (0..6).filter(|&i| catalogue.may_show(i)).collect()
    }

    /// Decisions are requested between two batches, with none answered. Arm 0 leaves before the request, arm 1 joins
    /// after it and arm 2 leaves then.
    #[test]
    fn a_decision_is_assessed_by_the_catalogue_that_explains_the_shown_arms() {
        let mut catalogues = CatalogueHistory::new(catalogue(without(&[1])), 2);
        catalogues.announce(&catalogue(without(&[0, 1])), vec![0]);
        let version = catalogues.record_requests(2);
        assert_eq!(may(&catalogues.catalogue_of(0, &version, &[2], 1)), [2, 3, 4, 5], "its own");
        assert_eq!(may(&catalogues.catalogue_of(0, &version, &[0], 1)), [0, 2, 3, 4, 5], "as it was");
        catalogues.announce(&catalogue(without(&[0])), vec![1]);
        catalogues.announce(&catalogue(without(&[0, 2])), vec![2]);
        assert_eq!(may(&catalogues.catalogue_of(0, &version, &[2], 1)), [2, 3, 4, 5], "its own still");
        assert_eq!(
            may(&catalogues.catalogue_of(0, &version, &[1], 1)),
            [1, 2, 3, 4, 5],
            "what came since, and no more"
        );
        assert_eq!(may(&catalogues.catalogue_of(0, &version, &[3, 4, 5, 1], 4)), [1, 2, 3, 4, 5]);
        assert_eq!(
            may(&catalogues.catalogue_of(0, &version, &[3, 1, 4, 5], 5)),
            [1, 3, 4, 5],
            "no more were there to show"
        );
        assert_eq!(
            may(&catalogues.catalogue_of(0, &version, &[0, 1], 2)),
            [0, 1, 2, 3, 4, 5],
            "no one of them explains that"
        );

        // The other policy's slot had received the first batch when this was requested.
        catalogues.received(1, 1);
        let version = catalogues.record_requests(2);
        assert_eq!(
            may(&catalogues.catalogue_of(0, &version, &[0], 1)),
            [0, 2, 3, 4, 5],
            "the first may receive it late"
        );
        assert_eq!(
            may(&catalogues.catalogue_of(1, &version, &[0], 1)),
            [1, 2, 3, 4, 5],
            "the second may not, and all is against it"
        );
    }

    /// Stock that changes without a message to the slots stays as the visit met it.
    #[test]
    fn arms_without_changes_stay_as_the_visit_met_them() {
        let mut catalogues = CatalogueHistory::new(catalogue(ALL), 1);
        let version = catalogues.record_requests(1);
        let mut sold = catalogue(ALL);
        sold.in_stock[3] = false;
        catalogues.set(&sold);
        let mut gone = sold.clone();
        gone.present[0] = false;
        catalogues.announce(&gone, vec![0]);
        let mut answers_to = gone.clone();
        (answers_to.present[0], answers_to.launched[0]) = (true, Some(7));
        catalogues.announce(&answers_to, vec![0]);
        let judged = catalogues.catalogue_of(0, &version, &[0, 1, 2, 4, 5], 5);
        assert!(judged.in_stock[3], "{judged:?}");
        let judged = catalogues.catalogue_of(0, &version, &[1, 2, 3, 4, 5], 6);
        assert!(judged.in_stock[3] && !judged.present[0], "{judged:?}");
    }

    #[test]
    fn batches_are_dropped_once_they_cannot_matter() {
        let mut catalogues = CatalogueHistory::new(catalogue(ALL), 2);
        let early = catalogues.record_requests(2);
        for out in 0..5 {
            let number = catalogues.announce(&catalogue(without(&[out])), vec![out, (out + 5) % 6]);
            catalogues.received(0, number);
        }
        let late = catalogues.record_requests(2);
        assert_eq!(catalogues.batches.len(), 5);
        catalogues.received(1, 5);
        catalogues.done(&early);
        assert_eq!(catalogues.batches.len(), 5, "one that was asked for before all of them is under way");
        catalogues.done(&early);
        assert_eq!(catalogues.batches.len(), 5, "and one whose second policy may have heard of none");
        (0..2).for_each(|_| catalogues.done(&late));
        assert_eq!((catalogues.batches.len(), catalogues.under_way.len()), (0, 0));
        let certain = catalogues.record_requests(1);
        assert_eq!(may(&catalogues.catalogue_of(0, &certain, &[4], 1)), [0, 1, 2, 3, 5], "that is the server's fault");
        catalogues.announce(&catalogue(ALL), vec![4]);
        assert_eq!(may(&catalogues.catalogue_of(0, &certain, &[4], 1)), [0, 1, 2, 3, 4, 5]);
        catalogues.done(&certain);
        assert_eq!(catalogues.batches.len(), 1, "it is unanswered");
        catalogues.received(0, 6);
        catalogues.received(1, 6);
        assert_eq!(catalogues.batches.len(), 0);
        // An unchanged catalogue adds no entry either.
        (7..1000).for_each(|n| {
            let version = catalogues.record_requests(2);
            assert_eq!(catalogues.announce(&numbered_catalogue(n), vec![0]), n);
            (0..2).for_each(|policy| catalogues.received(policy, n));
            (0..2).for_each(|_| catalogues.done(&version));
            assert!(catalogues.batches.is_empty());
        });
    }

    fn numbered_catalogue(n: u64) -> CurrentCatalogue {
        thread_local!(static BOTH: [CurrentCatalogue; 2] = [catalogue(ALL), catalogue(without(&[0]))]);
        BOTH.with(|both| both[usize::from(n.is_multiple_of(2))].clone())
    }
}
