//! Roles, and the role that each call needs.

use serde::{Deserialize, Serialize};

/// Permission for one kind of call. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Ask for decisions.
    Decide,
    /// Report reward events.
    Record,
    /// Read slots, reports and explanations, and preview changes.
    View,
    /// Create and change slots.
    Tune,
    /// Approve changes that other people drafted.
    Approve,
    /// Decide, report and change with simulated shoppers, on slots for simulated traffic.
    Simulate,
    /// Everything, including the deletion and the reset of slots, and what is held of a subject.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 7] =
        [Self::Decide, Self::Record, Self::View, Self::Tune, Self::Approve, Self::Simulate, Self::Admin];

    /// Name of the role, as commands and files write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decide => "decide",
            Self::Record => "record",
            Self::View => "view",
            Self::Tune => "tune",
            Self::Approve => "approve",
            Self::Simulate => "simulate",
            Self::Admin => "admin",
        }
    }

    /// Returns the role that a simulated call needs instead of this one.
    #[must_use]
    pub fn when_simulated(self) -> Self {
        match self {
            Self::Decide | Self::Record | Self::Tune => Self::Simulate,
            Self::View | Self::Approve | Self::Simulate | Self::Admin => self,
        }
    }
}

/// Role that each call of the API needs, by the name of its method. The names are unique over the services.
const METHODS: [(&str, Role); 55] = [
    ("Decide", Role::Decide),
    ("BatchDecide", Role::Decide),
    ("StreamDecide", Role::Decide),
    ("RecordRewards", Role::Record),
    ("StreamRewards", Role::Record),
    ("RecordEvents", Role::Record),
    ("StreamEvents", Role::Record),
    ("GetSlot", Role::View),
    ("ListSlots", Role::View),
    ("ListArms", Role::View),
    ("ListItems", Role::View),
    ("ListRevisions", Role::View),
    ("GetRevision", Role::View),
    ("PreviewSlotChange", Role::View),
    ("GetSlotReport", Role::View),
    ("GetTimeSeries", Role::View),
    ("GetSegments", Role::View),
    ("ListAlerts", Role::View),
    ("ListFeatures", Role::View),
    ("ComparePolicies", Role::View),
    ("StreamExport", Role::View),
    ("ExportLearning", Role::View),
    ("ExplainDecision", Role::View),
    ("ListDecisions", Role::View),
    ("TryDecide", Role::View),
    ("GetSystemState", Role::View),
    ("ListDrafts", Role::View),
    ("GetDraft", Role::View),
    ("PreviewDraft", Role::View),
    ("CreateDraft", Role::Tune),
    ("ApplyDraft", Role::Tune),
    ("DiscardDraft", Role::Tune),
    ("ApproveDraft", Role::Approve),
    ("CreateSlot", Role::Tune),
    ("UpdateSlot", Role::Tune),
    ("CloneSlot", Role::Tune),
    ("UpsertArms", Role::Tune),
    ("RemoveArms", Role::Tune),
    ("SetArmAvailability", Role::Tune),
    ("StreamArmAvailability", Role::Tune),
    ("UpsertItems", Role::Tune),
    ("RemoveItems", Role::Tune),
    ("SetItemAvailability", Role::Tune),
    ("StreamItems", Role::Tune),
    ("SetSafeChoice", Role::Tune),
    ("RollbackSlot", Role::Tune),
    ("DeleteSlot", Role::Admin),
    ("RenameSlot", Role::Admin),
    ("ResetSlot", Role::Admin),
    ("ResetArm", Role::Admin),
    ("ExportSubject", Role::Admin),
    ("ForgetSubject", Role::Admin),
    ("ListForgotten", Role::Admin),
    ("ImportObservations", Role::Admin),
    ("ImportLearning", Role::Admin),
];

/// Returns the role that a call of the API needs, or `None` if the API has no such method.
pub fn role_of_method(method: &str) -> Option<Role> {
    METHODS.iter().find(|(name, _)| *name == method).map(|(_, role)| *role)
}

