//! Limits on all inputs, with their reasons.

/// Candidates of one request. A search page ranks hundreds, and with more a decision would take longer than a page has.
pub const CANDIDATES_MAX: usize = 5_000;
/// Arms of one slot, including those of an open catalogue and the items that it takes. With one posterior each, memory is the
/// bound.
pub const ARMS_MAX: usize = 10_000;
/// Arms that one slot has learned about, including those that it no longer has.
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
/// Absolute value of a number from outside. Its squares and sums stay far from overflow.
pub const NUMBER_MAX: f64 = 1e12;
/// Absolute value of a reward kind's weight. Its product with [`NUMBER_MAX`] can still be squared and summed.
pub const WEIGHT_MAX: f64 = 1e6;
/// Arms that one decision returns, as a page shows tens.
pub const COUNT_MAX: u32 = 1_000;
/// Candidates times positions of one call, summed over a batch. Each position is drawn from a pmf over the remaining
/// candidates, and the largest allowed request takes a second or two.
pub const WORK_MAX: usize = CANDIDATES_MAX * COUNT_MAX as usize;
/// Requests of one batch, which are the slots of a page.
pub const BATCH_MAX: usize = 100;
/// Reward events of one request.
pub const EVENTS_MAX: usize = 1_000;
/// Reward events that one decision keeps, as a shopper does not click a thousand times.
pub const EVENTS_PER_DECISION_MAX: usize = 1_000;
/// Reward kinds of one goal.
pub const KINDS_MAX: usize = 32;
/// Bytes of a slot's id.
pub const SLOT_ID_BYTES_MAX: usize = 128;
/// Bytes of any other id (arm, subject, session, event, request). Catalogues and address books hold longer ones only by
/// mistake.
pub const ID_BYTES_MAX: usize = 256;
/// Bytes of a salt, and of the name of an experiment.
pub const SALT_BYTES_MAX: usize = 128;
/// Bytes of a display name.
pub const DISPLAY_NAME_BYTES_MAX: usize = 256;
/// Bytes of a reason.
pub const REASON_BYTES_MAX: usize = 1_024;
/// Bytes of each part of an actor: principal, origin and request id.
pub const ACTOR_BYTES_MAX: usize = 256;
/// Bytes of an arm's payload as JSON, as every decision that shows the arm returns it.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024;
/// Nesting depth of a payload's lists and objects. A protobuf decoder stops at 100 messages, and each level takes
/// several.
pub const PAYLOAD_DEPTH_MAX: usize = 16;
/// Bytes of one slot's definition, including its arms' attributes and payloads: ten thousand arms with 3 kB each. The
/// definition is in memory, and a new snapshot holds all of it.
pub const SLOT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes that the kept revisions of one slot take beside the arms that they share. The oldest are dropped first, and the
/// newest never.
pub const REVISIONS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Arms of one slot with their own floor or ceiling, as nobody sets more of them one by one.
pub const ARM_BOUNDS_MAX: usize = 1_000;
/// Slots of one service, as each publishes a view of its own.
pub const SLOTS_MAX: usize = 10_000;
/// Times that one slot can be renamed, as each read of its past looks for all of its ids.
pub const FORMER_IDS_MAX: usize = 20;
/// Revisions that a slot keeps.
pub const REVISIONS_MAX: usize = 200;
/// Number of arms from which on a slot's arms share a model by default. With a posterior each they would learn nothing
/// from each other and take gigabytes.
pub const CATALOGUE_MIN: usize = 1_000;
/// Models that learn in one slot side by side, as each costs an update per event. The default portfolio has six.
pub const MODELS_MAX: usize = 16;
/// Decisions of one slot that wait for rewards. The oldest expire first.
pub const PENDING_MAX: usize = 1_000_000;
/// Bytes that the waiting decisions of one slot and their indices take in memory. The oldest expire first. A million
/// decisions with a dozen features, twenty candidates and one shown arm each take four fifths of it.
pub const PENDING_BYTES_MAX: u64 = 400_000_000;
/// Rewarded decisions of one slot that are remembered for reversals of their rewards. The oldest are forgotten first.
pub const FINISHED_MAX: usize = 250_000;
/// Bytes that the remembered rewarded decisions take in memory.
pub const FINISHED_BYTES_MAX: u64 = 100_000_000;
/// Decisions of all slots together that wait for rewards, some 650 MB of offers. The newest are kept.
pub const DECISIONS_TOTAL_MAX: u64 = 2_000_000;
/// Deferred decisions of one slot that may still be confirmed, a campaign's, some 200 MB. The oldest expire first.
pub const DEFERRED_MAX: usize = 2_000_000;
/// Deferred decisions of all slots together that may still be confirmed. The newest are kept.
pub const DEFERRED_TOTAL_MAX: u64 = 4_000_000;
/// Subjects that are remembered as forgotten, some 100 MB. The oldest entries go first; a subject of one of them that
/// comes back is known by its first pseudonym again.
pub const FORGOTTEN_MAX: usize = 1_000_000;
/// Decisions of all slots together whose requests and exposures are remembered. The newest are kept.
pub const RECENT_TOTAL_MAX: u64 = 1_000_000;
/// Reward events of all slots together whose ids and decisions are remembered, some 450 MB. The newest are kept.
pub const REWARDS_TOTAL_MAX: u64 = 1_000_000;
/// Newest decisions of a subject and an arm that are searched for an event without a decision id. No person looks at
/// one thing more often within a window, and a robot that does must not make each event dearer than the last.
pub const SHOWINGS_MAX: usize = 100;
/// Least time, in microseconds, for which the ids of events without a decision id are remembered, as a queue that stood
/// still over a night sends them again.
pub const EVENT_MEMORY_US: i64 = 24 * 3600 * 1_000_000;
/// Events without a decision id whose ids one slot remembers, 40 MB. The oldest are forgotten first.
pub const EVENTS_REMEMBERED_MAX: usize = 1_000_000;
/// Time, in microseconds, for which a request id gets the same decision, as a retry comes within minutes.
pub const REQUEST_MEMORY_US: i64 = 10 * 60 * 1_000_000;
/// Requests of one slot that are remembered.
pub const REQUESTS_MAX: usize = 100_000;
/// Shown arms of all remembered requests of one slot, as rankings take more memory than offers.
pub const REQUEST_ARMS_MAX: usize = 10 * REQUESTS_MAX;
/// Time, in microseconds, by which a reward's time may be ahead of the service's clock: a day for a wrong time zone.
pub const AHEAD_US_MAX: i64 = 24 * 3600 * 1_000_000;
/// Bytes that the arms of one answer to `Decide` or `BatchDecide` may take: a client takes 4 MiB by default, and the rest
/// of the answer has half a megabyte.
pub const ANSWER_BYTES_MAX: usize = 3_584 * 1024;
/// Candidates of one explanation, those with the largest probabilities. More would hardly be read.
pub const EXPLAINED_MAX: usize = 200;
/// Bytes of a file with what a slot learned. The journal holds such a file as one record, and a slot with 20 arms and
/// a hundred features takes some 5 MB.
pub const LEARNING_BYTES_MAX: usize = 48 * 1024 * 1024;
/// Bytes of one gRPC message, in which 5,000 candidates with a dozen features each fit.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Rules of one slot. Each costs every decision a little, and nobody keeps an overview of more.
pub const RULES_MAX: usize = 100;
/// Bytes of a rule's name.
pub const RULE_NAME_BYTES_MAX: usize = 128;
/// Bytes of a rule's condition, or of a filter of items, which is a page of text.
pub const RULE_BYTES_MAX: usize = 4_096;
/// Greatest factor of a boost. A pin is the better rule beyond it.
pub const BOOST_MAX: f64 = 100.0;
/// Least window of a subject cap, microseconds.
pub const CAP_WINDOW_US_MIN: i64 = 1_000_000;
/// Greatest window of a subject cap, microseconds, as the showings within it are remembered per subject.
pub const CAP_WINDOW_US_MAX: i64 = 90 * 24 * 3600 * 1_000_000;
/// Decisions of one slot that are remembered by subject, for stickiness and caps. The oldest are forgotten first. With
/// one shown arm each they take some 100 MB.
pub const PAST_MAX: usize = 500_000;
/// Greatest subject limit, as an id with more decisions in a day is no shopper. The time of a decision grows with it.
pub const SUBJECT_LIMIT_MAX: u32 = 1_000;
/// Learned decisions of one slot that are remembered by subject, for the subject limit. The oldest are forgotten first:
/// in a slot with more in a day, a subject teaches at most its limit of that many. They take some 4 MB.
pub const LEARNED_SUBJECTS_MAX: usize = 100_000;
/// Sessions without an id, and links from subjects to such sessions, that one slot remembers, so that a shopper who
/// logs in keeps the group. The oldest are forgotten first. The sessions take some 4 MB, and the links some 10 MB.
pub const LOGINS_MAX: usize = 100_000;
/// Sessions and links of all slots together. Each slot has an equal part of both.
pub const LOGINS_TOTAL_MAX: u64 = 400_000;
/// Time, in microseconds, for which a session without an id is remembered, as shoppers log in on the day of their
/// visit.
pub const SESSION_MEMORY_US: i64 = 24 * 3600 * 1_000_000;
/// Brackets that may be open at once in a rule's condition, as the parser takes 8 kB of stack for each.
pub const RULE_NESTING_MAX: usize = 16;
/// Nesting depth of a condition's operators, as every walk over the tree takes stack for each.
pub const RULE_DEPTH_MAX: usize = 64;
/// Steps that a condition may take for one arm: thirty for each of a list's [`VECTOR_MAX`] values. It may take them for
/// each of [`CANDIDATES_MAX`] candidates.
pub const RULE_STEPS_MAX: usize = 8_000;
/// Shopper events of one request. Each may concern every slot, so a request takes as long as a thousand reward events.
pub const SHOPPER_EVENTS_MAX: usize = 500;
/// Items of one shopper event, as an order has tens of lines and a page of results a hundred.
pub const EVENT_ITEMS_MAX: usize = 200;
/// Decisions that one shopper event names, as a page asks for some ten slots.
pub const EVENT_DECISIONS_MAX: usize = 100;
/// Bytes of the query of one shopper event, which is a line that somebody typed.
pub const QUERY_BYTES_MAX: usize = 256;
/// Time, in microseconds, for which the ids of shopper events are remembered, as a queue that stood still over a long
/// weekend sends them again.
pub const SHOPPER_EVENT_MEMORY_US: i64 = 7 * 24 * 3600 * 1_000_000;
/// Profiles of sessions and customers that are kept. With 1 KiB each they take 1 GiB.
pub const PROFILES_MAX: usize = 1_000_000;
/// Bytes of one profile in memory.
pub const PROFILE_BYTES_MAX: usize = 1_024;
/// Time without an event, microseconds, after which a session is over: the usual limit of web analytics.
pub const SESSION_US: i64 = 30 * 60 * 1_000_000;
/// Drafts of changes that wait in one slot. Nobody keeps an overview of more.
pub const OPEN_DRAFTS_MAX: usize = 20;
/// Drafts that one slot keeps, those that ended among them. The oldest that ended make way first.
pub const DRAFTS_MAX: usize = 40;
/// Bytes of the change of one draft, in which a few thousand arms fit. Drafts are in memory and in every snapshot.
pub const DRAFT_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the changes of all drafts of one service.
pub const DRAFTS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Least lifetime of a draft, microseconds.
pub const DRAFT_LIFETIME_US_MIN: i64 = 60 * 1_000_000;
/// Greatest lifetime of a draft, microseconds: a season, so that a campaign can be scheduled.
pub const DRAFT_LIFETIME_US_MAX: i64 = 90 * 24 * 3600 * 1_000_000;
/// Observations of one part of an import. The writer learns them in some tens of milliseconds, for which rewards wait.
pub const IMPORT_PART_MAX: usize = 200;
/// Bytes of the id of an import.
pub const IMPORT_ID_BYTES_MAX: usize = 128;
/// Imports whose progress one slot remembers. The oldest are forgotten first.
pub const IMPORTS_MAX: usize = 100;
/// Items that one change of the catalogue names. The writer checks and applies them in some tens of milliseconds, for which
/// rewards wait.
pub const ITEM_OPERATIONS_MAX: usize = 10_000;
