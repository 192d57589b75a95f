//! What rules ask of a slate, position by position.
//!
//! A rule narrows who may take a position; the policy's pmf is then formed over those who may, and
//! drawn from. So what a rule forces has propensity 1, what it forbids 0, and whatever is left the
//! probability it was really drawn with.
//!
//! Where rules contradict each other the one that comes first here has its way: a pin of this position,
//! what is kept for pins further down, how far arms may move, quotas. None empties a position.
//!
//! Deliberately not here: whom a rule is about, and why.

/// What a slate must obey beyond its scores: of each list one entry per candidate, or none at all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Constraints {
    /// The least probability of each at every position, 0 to 1.
    pub floors: Vec<f64>,
    /// The greatest, above 0 up to 1.
    pub ceilings: Vec<f64>,
    /// Positions that go to certain candidates.
    pub pins: Vec<Pin>,
    /// The first and the last position, from 0, of those that may not move freely.
    pub windows: Vec<Option<(usize, usize)>>,
    /// How values are spread.
    pub quotas: Vec<Quota>,
}

/// A position that goes to one of certain candidates.
#[derive(Debug, Clone, PartialEq)]
pub struct Pin {
    /// The position, from 0.
    pub position: usize,
    /// Whether it may go to each candidate.
    pub to: Vec<bool>,
}

/// How values are spread over the first positions.
#[derive(Debug, Clone, PartialEq)]
pub struct Quota {
    /// The value of each candidate; none: it has none.
    pub values: Vec<Option<u32>>,
    /// How many positions it is about.
    pub top: usize,
    /// At least so many different values.
    pub min_values: Option<usize>,
    /// At most so many candidates of one value.
    pub max_per_value: Option<usize>,
}

/// What rules made of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Narrowed {
    /// Nothing.
    #[default]
    No,
    /// Somebody who was left may not take it.
    Yes,
}

/// Who may take a position: those of the `left` candidates that are `active`.
struct OpenPosition<'a> {
    left: &'a [usize],
    active: &'a mut [bool],
    narrowed: Narrowed,
}

impl OpenPosition<'_> {
    fn candidates(&self) -> impl Iterator<Item = usize> + '_ {
        self.left.iter().zip(self.active.iter()).filter(|(_, a)| **a).map(|(&candidate, _)| candidate)
    }

    /// Leaves only those who are `wanted`, unless that would be nobody; says whether it did.
    fn keep(&mut self, wanted: impl Fn(usize) -> bool) -> bool {
        if !self.candidates().any(&wanted) {
            return false;
        }
        for (&candidate, active) in self.left.iter().zip(self.active.iter_mut()) {
            if *active && !wanted(candidate) {
                *active = false;
                self.narrowed = Narrowed::Yes;
            }
        }
        true
    }
}

impl Constraints {
    /// Whether positions are open to all.
    pub fn is_empty(&self) -> bool {
        self.pins.is_empty() && self.windows.is_empty() && self.quotas.is_empty()
    }

    /// Narrows who of the `left` that are `active` may take the position after the candidates `drawn`, of a slate
    /// with so many `places`.
    pub(super) fn narrow(&self, drawn: &[usize], left: &[usize], places: usize, active: &mut [bool]) -> Narrowed {
        if self.is_empty() {
            return Narrowed::No;
        }
        let mut open = OpenPosition { left, active, narrowed: Narrowed::No };
        self.pin(drawn.len(), places, &mut open);
        self.move_within(drawn.len(), places, &mut open);
        for quota in &self.quotas {
            quota.narrow(drawn, places, &mut open);
        }
        open.narrowed
    }

    /// Whether a slate of these of `n` candidates could have been drawn.
    pub fn allows(&self, slate: &[usize], n: usize) -> bool {
        let left: Vec<usize> = (0..n).collect();
        (0..slate.len()).all(|at| {
            let mut active: Vec<bool> = left.iter().map(|i| !slate[..at].contains(i)).collect();
            self.narrow(&slate[..at], &left, slate.len(), &mut active);
            active[slate[at]]
        })
    }

