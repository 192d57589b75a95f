//! A limit on everything, and why it is where it is.

/// Candidates of one request: a search page ranks hundreds; beyond this a decision would take longer than a page has.
pub const CANDIDATES_MAX: usize = 5_000;
/// Arms of one slot, those of an open catalogue among them: with one posterior each, memory is the bound.
pub const ARMS_MAX: usize = 10_000;
/// Arms that one slot has learned of, those that are no longer in it among them.
pub const LEARNED_ARMS_MAX: usize = 2 * ARMS_MAX;
/// Features of one request, candidate or arm.
pub const FEATURES_MAX: usize = 200;
/// Bytes of a feature's or a reward kind's name.
pub const NAME_BYTES_MAX: usize = 128;
/// Bytes of one word.
pub const WORD_BYTES_MAX: usize = 256;
/// Words of one list.
pub const WORDS_MAX: usize = 64;
/// Numbers of one vector.
pub const VECTOR_MAX: usize = 256;
/// Absolute value of a number that comes from outside: squares and sums of it stay far from overflow.
pub const NUMBER_MAX: f64 = 1e12;
/// Absolute value of a reward kind's weight: times [`NUMBER_MAX`] it can still be squared and summed.
pub const WEIGHT_MAX: f64 = 1e6;
/// Arms that one decision returns: a page shows tens.
pub const COUNT_MAX: u32 = 1_000;
/// Candidates times positions of one call, summed over a batch: each position is drawn from a pmf over the candidates
/// that are left. The largest request there may be takes a second or two.
pub const WORK_MAX: usize = CANDIDATES_MAX * COUNT_MAX as usize;
/// Requests of one batch: the slots of a page.
pub const BATCH_MAX: usize = 100;
/// Reward events of one request.
pub const EVENTS_MAX: usize = 1_000;
/// Reward events that one decision keeps: a shopper does not click a thousand times.
pub const EVENTS_PER_DECISION_MAX: usize = 1_000;
/// Reward kinds of one goal.
pub const KINDS_MAX: usize = 32;
/// Bytes of a slot's id.
pub const SLOT_ID_BYTES_MAX: usize = 128;
/// Bytes of any other id (arm, subject, session, event, request): catalogues and address books hold longer ones only by
/// mistake.
pub const ID_BYTES_MAX: usize = 256;
/// Bytes of a salt.
pub const SALT_BYTES_MAX: usize = 128;
/// Bytes of a display name.
pub const DISPLAY_NAME_BYTES_MAX: usize = 256;
/// Bytes of a reason.
pub const REASON_BYTES_MAX: usize = 1_024;
/// Bytes of each part of an actor: principal, origin and request id.
pub const ACTOR_BYTES_MAX: usize = 256;
/// Bytes of an arm's payload as JSON: it travels with every decision that shows the arm.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024;
/// How deep a payload's lists and objects may be nested: a protobuf decoder stops at 100 messages, and each
/// level is several.
pub const PAYLOAD_DEPTH_MAX: usize = 16;
/// Bytes of one slot's definition, its arms' attributes and payloads among them: ten thousand arms with 3 kB each. All
/// of it is in memory, and a new snapshot holds all of it.
pub const SLOT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes that the kept revisions of one slot take beside what they share; the oldest go first, but never the newest.
pub const REVISIONS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Arms of one slot that have a floor or a ceiling of their own: nobody sets more of them one by one.
pub const ARM_SHARES_MAX: usize = 1_000;
/// Slots of one service: each publishes a view of its own.
pub const SLOTS_MAX: usize = 10_000;
/// Revisions that a slot keeps.
pub const REVISIONS_MAX: usize = 200;
/// From so many arms on, a slot's arms share a model by default: with a posterior each they would learn little of
/// each other, and take gigabytes.
pub const CATALOGUE_MIN: usize = 1_000;
/// Models that learn in one slot side by side: each costs an update per event. The default portfolio has six.
pub const MODELS_MAX: usize = 16;
/// Decisions of one slot that wait for rewards; the oldest expire first.
pub const PENDING_MAX: usize = 1_000_000;
/// Bytes that the waiting decisions of one slot take in memory, what finds them among it; the oldest expire first. A
/// million of them, with a dozen features, twenty candidates and one arm shown each, take four fifths of it.
pub const PENDING_BYTES_MAX: u64 = 400_000_000;
/// Decisions of one slot that were rewarded and are remembered for what takes their rewards back; the oldest are
/// forgotten first.
pub const FINISHED_MAX: usize = 250_000;
/// Memory that those take, bytes.
pub const FINISHED_BYTES_MAX: u64 = 100_000_000;
/// Decisions of all slots together that wait for rewards, the newest: some 650 MB of offers.
pub const DECISIONS_TOTAL_MAX: u64 = 2_000_000;
/// Decisions of all slots together whose requests and exposures are remembered, the newest.
pub const RECENT_TOTAL_MAX: u64 = 1_000_000;
/// Reward events of all slots together whose ids are remembered, and for which the decisions they were counted for are,
/// the newest: some 450 MB.
pub const REWARDS_TOTAL_MAX: u64 = 1_000_000;
/// Decisions among which an event that names none is joined to its subject's and arm's: the newest of those. Nobody
/// looks at one thing more often within a window, and a robot that does must not make each event dearer than the last.
pub const SHOWINGS_MAX: usize = 100;
/// How long, in microseconds, the ids of events that came without a decision's are remembered at least: a queue that
/// stood still over a night sends them again.
pub const EVENT_MEMORY_US: i64 = 24 * 3600 * 1_000_000;
/// Events without a decision's id whose ids one slot remembers; the oldest are forgotten first. 40 MB.
pub const EVENTS_REMEMBERED_MAX: usize = 1_000_000;
/// How long, in microseconds, a request id gets the same decision: a retry comes within minutes.
pub const REQUEST_MEMORY_US: i64 = 10 * 60 * 1_000_000;
/// Requests of one slot that are remembered.
pub const REQUESTS_MAX: usize = 100_000;
/// Arms that the decisions for those show in all: rankings take more memory than offers.
pub const REQUEST_ARMS_MAX: usize = 10 * REQUESTS_MAX;
/// How far ahead of the service's clock a reward may say it happened, in microseconds: a day of a wrong time zone.
pub const AHEAD_US_MAX: i64 = 24 * 3600 * 1_000_000;
/// Bytes of one gRPC message: 5,000 candidates with a dozen features each fit.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Rules of one slot: each costs every decision a little, and nobody keeps an overview of more.
pub const RULES_MAX: usize = 100;
/// Bytes of a rule's name.
pub const RULE_NAME_BYTES_MAX: usize = 128;
/// Bytes of a rule's condition: a page of text.
pub const RULE_BYTES_MAX: usize = 4_096;
/// Greatest factor of a boost: beyond it a pin says what is meant.
pub const BOOST_MAX: f64 = 100.0;
/// Least window, in microseconds, within which showings to one subject are counted.
pub const CAP_WINDOW_US_MIN: i64 = 1_000_000;
/// Greatest one: what was shown within it is remembered per subject.
pub const CAP_WINDOW_US_MAX: i64 = 90 * 24 * 3600 * 1_000_000;
/// Decisions of one slot that are remembered by subject, for stickiness and caps; the oldest are forgotten first. With
/// one arm shown each they take some 100 MB.
pub const PAST_MAX: usize = 500_000;
/// Brackets that may be open at once in a rule's condition: its parser takes 8 kB of stack for each.
pub const RULE_NESTING_MAX: usize = 16;
/// How deep a condition's operators may be nested in all: whatever walks it takes stack for each.
pub const RULE_DEPTH_MAX: usize = 64;
/// Steps that a condition may take for one arm: a look at each of a list's [`VECTOR_MAX`] values, and thirty steps
/// for each. It may take them for each of [`CANDIDATES_MAX`] candidates.
pub const RULE_STEPS_MAX: usize = 8_000;
