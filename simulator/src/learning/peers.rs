//! What other learners reach on the same streams.
//!
//! Measured with Vowpal Wabbit 9.11 (`vw`), `MABWiser`, `River`, `contextualbandits` and
//! `bayesianbandits` on the UCI sets Mushroom, Pen-Based Recognition and Adult (20,000 of its rows),
//! each row the mean loss over the seeds 0 to 4 of [`crate::order`], with its standard error, to
//! four decimals. `lin` is linear, `quad` has all pairs of features. The peers were given numbers
//! standardised as they came and a vocabulary known beforehand; the service gets what stands in the
//! file.
//!
//! Deliberately not here: the verdict, which is [`super::report`]'s.

/// What a row of a table is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The best of a grid of explorers, rates and encodings, for this set (`tuned-*`) or over all sets (`single-*`).
    Tuned,
    /// One configuration as it comes.
    Untuned,
    /// A plain learner of ours: shows what can be done.
    Reference,
    /// Told the right label every time: no bandit.
    Skyline,
    /// Uniform choice.
    Random,
}

/// Another learner's loss on a stream.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Peer {
    /// Its name: package, then configuration.
    pub learner: &'static str,
    /// The mean of 1 − reward, over five seeds.
    pub loss: f64,
    /// Of that mean.
    pub standard_error: f64,
}

/// What other learners reach on one stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peers {
    /// The set's name.
    pub dataset: &'static str,
    /// Its rows; another number makes it another stream.
    pub rows: usize,
    /// Its classes.
    pub arms: usize,
    /// The variant's name.
    pub variant: &'static str,
    /// The learners.
    pub peers: &'static [Peer],
}

impl Peer {
    /// What it is to us, by its name.
    pub fn class(&self) -> Class {
        let (package, configuration) = self.learner.split_once('/').unwrap_or((self.learner, ""));
        match package {
            "ref" => Class::Reference,
            "skyline" => Class::Skyline,
            "random" => Class::Random,
            _ if configuration.starts_with("tuned-") || configuration.starts_with("single-") => Class::Tuned,
            _ => Class::Untuned,
        }
    }
}

impl Peers {
    /// The learners measured on this stream; none, where none were or the set is another of the same name.
    pub fn on(dataset: &str, rows: usize, arms: usize, variant: &str) -> Option<&'static Self> {
        ALL.iter().find(|p| p.dataset == dataset && p.variant == variant && p.rows == rows && p.arms == arms)
    }

    /// The best of a class, if there is one.
    pub fn best(&self, class: Class) -> Option<Peer> {
        self.of(class).min_by(|a, b| a.loss.total_cmp(&b.loss))
    }

    /// The best of those to beat: tuned or not, but neither ours nor told the labels.
    pub fn best_to_beat(&self) -> Option<Peer> {
        self.of(Class::Tuned).chain(self.of(Class::Untuned)).min_by(|a, b| a.loss.total_cmp(&b.loss))
    }

    /// All of a class.
    pub fn of(&self, class: Class) -> impl Iterator<Item = Peer> + use<> {
        self.peers.iter().copied().filter(move |peer| peer.class() == class)
    }
}

const fn peer(learner: &'static str, loss: f64, standard_error: f64) -> Peer {
    Peer { learner, loss, standard_error }
}

/// Every stream that was measured.
pub const ALL: &[Peers] = &[
    Peers { dataset: "mushroom", rows: 8124, arms: 2, variant: "plain", peers: MUSHROOM_PLAIN },
    Peers { dataset: "pendigits", rows: 10_992, arms: 10, variant: "plain", peers: PENDIGITS_PLAIN },
    Peers { dataset: "adult", rows: 20_000, arms: 2, variant: "plain", peers: ADULT_PLAIN },
    Peers { dataset: "pendigits", rows: 10_992, arms: 10, variant: "drift", peers: PENDIGITS_DRIFT },
    Peers { dataset: "pendigits", rows: 10_992, arms: 10, variant: "delay100", peers: PENDIGITS_DELAY100 },
    Peers { dataset: "pendigits", rows: 10_992, arms: 10, variant: "delay1000", peers: PENDIGITS_DELAY1000 },
];

