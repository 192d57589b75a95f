//! Access: who may make which call, on which slots.
//!
//! * [`Role`], [`requirement`]: the roles, and the one that each call needs.
//! * [`Caller`]: who makes a call, as far as a key or a token says it.
//! * [`AccessKey`], [`KeyStore`]: the keys of a data folder. Only hashes of their secrets are stored.
//! * [`tokens`]: JSON Web Tokens, for those who have an identity provider.
//!
//! Invariants:
//!
//! * A call needs exactly one role. The table of the roles names every call of the API, and a test compares the two.
//! * A secret is shown once, when its key is created, and stands in no file and in no log.
//!
//! Deliberately not here: connections and the checks of each call (`server`).

mod caller;
mod key;
mod pattern;
mod role;
mod store;
pub mod tokens;

pub use caller::Caller;
pub use key::{AccessKey, AccessKeyStatus, KeyDraft, NewKey, Presented};
pub use pattern::SlotPattern;
pub use role::{Role, requirement, role_of_method};
pub use store::{KEY_FILE, KEY_FILES, KeyFileError, KeyFileMark, KeyStore};
