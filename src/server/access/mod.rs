//! Admission of calls: the key or token of each, and the role that it needs.
//!
//! Invariants:
//!
//! * Without any key and without settings for tokens, every call is admitted. The ports are then bound to the machine itself,
//!   unless somebody asked for another address knowingly.
//! * Once there was a key, no call is admitted without one: neither if all are revoked, nor if their file is removed.
//! * A change of the keys holds within a quarter of a second, for calls and for streams that are open.
//! * Neither a log nor a metric holds a secret. Refusals are counted by reason, and logged once in ten seconds for each.
//!
//! Deliberately not here: whether a caller may reach a slot, which `wire` checks, because the message names the slot.

mod layer;
mod table;

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
    time::Duration,
};

use axum::http::{HeaderMap, HeaderValue, header};
use data_encoding::BASE64;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

pub(super) use layer::AccessLayer;

use self::table::KeyTable;
use crate::{
    access::{
        AccessKeyStatus, Caller, KeyStore, Presented, requirement,
        tokens::{TokenSettings, TokenVerifier},
    },
    metrics::Metrics,
    node::{Clock as _, SystemClock},
    wire::{SIMULATED, forbidden, quota, role_missing, unauthenticated},
};

/// Time between two looks at the file of the keys.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Time between two lines of the log about refusals for the same reason.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Headers that may hold a key: ours, and that of Personalizer's clients.
const KEY_HEADERS: [&str; 2] = ["x-api-key", "ocp-apim-subscription-key"];

/// Admission of the calls of both ports. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct AccessControl(Arc<AccessGate>);

#[derive(Debug)]
struct AccessGate {
    store: KeyStore,
    table: RwLock<Arc<KeyTable>>,
    tokens: Option<TokenVerifier>,
    metrics: Arc<Metrics>,
    clock: SystemClock,
    /// Callers of tokens whose calls or sessions are open, so that they end with the token.
    token_callers: Mutex<Vec<Weak<Caller>>>,
    /// The ports speak TLS.
    encrypted: bool,
    /// Time of the last line of the log about each reason.
    logged: Mutex<HashMap<&'static str, Instant>>,
}

/// Reason why a call is not admitted.
#[derive(Debug)]
pub(super) struct CallRefusal {
    reason: &'static str,
    pub(super) status: Status,
}

fn refusal(reason: &'static str, status: Status) -> CallRefusal {
    CallRefusal { reason, status }
}

/// Returns the key or token that a call presents, or `None` if it presents none.
///
/// Trackers present a write key as the name of a user without a password.
fn credential(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    for name in KEY_HEADERS {
        if let Some(key) = headers.get(name) {
            return key.to_str().ok().map(Cow::Borrowed);
        }
    }
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = text.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(BASE64.decode(rest.trim().as_bytes()).ok()?).ok()?;
        return pair.strip_suffix(':').map(|name| Cow::Owned(name.to_owned()));
    }
    scheme.eq_ignore_ascii_case("bearer").then(|| Cow::Borrowed(rest.trim()))
}

impl AccessControl {
    /// Reads the keys of the data folder and the settings of tokens.
    ///
    /// # Errors
    ///
    /// One line that names the file or setting at fault.
    pub(super) fn new(
        store: KeyStore,
        tokens: Option<&TokenSettings>,
        encrypted: bool,
        metrics: Arc<Metrics>,
    ) -> Result<Self, String> {
        let clock = SystemClock::default();
        let table = KeyTable::read(&store, None, clock.now_us()).map_err(|why| why.to_string())?;
        let tokens = tokens.map(TokenVerifier::new).transpose().map_err(|why| why.to_string())?;
        let table = RwLock::new(Arc::new(table));
        Ok(Self(Arc::new(AccessGate {
            store,
            table,
            tokens,
            metrics,
            clock,
            token_callers: Mutex::default(),
            encrypted,
            logged: Mutex::default(),
        })))
    }

