//! A stream with all its potential outcomes, and what a learner earns on it.

use slotwise::bandit::{Features, Value};

/// One decision of a stream.
#[derive(Debug, Clone)]
pub(super) struct Round {
    /// Time of the decision, microseconds.
    pub(super) at_us: i64,
    /// Subject, or `None` for somebody new.
    pub(super) subject: Option<String>,
    /// Arm that is the only candidate, or `None` if all are candidates.
    pub(super) only: Option<usize>,
    /// Features of the request.
    pub(super) context: Features,
    /// Expected reward of each arm.
    pub(super) expected: Vec<f64>,
    /// Reward that each arm would get.
    pub(super) rewards: Vec<f64>,
}

/// Stream of decisions, the same for every learner.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    /// Decisions in order of time. An arm that comes later makes the lists longer.
    pub(super) rounds: Vec<Round>,
    /// Says that rewards are money; otherwise they are clicks, 0 or 1.
    pub(super) money: bool,
    /// Winsorizing share of the values, or `None`.
    pub(super) winsorize: Option<f64>,
}

impl Stream {
    /// Creates a stream of clicks.
    pub(super) fn of_clicks(rounds: Vec<Round>) -> Self {
        Self { rounds, money: false, winsorize: None }
    }

    /// Creates a stream of money.
    pub(super) fn of_money(rounds: Vec<Round>) -> Self {
        Self { rounds, money: true, winsorize: None }
    }

    /// Returns the stream with every reward multiplied by `unit`.
    #[must_use]
    pub(super) fn in_unit(mut self, unit: f64) -> Self {
        for round in &mut self.rounds {
            round.expected.iter_mut().chain(&mut round.rewards).for_each(|reward| *reward *= unit);
        }
        self
    }

    /// Returns the stream with another context in each decision.
    #[must_use]
    pub(super) fn with_contexts(mut self, of: impl Fn(usize, &Features) -> Features) -> Self {
        for (t, round) in self.rounds.iter_mut().enumerate() {
            round.context = of(t, &round.context);
        }
        self
    }
}

/// Learner that plays a stream.
pub(super) trait StreamPlayer {
    /// Chooses one of the first `arms` arms.
    fn choose(&mut self, round: &Round) -> usize;
    /// Learns the reward of the arm that was chosen last.
    fn learn(&mut self, round: &Round, arm: usize, reward: f64);
}

/// Arms that a learner chose on a stream.
#[derive(Debug, Clone)]
pub(super) struct Course {
    /// Chosen arm of each decision.
    pub(super) arms: Vec<usize>,
    /// Expected reward of the chosen arm.
    pub(super) earned: Vec<f64>,
    /// Expected reward of the best arm.
    pub(super) best: Vec<f64>,
    /// Mean expected reward over the arms.
    pub(super) uniform: Vec<f64>,
}

impl Course {
    /// Plays the stream to its end.
    pub(super) fn play(stream: &Stream, player: &mut dyn StreamPlayer) -> Self {
        let n = stream.rounds.len();
        let with = || Vec::with_capacity(n);
        let mut course = Self { arms: Vec::with_capacity(n), earned: with(), best: with(), uniform: with() };
        for round in &stream.rounds {
            let arm = player.choose(round);
            player.learn(round, arm, round.rewards[arm]);
            course.arms.push(arm);
            course.earned.push(round.expected[arm]);
            course.best.push(round.expected.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            course.uniform.push(round.expected.iter().sum::<f64>() / round.expected.len() as f64);
        }
        course
    }

    /// Mean expected reward of the decisions from `from` to before `to`.
    pub(super) fn mean(&self, from: usize, to: usize) -> f64 {
        let earned = &self.earned[from..to];
        earned.iter().sum::<f64>() / earned.len() as f64
    }

    /// Sum over all decisions of what the best arm would have earned more.
    pub(super) fn regret(&self) -> f64 {
        self.best.iter().zip(&self.earned).map(|(best, earned)| best - earned).sum()
    }

    /// Regret as a fraction of that of a choice at random.
    pub(super) fn share_of_uniform(&self) -> f64 {
        self.regret() / self.best.iter().zip(&self.uniform).map(|(best, uniform)| best - uniform).sum::<f64>()
    }

    /// Share of an arm in the decisions from `from` to before `to`.
    pub(super) fn share(&self, arm: usize, from: usize, to: usize) -> f64 {
        let arms = &self.arms[from..to];
        arms.iter().filter(|&&chosen| chosen == arm).count() as f64 / arms.len() as f64
    }
}

/// Returns features from names and values.
pub(super) fn features<const N: usize>(named: [(&str, Value); N]) -> Features {
    named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
