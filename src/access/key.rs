//! Keys: what callers present, and what is stored of it.

use std::collections::BTreeSet;

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use rand::{Rng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{caller::Caller, pattern::SlotPattern, role::Role};

/// First characters of a key.
const PREFIX: &str = "sw_";
/// First characters of a publishable key.
const PUBLISHABLE_PREFIX: &str = "swp_";
/// Random bytes of a key's id, which is no secret.
const ID_BYTES: usize = 5;
/// Random bytes of a secret: 160 bits cannot be guessed, so that a fast hash of them is enough.
const SECRET_BYTES: usize = 20;
/// Longest text that is looked at as a key, bytes.
const TEXT_BYTES_MAX: usize = 128;
/// Longest name, bytes.
pub(super) const NAME_BYTES_MAX: usize = 100;
/// Greatest number of slot patterns and of origins.
const ENTRIES_MAX: usize = 100;

/// Key as it is stored. Times are in microseconds since 1970. *Persisted.*
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// Id of the key, which its text begins with. It is no secret.
    pub id: String,
    /// Name for people. It stands as the principal of every change that the key made.
    pub name: String,
    /// SHA-256 of the key's secret, as hexadecimal digits.
    hash: String,
    /// Roles of the key.
    pub roles: BTreeSet<Role>,
    /// Slots that the key may reach.
    pub slots: Vec<SlotPattern>,
    /// Origins of the web pages that may use the key, which everybody may read. Empty for a secret key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
    /// Calls per second that the key may make, or `None` for no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_per_second: Option<u32>,
    /// Time at which the key was created.
    pub created_us: i64,
    /// Time from which the key is no longer taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_us: Option<i64>,
    /// Time at which the key was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_us: Option<i64>,
}

/// Wish for a key.
#[derive(Debug, Clone, Default)]
pub struct KeyDraft {
    /// Name for people.
    pub name: String,
    /// Roles of the key.
    pub roles: BTreeSet<Role>,
    /// Slots that the key may reach; empty means all.
    pub slots: Vec<SlotPattern>,
    /// Origins of web pages, which make the key a publishable one.
    pub origins: Vec<String>,
    /// Calls per second that the key may make.
    pub calls_per_second: Option<u32>,
    /// Time from which the key is no longer taken, microseconds since 1970.
    pub expires_us: Option<i64>,
}

/// Key with its text, which exists only at its creation.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Key as it is stored.
    pub key: AccessKey,
    /// Text that callers present.
    pub text: String,
}

/// Key as a caller presents it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented<'a> {
    /// Id of the key.
    pub id: &'a str,
    secret: &'a str,
}

/// Status of a key at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessKeyStatus {
    /// The key is taken.
    Active,
    /// The key's time is over.
    Expired,
    /// The key was revoked.
    Revoked,
}

impl AccessKeyStatus {
    /// Name of the status.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

fn random_text(bytes: &mut [u8]) -> String {
    rand::make_rng::<StdRng>().fill_bytes(bytes);
    BASE32_NOPAD.encode(bytes).to_lowercase()
}

fn hash(secret: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(secret.as_bytes()))
}

impl<'a> Presented<'a> {
    /// Reads a key, or returns `None` if the text is not the text of one.
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let rest = text.strip_prefix(PUBLISHABLE_PREFIX).or_else(|| text.strip_prefix(PREFIX))?;
        let (id, secret) = rest.split_once('_')?;
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (plain(id) && plain(secret)).then_some(Self { id, secret })
    }
}

/// Checks an origin, as browsers send it: a scheme, a host and perhaps a port.
fn check_origin(origin: &str) -> Result<(), String> {
    let wrong = || format!("'{origin}' is no origin; write it as https://shop.example, without a path");
    let (scheme, host) = origin.split_once("://").ok_or_else(wrong)?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".:-[]".contains(&byte);
    if !["http", "https"].contains(&scheme) || host.is_empty() || !host.bytes().all(plain) {
        return Err(wrong());
    }
    Ok(())
}

impl KeyDraft {
    /// Checks the draft.
    ///
    /// # Errors
    ///
    /// One line that names what is wrong and says what to do.
    pub fn check(&self) -> Result<(), String> {
        let Self { name, roles, slots, origins, calls_per_second, expires_us: _ } = self;
        let reorders = |c: char| matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let plain = !name.chars().any(|c| c.is_control() || reorders(c));
        if name.trim().is_empty() || name.len() > NAME_BYTES_MAX || !plain {
            return Err(format!("the name of a key has 1 to {NAME_BYTES_MAX} bytes without control characters"));
        }
        if roles.is_empty() {
            let names = Role::ALL.map(Role::name).join(", ");
            return Err(format!("a key needs at least one role of {names}"));
        }
        if slots.len() > ENTRIES_MAX || origins.len() > ENTRIES_MAX {
            return Err(format!("a key has at most {ENTRIES_MAX} patterns of slots and {ENTRIES_MAX} origins"));
        }
        origins.iter().try_for_each(|origin| check_origin(origin))?;
        let public = [Role::Decide, Role::Record];
        if !origins.is_empty() && !roles.iter().all(|role| public.contains(role)) {
            return Err("a publishable key can have the roles decide and record only, because every visitor of the page can read it".into());
        }
        if *calls_per_second == Some(0) {
            return Err("a key makes at least one call per second; revoke it to stop its calls".into());
        }
        Ok(())
    }

