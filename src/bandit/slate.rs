//! Constraints of rules on a slate, position by position.
//!
//! A rule narrows the candidates that may take a position, and the policy's pmf is then formed over those that may. So a
//! forced candidate has propensity 1, a forbidden one has 0, and every other one has the probability with which it was
//! really drawn.
//!
//! If rules contradict each other, the first of this list wins: pins of this position, candidates kept for pins further
//! down, limits on moves, quotas. No constraint empties a position.
//!
//! Deliberately not here: the rules themselves and the arms that they match.

/// Constraints on a slate beyond its scores. Each list has one entry per candidate or is empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Constraints {
    /// Floor of each candidate's probability at every position, 0 to 1.
    pub floors: Vec<f64>,
    /// Ceiling of each candidate's probability, above 0 and at most 1.
    pub ceilings: Vec<f64>,
    /// Positions that are reserved for certain candidates.
    pub pins: Vec<Pin>,
    /// First and last position of each candidate, from 0, or `None` if it may move freely.
    pub windows: Vec<Option<(usize, usize)>>,
    /// Limits on the values among the first positions.
    pub quotas: Vec<Quota>,
}

/// Position that is reserved for certain candidates.
#[derive(Debug, Clone, PartialEq)]
pub struct Pin {
    /// Position, from 0.
    pub position: usize,
    /// Flag of each candidate that says whether it may take the position.
    pub to: Vec<bool>,
}

/// Limit on the values among the first positions.
#[derive(Debug, Clone, PartialEq)]
pub struct Quota {
    /// Value of each candidate, or `None` if it has none.
    pub values: Vec<Option<u32>>,
    /// Number of positions that the limit covers.
    pub top: usize,
    /// Least number of different values.
    pub min_values: Option<usize>,
    /// Greatest number of candidates of one value.
    pub max_per_value: Option<usize>,
}

/// Effect of the constraints on a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Narrowed {
    /// No candidate was excluded.
    #[default]
    No,
    /// Some candidate that was left may not take the position.
    Yes,
}

/// Position that is not drawn yet: those of the `left` candidates that are `active` may take it.
struct OpenPosition<'a> {
    left: &'a [usize],
    active: &'a mut [bool],
    narrowed: Narrowed,
}

impl OpenPosition<'_> {
    fn candidates(&self) -> impl Iterator<Item = usize> + '_ {
        self.left.iter().zip(self.active.iter()).filter(|(_, a)| **a).map(|(&candidate, _)| candidate)
    }

    /// Keeps the `wanted` candidates only, unless there are none. Returns whether it did.
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
    /// Returns whether no constraint narrows a position.
    pub fn is_empty(&self) -> bool {
        self.pins.is_empty() && self.windows.is_empty() && self.quotas.is_empty()
    }

    /// Narrows the `active` candidates among those `left` that may take the position after the candidates `drawn`, in a
    /// slate of `places` positions.
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

    /// Returns whether this slate of `n` candidates could have been drawn.
    pub fn allows(&self, slate: &[usize], n: usize) -> bool {
        let left: Vec<usize> = (0..n).collect();
        (0..slate.len()).all(|at| {
            let mut active: Vec<bool> = left.iter().map(|i| !slate[..at].contains(i)).collect();
            self.narrow(&slate[..at], &left, slate.len(), &mut active);
            active[slate[at]]
        })
    }

    fn pin(&self, position: usize, places: usize, open: &mut OpenPosition<'_>) {
        // The count is from before this position takes any of them.
        let there: Vec<usize> = open.candidates().collect();
        for pin in self.pins.iter().filter(|pin| pin.position == position) {
            open.keep(|i| pin.to[i]);
        }
        let later = |pin: &&Pin| (position + 1..places).contains(&pin.position);
        for pin in self.pins.iter().filter(later) {
            // Every candidate that may take the other position may take this one too.
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
        // One of the candidates due by some position has to take this one if as many of them are left as there are
        // positions until then. Candidates that may not stand here yet count as due.
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

    /// Returns the candidates of `n` that may take the position after `drawn`.
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

    /// The orders that the windows allow equal all orders filtered by hand.
    #[test]
    fn no_candidate_moves_too_far_whatever_is_drawn() {
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

    /// Two candidates are due at the third position, and one of them may not stand anywhere else, so the other goes before.
    #[test]
    fn candidates_that_may_not_stand_here_yet_count_as_due() {
        let windows = vec![None, Some((0, 2)), Some((2, 2)), None];
        let rules = Constraints { windows, ..Constraints::default() };
        assert_eq!(allowed(&rules, 4, &[0], 4).0, [1]);
    }

    #[test]
    fn quotas_keep_positions_for_the_required_values() {
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