    fn pin(&self, position: usize, places: usize, open: &mut OpenPosition<'_>) {
        // Counted before this position takes any of them.
        let there: Vec<usize> = open.candidates().collect();
        for pin in self.pins.iter().filter(|pin| pin.position == position) {
            open.keep(|i| pin.to[i]);
        }
        let later = |pin: &&Pin| (position + 1..places).contains(&pin.position);
        for pin in self.pins.iter().filter(later) {
            // Whoever may take one of these positions may take this one too.
            let within = |other: &&Pin| other.to.iter().zip(&pin.to).all(|(other, this)| !other || *this);
            let needed = self.pins.iter().filter(later).filter(within).count();
            if there.iter().filter(|&&i| pin.to[i]).count() <= needed {
                open.keep(|i| !pin.to[i]);
            }
        }
    }

    fn move_within(&self, position: usize, places: usize, open: &mut OpenPosition<'_>) {
        if self.windows.is_empty() {
            return;
        }
        // Once as many are due by some position as there is room for, one of them has to go now: those that may not
        // stand here yet among them.
        let mut due: Vec<usize> = open
            .candidates()
            .filter_map(|i| self.windows[i])
            .map(|(_, last)| last)
            .filter(|&last| last < places)
            .collect();
        due.sort_unstable();
        open.keep(|i| self.windows[i].is_none_or(|(first, _)| first <= position));
        let full = due.iter().enumerate().find(|&(before, &last)| position + before >= last);
        if let Some((_, &by)) = full {
            open.keep(|i| self.windows[i].is_some_and(|(_, last)| last <= by));
        }
    }
}