const MUSHROOM_PLAIN: &[Peer] = &[
    peer("vw/quad/greedy", 0.0028, 0.0000),
    peer("vw/tuned-quad", 0.0028, 0.0000),
    peer("vw/quad/squarecb1000", 0.0028, 0.0000),
    peer("vw/quad/regcbopt0.001", 0.0031, 0.0001),
    peer("vw/single-quad", 0.0031, 0.0001),
    peer("vw/lin/greedy", 0.0048, 0.0002),
    peer("vw/raw/greedy", 0.0048, 0.0002),
    peer("vw/lin-coin/greedy", 0.0049, 0.0002),
    peer("vw/lin/squarecb1000", 0.0051, 0.0002),
    peer("vw/raw/squarecb1000", 0.0051, 0.0002),
    peer("vw/single-lin", 0.0053, 0.0002),
    peer("vw/tuned-lin", 0.0053, 0.0002),
    peer("vw/lin/squarecb", 0.0085, 0.0004),
    peer("vw/lin/bag5", 0.0111, 0.0003),
    peer("vw/lin/eps0.05", 0.0316, 0.0003),
    peer("ref/linucb-a0.25", 0.0031, 0.0001),
    peer("ref/logucb-full-a0.25", 0.0033, 0.0002),
    peer("ref/loggreedy-full", 0.0034, 0.0003),
    peer("ref/logucb-full-a0.1", 0.0034, 0.0002),
    peer("ref/logucb-full-a1", 0.0035, 0.0001),
    peer("skyline/vw-oaa-quad", 0.0020, 0.0001),
    peer("skyline/softmax-adagrad1", 0.0045, 0.0002),
    peer("skyline/vw-oaa", 0.0047, 0.0002),
    peer("skyline/softmax-adagrad0.1", 0.0062, 0.0001),
    peer("random", 0.4986, 0.0021),
];

const PENDIGITS_PLAIN: &[Peer] = &[
    peer("vw/single-quad", 0.0569, 0.0026),
    peer("vw/tuned-quad", 0.0574, 0.0020),
    peer("vw/quad/regcbopt0.001", 0.0638, 0.0054),
    peer("vw/quad/squarecb1000", 0.1014, 0.0201),
    peer("mabwiser/linucb", 0.1052, 0.0034),
    peer("river/linucb", 0.1123, 0.0029),
    peer("mabwiser/lints", 0.1148, 0.0023),
    peer("bayesianbandits/normal-ts", 0.1165, 0.0018),
    peer("contextualbandits/linucb", 0.1172, 0.0057),
    peer("contextualbandits/logisticts", 0.1201, 0.0047),
    peer("vw/quad/greedy", 0.1238, 0.0241),
    peer("bayesianbandits/ebnormal-ts", 0.1261, 0.0053),
    peer("vw/lin/greedy", 0.1649, 0.0031),
    peer("vw/lin/bag5", 0.1986, 0.0014),
    peer("vw/lin/squarecb", 0.2121, 0.0025),
    peer("vw/lin/eps0.05", 0.3233, 0.0057),
    peer("ref/quad-logucb-a0.5", 0.0489, 0.0023),
    peer("ref/quad-linucb-a0.1", 0.0518, 0.0009),
    peer("ref/logts-full-a0.25", 0.1038, 0.0036),
    peer("ref/linucb-a0.1", 0.1068, 0.0022),
    peer("ref/loggreedy-full", 0.1088, 0.0027),
    peer("skyline/vw-oaa-quad", 0.0225, 0.0005),
    peer("skyline/softmax-adagrad1", 0.0853, 0.0006),
    peer("skyline/vw-oaa", 0.1089, 0.0006),
    peer("skyline/softmax-adagrad0.1", 0.1099, 0.0005),
    peer("random", 0.8973, 0.0018),
];

const ADULT_PLAIN: &[Peer] = &[
    peer("contextualbandits/logisticucb", 0.1548, 0.0004),
    peer("vw/tuned-quad", 0.1573, 0.0007),
    peer("vw/quad/regcbopt0.001", 0.1583, 0.0005),
    peer("vw/lin/regcbopt0.001", 0.1588, 0.0009),
    peer("vw/tuned-lin", 0.1588, 0.0009),
    peer("vw/lin-neg/regcbopt0.001", 0.1589, 0.0008),
    peer("vw/lin-neg/greedy", 0.1589, 0.0006),
    peer("vw/lin/regcbopt", 0.1590, 0.0008),
    peer("vw/lin-coin/greedy", 0.1593, 0.0007),
    peer("vw/lin/greedy", 0.1593, 0.0014),
    peer("vw/lin/squarecb1000", 0.1599, 0.0013),
    peer("vw/quad/squarecb1000", 0.1609, 0.0026),
    peer("vw/lin/squarecb", 0.1640, 0.0010),
    peer("vw/lin/bag5", 0.1642, 0.0007),
    peer("vw/lin/eps0.05", 0.1849, 0.0007),
    peer("ref/quad-logucb-a0.5", 0.1488, 0.0006),
    peer("ref/loggreedy-full", 0.1541, 0.0004),
    peer("ref/logts-diag-a0.1", 0.1542, 0.0002),
    peer("ref/logucb-full-a0.1", 0.1543, 0.0004),
    peer("ref/logts-full-a0.25", 0.1543, 0.0005),
    peer("skyline/softmax-adagrad0.1", 0.1544, 0.0004),
    peer("skyline/vw-oaa", 0.1578, 0.0008),
    peer("skyline/vw-oaa-quad", 0.1600, 0.0005),
    peer("skyline/softmax-adagrad1", 0.1686, 0.0006),
    peer("random", 0.4993, 0.0013),
];