    /// Creates the key.
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check).
    pub fn create(self, created_us: i64) -> Result<NewKey, String> {
        self.check()?;
        if self.expires_us.is_some_and(|end_us| end_us <= created_us) {
            return Err("a key must not expire as it is created; give --expires-in a time such as 90days".into());
        }
        let Self { name, roles, slots, origins, calls_per_second, expires_us } = self;
        let (id, secret) = (random_text(&mut [0; ID_BYTES]), random_text(&mut [0; SECRET_BYTES]));
        let prefix = if origins.is_empty() { PREFIX } else { PUBLISHABLE_PREFIX };
        let text = format!("{prefix}{id}_{secret}");
        let slots = if slots.is_empty() { vec![SlotPattern::all()] } else { slots };
        let hash = hash(&secret);
        let key = AccessKey {
            id,
            name,
            hash,
            roles,
            slots,
            origins,
            calls_per_second,
            created_us,
            expires_us,
            revoked_us: None,
        };
        Ok(NewKey { key, text })
    }
}

impl AccessKey {
    /// Returns `true` if a presented key is this one. The time that it takes does not depend on where they differ.
    pub fn is(&self, presented: Presented<'_>) -> bool {
        let given = hash(presented.secret);
        let differences = given.bytes().zip(self.hash.bytes()).fold(0, |found, (a, b)| found | (a ^ b));
        self.id == presented.id && given.len() == self.hash.len() && differences == 0
    }

    /// Status of the key at a time.
    pub fn status(&self, now_us: i64) -> AccessKeyStatus {
        if self.revoked_us.is_some() {
            AccessKeyStatus::Revoked
        } else if self.expires_us.is_some_and(|end_us| end_us <= now_us) {
            AccessKeyStatus::Expired
        } else {
            AccessKeyStatus::Active
        }
    }

    /// Caller that presents the key.
    pub fn caller(&self) -> Caller {
        Caller::new(self.name.clone(), self.roles.clone(), self.slots.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> KeyDraft {
        KeyDraft { name: "shop".into(), roles: [Role::Decide].into(), ..KeyDraft::default() }
    }

    #[test]
    fn a_key_is_known_by_its_text_alone_and_the_text_is_not_stored() {
        let NewKey { key, text } = draft().create(7).unwrap();
        let presented = Presented::parse(&text).unwrap();
        assert!(key.is(presented), "{text}");
        let stored = serde_json::to_string(&key).unwrap();
        let secret = text.rsplit('_').next().unwrap();
        assert!(!stored.contains(secret) && secret.len() == 32, "{stored}");
        let other = draft().create(7).unwrap();
        assert!(!key.is(Presented::parse(&other.text).unwrap()));
        let mixed = format!("sw_{}_{}", key.id, other.text.rsplit('_').next().unwrap());
        assert!(!key.is(Presented::parse(&mixed).unwrap()), "the id alone is not enough");
        let longer = format!("{text}a");
        assert!(!key.is(Presented::parse(&longer).unwrap()));
    }

    #[test]
    fn other_texts_are_no_keys() {
        for text in ["", "sw_", "sw_a", "sw_a_", "sw__b", "key", "sw_a_b c", "Bearer sw_a_b", &"sw_a_".repeat(40)] {
            assert_eq!(Presented::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_ends_when_it_expires_or_is_revoked() {
        let mut key = draft().create(0).unwrap().key;
        assert_eq!(key.status(i64::MAX), AccessKeyStatus::Active);
        key.expires_us = Some(100);
        assert_eq!((key.status(99), key.status(100)), (AccessKeyStatus::Active, AccessKeyStatus::Expired));
        key.revoked_us = Some(5);
        assert_eq!(key.status(0), AccessKeyStatus::Revoked);
    }

    #[test]
    fn a_wrong_draft_is_refused_with_what_to_do() {
        let refused = |change: fn(&mut KeyDraft), words: &str| {
            let mut wrong = draft();
            change(&mut wrong);
            let why = wrong.create(0).unwrap_err();
            assert!(why.contains(words), "{why}");
        };
        refused(|draft| draft.name.clear(), "name");
        refused(|draft| draft.roles.clear(), "at least one role of decide");
        refused(|draft| draft.calls_per_second = Some(0), "at least one call");
        for origin in ["shop.example", "https://shop.example/", "ftp://x", "https://", "https://Shop"] {
            let why = KeyDraft { origins: vec![origin.into()], ..draft() }.create(0).unwrap_err();
            assert!(why.contains("is no origin"), "{origin}: {why}");
        }
        refused(
            |draft| {
                draft.origins = vec!["https://shop.example".into()];
                draft.roles.insert(Role::View);
            },
            "decide and record only",
        );
        let publishable = KeyDraft { origins: vec!["https://shop.example:8443".into()], ..draft() }.create(0).unwrap();
        assert!(publishable.text.starts_with("swp_"), "{}", publishable.text);
    }
}
