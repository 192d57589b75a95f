//! What was on the catalogue when a server decided, as far as anybody can say.
//!
//! The slots are told of changes in batches, each before the visit that meets it. A decision may have been made before or
//! after every batch that was unanswered when it was asked for, and every one that was sent before its own answer came.
//! The rule: it is judged by the catalogue that its visit met, if what was shown could be shown there; else by the nearest
//! one in time, later ones first, that explains it; else by all of them together. So no server is blamed for what it was
//! allowed to do under one of them, and regret is over the best of the catalogue that explains what was shown.
//!
//! Invariants: of a catalogue before or after, only the arms that the batches between are about count; everything else is as
//! the visit met it. A batch is dropped once every slot has answered it and no decision that was asked for before that
//! is under way.

use std::{
    collections::{BTreeMap, VecDeque},
    iter::once,
    sync::Arc,
};

use crate::run::episode::catalogue::CurrentCatalogue;

/// Changes that were sent together.
#[derive(Debug)]
struct Batch {
    /// The arms that they are about.
    arms: Vec<usize>,
    before: Arc<CurrentCatalogue>,
    after: Arc<CurrentCatalogue>,
}

/// What was sent and answered of batches when decisions were asked for.
#[derive(Debug)]
pub(super) struct CatalogueVersion {
    /// The catalogue that the visit met.
    catalogue: Arc<CurrentCatalogue>,
    /// Batches that were sent.
    sent: u64,
    /// Batches that were answered, by policy.
    answered: Vec<u64>,
}

impl CatalogueVersion {
    /// Batches that had been answered for all policies.
    fn by_all(&self) -> u64 {
        self.answered.iter().copied().min().unwrap_or(self.sent)
    }
}

/// The catalogue as it is and, as long as that matters, as it was.
#[derive(Debug)]
pub(super) struct CatalogueHistory {
    now: Arc<CurrentCatalogue>,
    /// Those that may still matter, in the order in which they were sent.
    batches: VecDeque<Batch>,
    sent: u64,
    answered: Vec<u64>,
    /// Decisions under way, by how many batches were answered when they were asked for.
    under_way: BTreeMap<u64, usize>,
}

impl CatalogueHistory {
    /// At the start, for so many policies.
    pub(super) fn new(catalogue: CurrentCatalogue, policies: usize) -> Self {
        Self {
            now: Arc::new(catalogue),
            batches: VecDeque::new(),
            sent: 0,
            answered: vec![0; policies],
            under_way: BTreeMap::new(),
        }
    }

    /// The catalogue as it is.
    pub(super) fn now(&self) -> Arc<CurrentCatalogue> {
        Arc::clone(&self.now)
    }

    /// The catalogue is now so; the slots need not hear of it.
    pub(super) fn set(&mut self, catalogue: &CurrentCatalogue) {
        if *self.now != *catalogue {
            self.now = Arc::new(catalogue.clone());
        }
    }

    /// The same, and the slots are told, of these arms; the batch's number.
    pub(super) fn tell(&mut self, catalogue: &CurrentCatalogue, arms: Vec<usize>) -> u64 {
        let before = self.now();
        self.set(catalogue);
        self.batches.push_back(Batch { arms, before, after: self.now() });
        self.sent += 1;
        self.sent
    }

    /// A policy's slot has heard all of a batch.
    pub(super) fn told(&mut self, policy: usize, batch: u64) {
        self.answered[policy] = batch;
        self.drop_old();
    }

    /// So many decisions are asked for.
    pub(super) fn ask(&mut self, decisions: usize) -> CatalogueVersion {
        let version = CatalogueVersion { catalogue: self.now(), sent: self.sent, answered: self.answered.clone() };
        if decisions > 0 {
            *self.under_way.entry(version.by_all()).or_default() += decisions;
        }
        version
    }

    /// One of them is no longer under way.
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

    /// The number of the first batch that is kept.
    fn first(&self) -> u64 {
        self.sent + 1 - self.batches.len() as u64
    }

    /// Batches from one number to another, that among them.
    fn between(&self, from: u64, until: u64) -> impl DoubleEndedIterator<Item = &Batch> {
        let at = |number: u64| usize::try_from(number.saturating_sub(self.first())).unwrap_or(usize::MAX);
        self.batches.range(at(from).min(self.batches.len())..at(until + 1).min(self.batches.len()))
    }

    /// The catalogue by which a policy's decision is judged whose answer has come: of `count` arms, these were chosen.
    pub(super) fn judge(
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
        // A slot that shows fewer arms than it may has reasons of its own, or does not have them.
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

    /// Six arms, of which these may be shown.
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
        (catalogue.present, catalogue.in_stock, catalogue.told) = (may.to_vec(), may.to_vec(), may.to_vec());
        catalogue
    }

    const ALL: [bool; 6] = [true; 6];

    fn without(arms: &[usize]) -> [bool; 6] {
        std::array::from_fn(|i| !arms.contains(&i))
    }

    fn may(catalogue: &CurrentCatalogue) -> Vec<usize> {
        (0..6).filter(|&i| catalogue.may_show(i)).collect()
    }