const PENDIGITS_DRIFT: &[Peer] = &[
    peer("vw/tuned-quad", 0.1025, 0.0017),
    peer("vw/single-quad", 0.1097, 0.0037),
    peer("vw/lin-nodecay/regcbopt0.001", 0.2292, 0.0055),
    peer("vw/lin/regcbopt0.001", 0.2348, 0.0075),
    peer("vw/lin/greedy", 0.2470, 0.0090),
    peer("vw/lin/cover5-nounif", 0.2509, 0.0047),
    peer("vw/lin/squarecb1000", 0.2563, 0.0011),
    peer("vw/single-lin", 0.2773, 0.0091),
    peer("vw/lin/bag5-greedify", 0.3106, 0.0142),
    peer("vw/lin/squarecb", 0.3139, 0.0052),
    peer("vw/lin-nodecay/eps0.05", 0.3159, 0.0113),
    peer("vw/lin-nodecay/squarecb", 0.3346, 0.0077),
    peer("vw/lin/eps0.05", 0.4594, 0.0141),
    peer("mabwiser/linucb", 0.5199, 0.0086),
    peer("ref/lints-a0.1-discount0.998", 0.2309, 0.0051),
    peer("ref/linucb-a0.25-discount0.998", 0.2431, 0.0025),
    peer("ref/linucb-a0.25-discount0.9995", 0.3321, 0.0102),
    peer("ref/lints-a0.1-discount0.9995", 0.3438, 0.0155),
    peer("ref/quad-linucb-a0.1", 0.3646, 0.0046),
    peer("skyline/softmax-adagrad1", 0.1186, 0.0006),
    peer("skyline/vw-oaa", 0.1563, 0.0008),
    peer("random", 0.8986, 0.0012),
];

const PENDIGITS_DELAY100: &[Peer] = &[
    peer("vw-loop/quad/regcbopt0.001-l2", 0.0691, 0.0043),
    peer("mabwiser/linucb", 0.1126, 0.0023),
    peer("mabwiser/lints", 0.1165, 0.0036),
    peer("bayesianbandits/ebnormal-ts", 0.1171, 0.0009),
    peer("bayesianbandits/normal-ts", 0.1256, 0.0023),
    peer("contextualbandits/logisticucb", 0.1305, 0.0029),
    peer("bayesianbandits/glm-ts", 0.1415, 0.0012),
    peer("vw-loop/lin/regcbopt0.001", 0.1596, 0.0025),
    peer("vw-loop/lin/squarecb1000", 0.1624, 0.0032),
    peer("vw-loop/lin/cover5-nounif", 0.1725, 0.0040),
    peer("vw-loop/lin/squarecb", 0.1835, 0.0039),
    peer("vw-loop/lin/greedy", 0.1851, 0.0078),
    peer("ref/quad-linucb-a0.1", 0.0642, 0.0009),
    peer("ref/lints-a0.1", 0.1146, 0.0032),
    peer("ref/logucb-full-a0.5", 0.1150, 0.0032),
    peer("ref/lints-a0.25", 0.1177, 0.0017),
    peer("ref/linucb-a0.25", 0.1195, 0.0085),
    peer("random", 0.8973, 0.0018),
];

const PENDIGITS_DELAY1000: &[Peer] = &[
    peer("vw-loop/quad/regcbopt0.001-l2", 0.1262, 0.0017),
    peer("contextualbandits/logisticucb", 0.1701, 0.0025),
    peer("mabwiser/lints", 0.1805, 0.0020),
    peer("mabwiser/linucb", 0.1820, 0.0025),
    peer("bayesianbandits/ebnormal-ts", 0.1870, 0.0015),
    peer("bayesianbandits/normal-ts", 0.1872, 0.0020),
    peer("bayesianbandits/glm-ts", 0.1930, 0.0014),
    peer("vw-loop/lin/greedy", 0.2227, 0.0020),
    peer("vw-loop/lin/bag5-greedify", 0.2305, 0.0032),
    peer("vw-loop/lin/squarecb1000", 0.2360, 0.0065),
    peer("vw-loop/lin/regcbopt0.001", 0.2363, 0.0061),
    peer("vw-loop/lin/squarecb", 0.2524, 0.0057),
    peer("ref/quad-linucb-a0.1", 0.1178, 0.0015),
    peer("ref/logucb-full-a0.5", 0.1755, 0.0009),
    peer("ref/logts-full-a0.5", 0.1763, 0.0027),
    peer("ref/lints-a0.1", 0.1791, 0.0033),
    peer("ref/linucb-a0.25", 0.1817, 0.0004),
    peer("random", 0.8973, 0.0018),
];