/// Returns the method of the API that answers a call of another protocol, by its path, or `None` for another path.
fn method_of_protocol(path: &str) -> Option<&'static str> {
    if ["/v1/events/cloudevents", "/v1/events/segment"].contains(&path) {
        return Some("RecordEvents");
    }
    if let Some(rest) = path.strip_prefix("/ofrep/v1/evaluate/flags") {
        return (rest.is_empty() || rest.starts_with('/')).then_some("Decide");
    }
    let (_, call) = path.strip_prefix("/slots/")?.split_once("/personalizer/")?;
    match call.rsplit('/').next()? {
        "rank" => Some("Decide"),
        "reward" | "activate" => Some("RecordRewards"),
        _ => None,
    }
}

/// Returns the role that a call needs, by its path on the gRPC or the HTTP port, or `None` if everybody may make it.
///
/// Probes are open, because load balancers have no key. Metrics and the descriptions of the API need the role to read. A
/// path that is unknown here needs the role of an administrator, until the table names it.
///
/// ```
/// use slotwise::access::{Role, requirement};
///
/// assert_eq!(requirement("/slotwise.v1.DecisionService/Decide"), Some(Role::Decide));
/// assert_eq!(requirement("/v1/Decide"), Some(Role::Decide));
/// assert_eq!(requirement("/livez"), None);
/// ```
pub fn requirement(path: &str) -> Option<Role> {
    let method = |of: &str| Some(role_of_method(of).unwrap_or(Role::Admin));
    match path {
        "/livez" | "/readyz" | "/healthz" => return None,
        "/metrics" | "/openapi.json" => return Some(Role::View),
        _ => {}
    }
    if let Some(rest) = path.strip_prefix("/slotwise.v1.") {
        return method(rest.split_once('/').map_or("", |(_, name)| name));
    }
    if let Some(name) = method_of_protocol(path) {
        return method(name);
    }
    if let Some(name) = path.strip_prefix("/v1/") {
        return method(name);
    }
    if path.starts_with("/grpc.health.") {
        return None;
    }
    Some(if path.starts_with("/grpc.reflection.") { Role::View } else { Role::Admin })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_needs_the_role_of_its_method() {
        for (path, role) in [
            ("/slotwise.v1.SlotService/ResetSlot", Some(Role::Admin)),
            ("/v1/SetSafeChoice", Some(Role::Tune)),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Some(Role::View)),
            ("/grpc.health.v1.Health/Check", None),
            ("/readyz", None),
            ("/metrics", Some(Role::View)),
            ("/v1/Unknown", Some(Role::Admin)),
            ("/v1/events/segment", Some(Role::Record)),
            ("/v1/events/cloudevents", Some(Role::Record)),
            ("/v1/events/other", Some(Role::Admin)),
            ("/ofrep/v1/evaluate/flags", Some(Role::Decide)),
            ("/ofrep/v1/evaluate/flags/offers", Some(Role::Decide)),
            ("/ofrep/v1/evaluate/flagsx", Some(Role::Admin)),
            ("/ofrep/v1/configuration", Some(Role::Admin)),
            ("/slots/offers/personalizer/v1.0/rank", Some(Role::Decide)),
            ("/slots/offers/personalizer/v1.0/events/e/reward", Some(Role::Record)),
            ("/slots/offers/personalizer/v1.0/events/e/activate", Some(Role::Record)),
            ("/slots/offers/personalizer/v1.0/model", Some(Role::Admin)),
            ("/slots/offers/rank", Some(Role::Admin)),
            ("/slotwise.v1.SlotService", Some(Role::Admin)),
            ("/", Some(Role::Admin)),
        ] {
            assert_eq!(requirement(path), role, "{path}");
        }
    }

    #[test]
    fn simulated_calls_need_a_role_of_their_own_and_reading_does_not() {
        assert_eq!(Role::Decide.when_simulated(), Role::Simulate);
        assert_eq!(Role::Tune.when_simulated(), Role::Simulate);
        assert_eq!(Role::View.when_simulated(), Role::View);
        assert_eq!(Role::Admin.when_simulated(), Role::Admin);
    }
}
