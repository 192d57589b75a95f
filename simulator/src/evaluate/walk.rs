//! Walk of a policy through a log: at each decision, the probability of the logged arm relative to its logged
//! propensity.

use slotwise::{
    engine::{Subject, hash},
    environment::SplitMix64,
    evaluate::off_policy::LoggedTerm,
};

use super::{
    EvaluateError, EvaluatedPolicy, EvaluationOptions, EvaluationProgress, LearningSource, PROGRESS_EVERY, PolicyKind,
    learner::{ArmBelief, LogLearner},
    setup::forecaster,
};
use crate::evaluate::logged::{Log, OfferedArms};

/// Rewards that the reward model expected of every arm before each decision.
///
/// The forecast is the posterior mean of the default slot after it learned every earlier decision of the log. No
/// cross-fitting is needed, because nothing of decision t enters its own forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct RewardForecasts {
    arms: usize,
    /// Means of all arms, decision after decision. The mean of an arm that was not on offer is 0.
    means: Vec<f32>,
}

impl RewardForecasts {
    /// Learns the log from its first to its last decision.
    ///
    /// # Errors
    ///
    /// Returns an error if the slot cannot be made or cannot decide.
    pub fn new(log: &Log, seed: u64, progress: &dyn EvaluationProgress) -> Result<Self, EvaluateError> {
        let arms = log.arms.len();
        let mut learner = LogLearner::new(log, "reward model", forecaster(log)?, seed)?;
        let mut beliefs = vec![ArmBelief::default(); arms];
        let mut means = Vec::with_capacity(log.rows.len() * arms);
        for index in 0..log.rows.len() {
            let answer = learner.decide(index, &mut beliefs)?;
            // Every forecast made before the decision keeps the estimate unbiased, so single precision is enough.
            #[expect(clippy::cast_possible_truncation, reason = "seven digits of an expectation")]
            means.extend(beliefs.iter().map(|belief| belief.mean as f32));
            learner.learn(index, answer);
            report_progress(progress, index + 1, log.rows.len());
        }
        Ok(Self { arms, means })
    }

    /// Forecasts of 0 for every arm.
    #[cfg(test)]
    pub(super) fn zero(log: &Log) -> Self {
        Self { arms: log.arms.len(), means: vec![0.0; log.rows.len() * log.arms.len()] }
    }

    /// The forecasts of all arms at a decision.
    pub fn at(&self, index: usize) -> &[f32] {
        &self.means[index * self.arms..(index + 1) * self.arms]
    }
}

/// Returns the number of a subject, by which its decisions belong together: by the subject's id, or else by the session's. It is 0
/// without any id.
pub(super) fn subject_number(subject: &Subject) -> u64 {
    let (kind, id) = if subject.id.is_empty() {
        ("evaluated session", &subject.session_id)
    } else {
        ("evaluated subject", &subject.id)
    };
    if id.is_empty() { 0 } else { hash(kind, &[id.as_bytes()]).word() | 1 }
}

/// Reports progress at every [`PROGRESS_EVERY`] decisions, and the remainder at the end.
fn report_progress(progress: &dyn EvaluationProgress, done: usize, rows: usize) {
    if done.is_multiple_of(PROGRESS_EVERY) {
        progress.advance(PROGRESS_EVERY);
    } else if done == rows {
        progress.advance(done % PROGRESS_EVERY);
    }
}

/// Inputs that all policies of an evaluation share.
#[derive(Debug)]
pub(super) struct EvaluationInputs<'a> {
    pub(super) log: &'a Log,
    pub(super) forecasts: &'a RewardForecasts,
    learning: LearningSource,
    seed: u64,
    /// The propensity at and below which a matching decision is always accepted.
    pub(super) least: f64,
    /// The first decision that is evaluated.
    pub(super) first: usize,
}

/// Result of a policy's walk through the log.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct PolicyWalk {
    /// One term for each evaluated decision.
    pub(super) terms: Vec<LoggedTerm>,
    /// Number of decisions that the policy learned from, or `None` if it does not learn.
    pub(super) learned: Option<u64>,
    /// Number of decisions that were fallbacks.
    pub(super) fallbacks: u64,
}

impl<'a> EvaluationInputs<'a> {
    pub(super) fn new(log: &'a Log, forecasts: &'a RewardForecasts, options: &EvaluationOptions, first: usize) -> Self {
        let smallest = log.rows[first..].iter().map(|row| row.propensity).fold(1.0, f64::min);
        let least = options.least_propensity.unwrap_or(smallest);
        Self { log, forecasts, learning: options.learning, seed: options.seed, least, first }
    }