    /// Asked for between two batches, with none answered: 0 leaves before it, 1 comes after it and 2 leaves then.
    #[test]
    fn a_decision_is_judged_by_the_shelf_that_explains_what_was_shown() {
        let mut catalogues = CatalogueHistory::new(catalogue(without(&[1])), 2);
        catalogues.tell(&catalogue(without(&[0, 1])), vec![0]);
        let version = catalogues.ask(2);
        assert_eq!(may(&catalogues.judge(0, &version, &[2], 1)), [2, 3, 4, 5], "its own");
        assert_eq!(may(&catalogues.judge(0, &version, &[0], 1)), [0, 2, 3, 4, 5], "as it was");
        catalogues.tell(&catalogue(without(&[0])), vec![1]);
        catalogues.tell(&catalogue(without(&[0, 2])), vec![2]);
        assert_eq!(may(&catalogues.judge(0, &version, &[2], 1)), [2, 3, 4, 5], "its own still");
        assert_eq!(may(&catalogues.judge(0, &version, &[1], 1)), [1, 2, 3, 4, 5], "what came since, and no more");
        assert_eq!(may(&catalogues.judge(0, &version, &[3, 4, 5, 1], 4)), [1, 2, 3, 4, 5]);
        assert_eq!(may(&catalogues.judge(0, &version, &[3, 1, 4, 5], 5)), [1, 3, 4, 5], "no more were there to show");
        assert_eq!(may(&catalogues.judge(0, &version, &[0, 1], 2)), [0, 1, 2, 3, 4, 5], "no one of them explains that");

        // The other policy's slot had been told of the first batch when this was asked for.
        catalogues.told(1, 1);
        let version = catalogues.ask(2);
        assert_eq!(may(&catalogues.judge(0, &version, &[0], 1)), [0, 2, 3, 4, 5], "the first may be told of it late");
        assert_eq!(
            may(&catalogues.judge(1, &version, &[0], 1)),
            [1, 2, 3, 4, 5],
            "the second may not, and all is against it"
        );
    }

    /// What was in stock or not without a word to the slots stays as the visit met it.
    #[test]
    fn arms_that_no_batch_is_about_are_as_the_visit_met_them() {
        let mut catalogues = CatalogueHistory::new(catalogue(ALL), 1);
        let version = catalogues.ask(1);
        let mut sold = catalogue(ALL);
        sold.in_stock[3] = false;
        catalogues.set(&sold);
        let mut gone = sold.clone();
        gone.present[0] = false;
        catalogues.tell(&gone, vec![0]);
        let mut answers_to = gone.clone();
        (answers_to.present[0], answers_to.launched[0]) = (true, Some(7));
        catalogues.tell(&answers_to, vec![0]);
        let judged = catalogues.judge(0, &version, &[0, 1, 2, 4, 5], 5);
        assert!(judged.in_stock[3], "{judged:?}");
        let judged = catalogues.judge(0, &version, &[1, 2, 3, 4, 5], 6);
        assert!(judged.in_stock[3] && !judged.present[0], "{judged:?}");
    }

    #[test]
    fn batches_are_dropped_once_they_can_matter_no_more() {
        let mut catalogues = CatalogueHistory::new(catalogue(ALL), 2);
        let early = catalogues.ask(2);
        for out in 0..5 {
            let number = catalogues.tell(&catalogue(without(&[out])), vec![out, (out + 5) % 6]);
            catalogues.told(0, number);
        }
        let late = catalogues.ask(2);
        assert_eq!(catalogues.batches.len(), 5);
        catalogues.told(1, 5);
        catalogues.done(&early);
        assert_eq!(catalogues.batches.len(), 5, "one that was asked for before all of them is under way");
        catalogues.done(&early);
        assert_eq!(catalogues.batches.len(), 5, "and one whose second policy may have heard of none");
        (0..2).for_each(|_| catalogues.done(&late));
        assert_eq!((catalogues.batches.len(), catalogues.under_way.len()), (0, 0));
        let certain = catalogues.ask(1);
        assert_eq!(may(&catalogues.judge(0, &certain, &[4], 1)), [0, 1, 2, 3, 5], "that is the server's fault");
        catalogues.tell(&catalogue(ALL), vec![4]);
        assert_eq!(may(&catalogues.judge(0, &certain, &[4], 1)), [0, 1, 2, 3, 4, 5]);
        catalogues.done(&certain);
        assert_eq!(catalogues.batches.len(), 1, "it is unanswered");
        catalogues.told(0, 6);
        catalogues.told(1, 6);
        assert_eq!(catalogues.batches.len(), 0);
        // Without one in between nothing grows either.
        (7..1000).for_each(|n| {
            let version = catalogues.ask(2);
            assert_eq!(catalogues.tell(&shelf_of(n), vec![0]), n);
            (0..2).for_each(|policy| catalogues.told(policy, n));
            (0..2).for_each(|_| catalogues.done(&version));
            assert!(catalogues.batches.is_empty());
        });
    }

    fn shelf_of(n: u64) -> CurrentCatalogue {
        thread_local!(static BOTH: [CurrentCatalogue; 2] = [catalogue(ALL), catalogue(without(&[0]))]);
        BOTH.with(|both| both[usize::from(n.is_multiple_of(2))].clone())
    }
}