impl Quota {
    fn narrow(&self, drawn: &[usize], places: usize, open: &mut OpenPosition<'_>) {
        let (position, top) = (drawn.len(), self.top.min(places));
        if position >= top {
            return;
        }
        let mut taken: Vec<u32> = drawn.iter().filter_map(|&i| self.values[i]).collect();
        taken.sort_unstable();
        let count = |value: u32| taken.iter().filter(|&&v| v == value).count();
        if let Some(most) = self.max_per_value {
            open.keep(|i| self.values[i].is_none_or(|value| count(value) < most));
        }
        let mut distinct = taken.clone();
        distinct.dedup();
        if self.min_values.is_some_and(|least| least.saturating_sub(distinct.len()) >= top - position)
            && self.min_values > Some(distinct.len())
        {
            open.keep(|i| self.values[i].is_some_and(|value| count(value) == 0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that may take the position after `drawn`, of `n` candidates.
    fn allowed(constraints: &Constraints, n: usize, drawn: &[usize], places: usize) -> (Vec<usize>, Narrowed) {
        let left: Vec<usize> = (0..n).collect();
        let mut active: Vec<bool> = left.iter().map(|i| !drawn.contains(i)).collect();
        let narrowed = constraints.narrow(drawn, &left, places, &mut active);
        (left.into_iter().filter(|&i| active[i]).collect(), narrowed)
    }

    fn to(n: usize, who: &[usize]) -> Vec<bool> {
        (0..n).map(|i| who.contains(&i)).collect()
    }

    #[test]
    fn a_pin_takes_its_position_and_is_kept_for_it() {
        let pins = vec![Pin { position: 2, to: to(5, &[1]) }, Pin { position: 0, to: to(5, &[3, 4]) }];
        let rules = Constraints { pins, ..Constraints::default() };
        assert_eq!(allowed(&rules, 5, &[], 3), (vec![3, 4], Narrowed::Yes));
        assert_eq!(allowed(&rules, 5, &[3], 3), (vec![0, 2, 4], Narrowed::Yes));
        assert_eq!(allowed(&rules, 5, &[3, 0], 3), (vec![1], Narrowed::Yes));
        // A slate of two never gets to the third position.
        assert_eq!(allowed(&rules, 5, &[3], 2), (vec![0, 1, 2, 4], Narrowed::No));
        // The second position takes whom only it can have, so that the third has somebody left.
        let pins = vec![Pin { position: 1, to: to(3, &[0]) }, Pin { position: 2, to: to(3, &[0, 1]) }];
        let nested = Constraints { pins, ..Constraints::default() };
        assert_eq!(allowed(&nested, 3, &[], 3).0, [2]);
        // A pin of what is not there narrows nothing.
        let gone = Constraints { pins: vec![Pin { position: 0, to: to(3, &[]) }], ..Constraints::default() };
        assert_eq!(allowed(&gone, 3, &[], 1), (vec![0, 1, 2], Narrowed::No));
    }

    /// Every order that the windows leave open, against all orders filtered by hand.
    #[test]
    fn whatever_is_drawn_nobody_moves_too_far() {
        for (n, most, places) in [(5, 1, 5), (5, 2, 5), (6, 2, 3), (4, 0, 4)] {
            let windows = (0..n).map(|i: usize| Some((i.saturating_sub(most), i + most))).collect();
            let rules = Constraints { windows, ..Constraints::default() };
            let mut orders = vec![Vec::new()];
            for _ in 0..places {
                orders = orders
                    .iter()
                    .flat_map(|drawn: &Vec<usize>| {
                        let next = allowed(&rules, n, drawn, places).0;
                        next.into_iter().map(|i| [drawn.as_slice(), &[i]].concat()).collect::<Vec<_>>()
                    })
                    .collect();
            }
            let mut all = vec![Vec::new()];
            for _ in 0..n {
                all = all
                    .iter()
                    .flat_map(|drawn: &Vec<usize>| {
                        (0..n)
                            .filter(|i| !drawn.contains(i))
                            .map(|i| [drawn.as_slice(), &[i]].concat())
                            .collect::<Vec<_>>()
                    })
                    .collect();
            }
            let far = |order: &Vec<usize>| order.iter().enumerate().any(|(at, &i)| at.abs_diff(i) > most);
            let mut want: Vec<Vec<usize>> =
                all.into_iter().filter(|order| !far(order)).map(|order| order[..places].to_vec()).collect();
            want.sort();
            want.dedup();
            orders.sort();
            assert_eq!(orders, want, "{n} candidates, {most} positions, {places} places");
        }
    }

    /// Two are due at the third position, one of which may not stand anywhere else: the other goes before.
    #[test]
    fn who_may_not_stand_here_yet_is_reckoned_with() {
        let windows = vec![None, Some((0, 2)), Some((2, 2)), None];
        let rules = Constraints { windows, ..Constraints::default() };
        assert_eq!(allowed(&rules, 4, &[0], 4).0, [1]);
    }

    #[test]
    fn quotas_leave_room_for_the_values_that_are_asked_for() {
        let values = vec![Some(0), Some(0), Some(0), Some(1), None];
        let rules = |min_values, max_per_value| Constraints {
            quotas: vec![Quota { values: values.clone(), top: 3, min_values, max_per_value }],
            ..Constraints::default()
        };
        assert_eq!(allowed(&rules(Some(2), None), 5, &[0, 1], 5).0, [3], "the last of the top three");
        assert_eq!(allowed(&rules(Some(2), None), 5, &[0, 3], 5).0, [1, 2, 4], "there are two already");
        assert_eq!(allowed(&rules(Some(2), None), 5, &[0, 1, 3], 5).0, [2, 4], "below the top anything goes");
        assert_eq!(allowed(&rules(None, Some(1)), 5, &[0], 5).0, [3, 4]);
        assert_eq!(allowed(&rules(Some(3), None), 4, &[0], 4).0, [3], "as many as there are");
        assert_eq!(allowed(&rules(Some(0), None), 5, &[0, 1], 5).1, Narrowed::No);
    }
}