    fn table(&self) -> Arc<KeyTable> {
        Arc::clone(&self.0.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns `true` if calls need a key or a token.
    pub(super) fn is_required(&self) -> bool {
        self.0.tokens.is_some() || self.table().is_required()
    }

    /// Returns `true` if the ports speak TLS.
    pub(super) fn is_encrypted(&self) -> bool {
        self.0.encrypted
    }

    /// Returns the caller that a key or token names, for somebody who gives it in a form.
    pub(super) fn sign_in(&self, text: &str) -> Result<Arc<Caller>, Status> {
        let unknown = || unauthenticated("KEY_UNKNOWN", "the key is not known");
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", HeaderValue::try_from(text).map_err(|_| unknown())?);
        self.caller(&self.table(), &headers).map_err(|refused| {
            self.note(&refused, "/sign-in");
            refused.status
        })
    }

    /// Times of the last calls of the keys since the service started, by the key's id.
    pub(super) fn last_uses(&self) -> HashMap<String, i64> {
        self.table().last_uses()
    }

    /// Returns `true` if a publishable key may be used from a web page of this origin.
    pub(super) fn knows_origin(&self, origin: &str) -> bool {
        self.table().knows_origin(origin)
    }

    /// Admits a call, by its path and its headers. Returns its caller, or `None` where no key is asked for.
    pub(super) fn admit(&self, path: &str, headers: &HeaderMap) -> Result<Option<Arc<Caller>>, CallRefusal> {
        let table = self.table();
        if self.0.tokens.is_none() && !table.is_required() {
            return Ok(None);
        }
        let Some(role) = requirement(path) else { return Ok(None) };
        let role = if headers.contains_key(SIMULATED) { role.when_simulated() } else { role };
        let admitted = self.caller(&table, headers).and_then(|caller| {
            if caller.has(role) && path == "/metrics" && !caller.reaches_all() {
                let message = "metrics are of all slots, and the key reaches some of them only";
                Err(refusal("SLOT_OUT_OF_REACH", forbidden("SLOT_OUT_OF_REACH", message)))
            } else if caller.has(role) {
                Ok(caller)
            } else {
                Err(refusal("ROLE_MISSING", role_missing(caller.principal(), role.name())))
            }
        });
        admitted.map(Some).inspect_err(|refused| self.note(refused, path))
    }

    fn caller(&self, table: &KeyTable, headers: &HeaderMap) -> Result<Arc<Caller>, CallRefusal> {
        let refuse = |reason: &'static str, message: &str| Err(refusal(reason, unauthenticated(reason, message)));
        let Some(text) = credential(headers) else {
            return refuse(
                "KEY_MISSING",
                "the call has no key; send the header authorization: Bearer KEY, or x-api-key: KEY",
            );
        };
        let text = text.as_ref();
        let Some(presented) = Presented::parse(text) else {
            let Some(tokens) = &self.0.tokens else { return refuse("KEY_UNKNOWN", "the key is not known") };
            return match tokens.verify(text) {
                Ok(caller) => {
                    let caller = Arc::new(caller);
                    self.0.token_callers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&caller));
                    Ok(caller)
                }
                Err(why) => refuse("TOKEN_REFUSED", &format!("the token is not taken: {why}")),
            };
        };
        let Some(active) = table.find(presented) else { return refuse("KEY_UNKNOWN", "the key is not known") };
        let now_us = self.0.clock.now_us();
        match active.key.status(now_us) {
            AccessKeyStatus::Active => active.note_use(now_us),
            AccessKeyStatus::Expired => return refuse("KEY_EXPIRED", "the key has expired; ask for a new one"),
            AccessKeyStatus::Revoked => return refuse("KEY_REVOKED", "the key was revoked; ask for a new one"),
        }
        if !active.key.origins.is_empty() {
            let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or_default();
            if !active.key.origins.iter().any(|known| known == origin) {
                let message = "the key is publishable and bound to the origins of web pages, and the call's header origin names none of them";
                return Err(refusal("ORIGIN_UNKNOWN", forbidden("ORIGIN_UNKNOWN", message)));
            }
        }
        if let Err((calls, wait)) = active.take_call() {
            return Err(refusal("KEY_QUOTA", quota(&active.key.name, calls, wait)));
        }
        Ok(Arc::clone(&active.caller))
    }

    /// Ends the callers whose token's time is over.
    fn end_tokens(&self, now_us: i64) {
        let mut callers = self.0.token_callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.retain(|caller| {
            let Some(caller) = caller.upgrade() else { return false };
            let ended = caller.has_ended(now_us);
            if ended {
                caller.revoke();
            }
            !ended
        });
    }

    /// Counts a refusal, and logs it unless one for the same reason was logged just now.
    fn note(&self, refused: &CallRefusal, path: &str) {
        self.0.metrics.call_refused(refused.reason);
        let mut logged = self.0.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if logged.get(refused.reason).is_none_or(|last| now - *last >= LOG_EVERY) {
            logged.insert(refused.reason, now);
            tracing::warn!(reason = refused.reason, path, why = refused.status.message(), "a call was refused");
        }
    }

    /// Follows the changes of the keys until `stop` is cancelled.
    pub(super) async fn follow(self, stop: CancellationToken) {
        let mut failed = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let now_us = self.0.clock.now_us();
            let table = self.table();
            table.end_expired(now_us);
            self.end_tokens(now_us);
            let mark = self.0.store.mark();
            if mark.as_ref().is_ok_and(|mark| *mark == table.mark()) {
                continue;
            }
            match KeyTable::read(&self.0.store, Some(&table), now_us) {
                Ok(read) => {
                    tracing::info!(active = read.active(now_us), "the access keys changed");
                    *self.0.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
                    failed = None;
                }
                Err(why) => {
                    let why = why.to_string();
                    if failed.as_ref() != Some(&why) {
                        tracing::error!(why, "the access keys cannot be read; those from before stay");
                        failed = Some(why);
                    }
                }
            }
        }
    }
}
