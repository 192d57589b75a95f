//! A candidate's way through a log: at each decision, how much likelier it would have shown what was shown.

use slotwise::{engine::hash, evaluate::off_policy::LoggedTerm};

use super::{
    Candidate, EvaluateError, How, Learning, Options, TELL_EVERY, Watch,
    learner::{Known, Learner},
    setup::foreseer,
};
use crate::{
    evaluate::logged::{Log, Offered},
    order::SplitMix64,
};

/// What the reward model expected of every arm at every decision, before that was seen.
///
/// It is the default slot's own posterior mean, after learning from every logged decision that came before: no fold of
/// the data is needed, since nothing of decision t is in what is foreseen for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreseen {
    arms: usize,
    /// Decision by decision; 0 for what was not on offer.
    means: Vec<f32>,
}

impl Foreseen {
    /// Learns its way through the log.
    ///
    /// # Errors
    ///
    /// The slot cannot be made, or cannot decide.
    pub fn new(log: &Log, seed: u64, watch: &dyn Watch) -> Result<Self, EvaluateError> {
        let arms = log.arms.len();
        let mut learner = Learner::new(log, "reward model", foreseer(log)?, seed)?;
        let mut known = vec![Known::default(); arms];
        let mut means = Vec::with_capacity(log.rows.len() * arms);
        for index in 0..log.rows.len() {
            let answer = learner.decide(index, &mut known)?;
            // Any number that was known before is unbiased: single precision will do.
            #[expect(clippy::cast_possible_truncation, reason = "seven digits of an expectation")]
            means.extend(known.iter().map(|known| known.mean as f32));
            learner.learn(index, answer);
            tell(watch, index + 1, log.rows.len());
        }
        Ok(Self { arms, means })
    }

    /// Of a model that expects nothing of any arm.
    #[cfg(test)]
    pub(super) fn nothing(log: &Log) -> Self {
        Self { arms: log.arms.len(), means: vec![0.0; log.rows.len() * log.arms.len()] }
    }

    /// What was expected of each arm at a decision.
    pub fn at(&self, index: usize) -> &[f32] {
        &self.means[index * self.arms..(index + 1) * self.arms]
    }
}

/// Tells of progress every so many decisions, and of the rest at the end.
fn tell(watch: &dyn Watch, done: usize, rows: usize) {
    if done.is_multiple_of(TELL_EVERY) {
        watch.advance(TELL_EVERY);
    } else if done == rows {
        watch.advance(done % TELL_EVERY);
    }
}

/// What is the same for all candidates.
#[derive(Debug)]
pub(super) struct Course<'a> {
    pub(super) log: &'a Log,
    pub(super) foreseen: &'a Foreseen,
    learning: Learning,
    seed: u64,
    /// The propensity whose decisions are always accepted where they match.
    pub(super) least: f64,
    /// The first decision that is evaluated.
    pub(super) first: usize,
}

/// What came of a candidate's way.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Walk {
    /// Of each decision that is evaluated.
    pub(super) terms: Vec<LoggedTerm>,
    /// Decisions that it learned from; none: it does not learn.
    pub(super) learned: Option<u64>,
    /// Decisions that its model did not make.
    pub(super) fallbacks: u64,
}

impl<'a> Course<'a> {
    pub(super) fn new(log: &'a Log, foreseen: &'a Foreseen, options: &Options, first: usize) -> Self {
        let smallest = log.rows[first..].iter().map(|row| row.propensity).fold(1.0, f64::min);
        let least = options.least_propensity.unwrap_or(smallest);
        Self { log, foreseen, learning: options.learning, seed: options.seed, least, first }
    }

    /// Whether a decision whose arm matches the candidate's draw is accepted. With π(a|x) the candidate's probability,
    /// p(a|x) the log's and c the least, it is accepted with probability `p·π·c/p = c·π`: what is accepted is
    /// distributed as what the candidate shows.
    fn falls(&self, index: usize, propensity: f64) -> bool {
        let coin = hash("replay coin", &[&self.seed.to_be_bytes(), &(index as u64).to_be_bytes()]);
        SplitMix64::new(coin.word()).fraction() < self.least / propensity
    }

    /// The candidate's way.
    pub(super) fn walk(&self, candidate: &Candidate, watch: &dyn Watch) -> Result<Walk, EvaluateError> {
        let rows = self.log.rows.len();
        let mut walk = Walk { terms: Vec::with_capacity(rows - self.first), ..Walk::default() };
        let mut known = vec![Known::default(); self.log.arms.len()];
        let mut learner = match &candidate.how {
            How::Slot(slot) => Some(Learner::new(self.log, &candidate.name, (**slot).clone(), self.seed)?),
            How::Logged | How::Uniform | How::Arm(_) => None,
        };
        for index in 0..rows {
            let row = &self.log.rows[index];
            let evaluated = index >= self.first;
            if let Some(learner) = &mut learner {
                let answer = learner.decide(index, &mut known)?;
                let accepted = answer.drawn == Some(row.arm) && self.falls(index, row.propensity);
                if evaluated {
                    walk.terms.push(self.term(index, &known, accepted));
                }
                let learns = match self.learning {
                    Learning::Matched => accepted,
                    Learning::All => true,
                    Learning::First(_) => !evaluated,
                };
                if learns {
                    learner.learn(index, answer);
                }
            } else if evaluated {
                walk.terms.push(match candidate.how {
                    How::Logged => LoggedTerm { weight: 1.0, reward: row.reward, ..LoggedTerm::default() },
                    How::Uniform | How::Slot(_) => self.fixed(index, &mut known, None),
                    How::Arm(always) => self.fixed(index, &mut known, Some(always)),
                });
            }
            tell(watch, index + 1, rows);
        }
        if let Some(learner) = learner {
            (walk.learned, walk.fallbacks) = (Some(learner.learned), learner.fallbacks);
        }
        Ok(walk)
    }

    /// The term of a policy that shows what is on offer alike, or only one of it.
    fn fixed(&self, index: usize, known: &mut [Known], only: Option<usize>) -> LoggedTerm {
        let row = &self.log.rows[index];
        known.fill(Known::default());
        let share = |arm: usize| match only {
            Some(only) if only == arm => 1.0,
            Some(_) => 0.0,
            None => 1.0 / self.log.offered(row) as f64,
        };
        match &row.offered {
            Offered::All | Offered::Affinities(_) => {
                known.iter_mut().enumerate().for_each(|(arm, known)| known.propensity = share(arm));
            }
            Offered::Listed(listed) => listed.iter().for_each(|(arm, _)| known[*arm].propensity = share(*arm)),
        }
        let draw = hash("replay draw", &[&self.seed.to_be_bytes(), &(index as u64).to_be_bytes()]);
        let mut left = SplitMix64::new(draw.word()).fraction();
        let drawn = known.iter().position(|known| {
            left -= known.propensity;
            left < 0.0
        });
        self.term(index, known, drawn == Some(row.arm) && self.falls(index, row.propensity))
    }

    fn term(&self, index: usize, known: &[Known], accepted: bool) -> LoggedTerm {
        let (row, foreseen) = (&self.log.rows[index], self.foreseen.at(index));
        let direct = known.iter().zip(foreseen).map(|(known, &mean)| known.propensity * f64::from(mean)).sum();
        LoggedTerm {
            weight: known[row.arm].propensity / row.propensity,
            reward: row.reward,
            direct,
            foreseen: f64::from(foreseen[row.arm]),
            accepted,
        }
    }
}
