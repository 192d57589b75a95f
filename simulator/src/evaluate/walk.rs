//! Walk of a policy through a log: at each decision, the probability of the logged arm relative to its logged
//! propensity.

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

/// Rewards that the reward model expected of every arm before each decision.
///
/// The forecast is the posterior mean of the default slot after it learned every earlier decision of the log. No
/// cross-fitting is needed, because nothing of decision t enters its own forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreseen {
    arms: usize,
    /// Means of all arms, decision after decision. The mean of an arm that was not on offer is 0.
    means: Vec<f32>,
}

impl Foreseen {
    /// Learns the log from its first to its last decision.
    ///
    /// # Errors
    ///
    /// Returns an error if the slot cannot be made or cannot decide.
    pub fn new(log: &Log, seed: u64, watch: &dyn Watch) -> Result<Self, EvaluateError> {
        let arms = log.arms.len();
        let mut learner = Learner::new(log, "reward model", foreseer(log)?, seed)?;
        let mut known = vec![Known::default(); arms];
        let mut means = Vec::with_capacity(log.rows.len() * arms);
        for index in 0..log.rows.len() {
            let answer = learner.decide(index, &mut known)?;
            // Every forecast made before the decision keeps the estimate unbiased, so single precision is enough.
            #[expect(clippy::cast_possible_truncation, reason = "seven digits of an expectation")]
            means.extend(known.iter().map(|known| known.mean as f32));
            learner.learn(index, answer);
            tell(watch, index + 1, log.rows.len());
        }
        Ok(Self { arms, means })
    }

    /// Forecasts of 0 for every arm.
    #[cfg(test)]
    pub(super) fn nothing(log: &Log) -> Self {
        Self { arms: log.arms.len(), means: vec![0.0; log.rows.len() * log.arms.len()] }
    }

    /// The forecasts of all arms at a decision.
    pub fn at(&self, index: usize) -> &[f32] {
        &self.means[index * self.arms..(index + 1) * self.arms]
    }
}

/// Reports progress at every [`TELL_EVERY`] decisions, and the remainder at the end.
fn tell(watch: &dyn Watch, done: usize, rows: usize) {
    if done.is_multiple_of(TELL_EVERY) {
        watch.advance(TELL_EVERY);
    } else if done == rows {
        watch.advance(done % TELL_EVERY);
    }
}

/// Inputs that all policies of an evaluation share.
#[derive(Debug)]
pub(super) struct Course<'a> {
    pub(super) log: &'a Log,
    pub(super) foreseen: &'a Foreseen,
    learning: Learning,
    seed: u64,
    /// The propensity at and below which a matching decision is always accepted.
    pub(super) least: f64,
    /// The first decision that is evaluated.
    pub(super) first: usize,
}

/// Result of a policy's walk through the log.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Walk {
    /// One term for each evaluated decision.
    pub(super) terms: Vec<LoggedTerm>,
    /// Number of decisions that the policy learned from, or `None` if it does not learn.
    pub(super) learned: Option<u64>,
    /// Number of decisions that were fallbacks.
    pub(super) fallbacks: u64,
}

impl<'a> Course<'a> {
    pub(super) fn new(log: &'a Log, foreseen: &'a Foreseen, options: &Options, first: usize) -> Self {
        let smallest = log.rows[first..].iter().map(|row| row.propensity).fold(1.0, f64::min);
        let least = options.least_propensity.unwrap_or(smallest);
        Self { log, foreseen, learning: options.learning, seed: options.seed, least, first }
    }

    /// Returns `true` if a decision whose arm matches the policy's draw is accepted. With the policy's probability
    /// π(a|x), the log's p(a|x) and the least propensity c, the arm is accepted with probability `p·π·c/p = c·π`.
    /// Accepted decisions are therefore distributed like those of the policy.
    fn falls(&self, index: usize, propensity: f64) -> bool {
        let coin = hash("replay coin", &[&self.seed.to_be_bytes(), &(index as u64).to_be_bytes()]);
        SplitMix64::new(coin.word()).fraction() < self.least / propensity
    }

    /// Walks a policy through the log.
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

    /// The term of a policy that chooses uniformly, or that always shows the arm `only`.
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