    /// Returns `true` if a decision whose arm matches the policy's draw is accepted. With the policy's probability
    /// π(a|x), the log's p(a|x) and the least propensity c, the arm is accepted with probability `p·π·c/p = c·π`.
    /// Accepted decisions are therefore distributed like those of the policy.
    fn accepts(&self, index: usize, propensity: f64) -> bool {
        let coin = hash("replay coin", &[&self.seed.to_be_bytes(), &(index as u64).to_be_bytes()]);
        SplitMix64::new(coin.word()).fraction() < self.least / propensity
    }

    /// Walks a policy through the log.
    pub(super) fn walk(
        &self,
        policy: &EvaluatedPolicy,
        progress: &dyn EvaluationProgress,
    ) -> Result<PolicyWalk, EvaluateError> {
        let rows = self.log.rows.len();
        let mut walk = PolicyWalk { terms: Vec::with_capacity(rows - self.first), ..PolicyWalk::default() };
        let mut beliefs = vec![ArmBelief::default(); self.log.arms.len()];
        let mut learner = match &policy.how {
            PolicyKind::Slot(slot) => Some(LogLearner::new(self.log, &policy.name, (**slot).clone(), self.seed)?),
            PolicyKind::Logged | PolicyKind::Uniform | PolicyKind::Arm(_) => None,
        };
        for index in 0..rows {
            let row = &self.log.rows[index];
            let evaluated = index >= self.first;
            if let Some(learner) = &mut learner {
                let answer = learner.decide(index, &mut beliefs)?;
                let accepted = answer.drawn == Some(row.arm) && self.accepts(index, row.propensity);
                if evaluated {
                    walk.terms.push(self.term(index, &beliefs, accepted));
                }
                let learns = match self.learning {
                    LearningSource::Matched => accepted,
                    LearningSource::All => true,
                    LearningSource::First(_) => !evaluated,
                };
                if learns {
                    learner.learn(index, answer);
                }
            } else if evaluated {
                walk.terms.push(match policy.how {
                    PolicyKind::Logged => LoggedTerm {
                        subject: subject_number(&row.subject),
                        weight: 1.0,
                        reward: row.reward,
                        ..LoggedTerm::default()
                    },
                    PolicyKind::Uniform | PolicyKind::Slot(_) => self.fixed_term(index, &mut beliefs, None),
                    PolicyKind::Arm(always) => self.fixed_term(index, &mut beliefs, Some(always)),
                });
            }
            report_progress(progress, index + 1, rows);
        }
        if let Some(learner) = learner {
            (walk.learned, walk.fallbacks) = (Some(learner.learned), learner.fallbacks);
        }
        Ok(walk)
    }

    /// The term of a policy that chooses uniformly, or that always shows the arm `only`.
    fn fixed_term(&self, index: usize, beliefs: &mut [ArmBelief], only: Option<usize>) -> LoggedTerm {
        let row = &self.log.rows[index];
        beliefs.fill(ArmBelief::default());
        let share = |arm: usize| match only {
            Some(only) if only == arm => 1.0,
            Some(_) => 0.0,
            None => 1.0 / self.log.offered(row) as f64,
        };
        match &row.offered {
            OfferedArms::All | OfferedArms::Affinities(_) => {
                beliefs.iter_mut().enumerate().for_each(|(arm, belief)| belief.propensity = share(arm));
            }
            OfferedArms::Listed(listed) => listed.iter().for_each(|(arm, _)| beliefs[*arm].propensity = share(*arm)),
        }
        let draw = hash("replay draw", &[&self.seed.to_be_bytes(), &(index as u64).to_be_bytes()]);
        let mut left = SplitMix64::new(draw.word()).fraction();
        let drawn = beliefs.iter().position(|belief| {
            left -= belief.propensity;
            left < 0.0
        });
        self.term(index, beliefs, drawn == Some(row.arm) && self.accepts(index, row.propensity))
    }

    fn term(&self, index: usize, beliefs: &[ArmBelief], accepted: bool) -> LoggedTerm {
        let (row, forecasts) = (&self.log.rows[index], self.forecasts.at(index));
        let direct = beliefs.iter().zip(forecasts).map(|(belief, &mean)| belief.propensity * f64::from(mean)).sum();
        LoggedTerm {
            subject: subject_number(&row.subject),
            weight: beliefs[row.arm].propensity / row.propensity,
            reward: row.reward,
            direct,
            forecast: f64::from(forecasts[row.arm]),
            accepted,
        }
    }
}
