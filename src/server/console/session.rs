//! Sessions: a visitor signs in with a key and gets a cookie in its place.
//!
//! The cookie is a random text that only this process knows. It ends with the key, after [`LIFETIME`], when the visitor signs out,
//! and with the process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Form,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use data_encoding::BASE32_NOPAD;
use maud::html;
use rand::{Rng as _, rngs::StdRng};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::{
    SharedConsole,
    fields::redirect,
    layout::ConsolePage,
    visitor::{PageError, PageResult},
};
use crate::access::Caller;

const COOKIE: &str = "slotwise_session";
/// Time after which a visitor signs in again: a working day.
const LIFETIME: Duration = Duration::from_hours(12);
/// Greatest number of sessions. The oldest one ends for a new one.
const SESSIONS_MAX: usize = 10_000;
/// Time that a wrong key takes, so that guessing is slow.
const WRONG_KEY: Duration = Duration::from_millis(300);

/// Sessions by the hash of their cookie.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], OpenSession>>);

#[derive(Debug)]
struct OpenSession {
    caller: Arc<Caller>,
    begun: Instant,
}

fn hash(cookie: &str) -> [u8; 32] {
    Sha256::digest(cookie.as_bytes()).into()
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

impl Sessions {
    /// Caller of the session that the headers name, or `None` if it is none or has ended.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Option<Arc<Caller>> {
        let key = hash(cookie(headers)?);
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get(&key)?;
        if session.caller.is_revoked() || session.begun.elapsed() > LIFETIME {
            sessions.remove(&key);
            return None;
        }
        Some(Arc::clone(&session.caller))
    }

    /// Begins a session, and returns its cookie.
    fn begin(&self, caller: Arc<Caller>) -> String {
        let mut bytes = [0; 20];
        rand::make_rng::<StdRng>().fill_bytes(&mut bytes);
        let cookie = BASE32_NOPAD.encode(&bytes);
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| !session.caller.is_revoked() && session.begun.elapsed() <= LIFETIME);
        if sessions.len() >= SESSIONS_MAX
            && let Some(oldest) = sessions.iter().min_by_key(|(_, session)| session.begun).map(|(key, _)| *key)
        {
            sessions.remove(&oldest);
        }
        sessions.insert(hash(&cookie), OpenSession { caller, begun: Instant::now() });
        cookie
    }

    fn end(&self, headers: &HeaderMap) {
        if let Some(cookie) = cookie(headers) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash(cookie));
        }
    }
}

/// Place to go on to after signing in.
#[derive(Debug, Default, Deserialize)]
pub(super) struct SignInQuery {
    #[serde(default)]
    next: String,
}

/// Form in which a visitor signs in.
#[derive(Debug, Deserialize)]
pub(super) struct SignInForm {
    #[serde(default)]
    key: String,
    #[serde(default)]
    next: String,
}

/// Returns a path of this host to go on to, whatever was asked for.
fn safe_path(next: &str) -> &str {
    let plain =
        next.starts_with('/') && !next.starts_with("//") && !next.contains('\\') && !next.contains(char::is_control);
    if plain { next } else { "/" }
}

fn form(next: &str, wrong: Option<&str>) -> Response {
    let content = html! {
        @if let Some(wrong) = wrong { p.problem role="alert" { (wrong) } }
        form.card method="post" action="/sign-in" {
            label for="key" { "Key" }
            input #key type="password" name="key" autocomplete="current-password" required autofocus;
            input type="hidden" name="next" value=(next);
            p.hint { "Somebody with access to the service's machine creates one with " code { "slotwise keys create" } "." }
            button type="submit" { "Sign in" }
        }
    };
    ConsolePage::new("Sign in").show(&content)
}

/// Page on which a visitor signs in.
pub(super) async fn page(State(console): State<SharedConsole>, Query(query): Query<SignInQuery>) -> Response {
    if console.access.is_required() { form(safe_path(&query.next), None) } else { redirect("/") }
}

/// Signs a visitor in.
pub(super) async fn sign_in(
    State(console): State<SharedConsole>,
    Form(SignInForm { key, next }): Form<SignInForm>,
) -> PageResult {
    let next = safe_path(&next);
    match console.access.sign_in(key.trim()) {
        Ok(caller) => {
            let cookie = console.sessions.begin(caller);
            let lifetime = LIFETIME.as_secs();
            // Over TLS the cookie never leaves it again.
            let secure = if console.access.is_encrypted() { "; Secure" } else { "" };
            let cookie = format!("{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age={lifetime}{secure}");
            let mut response = redirect(next);
            let cookie = HeaderValue::try_from(cookie)
                .map_err(|_| PageError::Request(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "no cookie"))?;
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            Ok(response)
        }
        Err(status) => {
            tokio::time::sleep(WRONG_KEY).await;
            Ok(form(next, Some(status.message())))
        }
    }
}

/// Signs a visitor out.
pub(super) async fn sign_out(State(console): State<SharedConsole>, headers: HeaderMap) -> PageResult {
    console.sessions.end(&headers);
    let mut response = redirect("/sign-in");
    let gone = HeaderValue::from_static("slotwise_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    response.headers_mut().insert(header::SET_COOKIE, gone);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Role, SlotPattern};

    fn caller() -> Arc<Caller> {
        Arc::new(Caller::new("anna".into(), [Role::View].into(), vec![SlotPattern::all()]))
    }

    fn with_cookie(cookie: &str) -> HeaderMap {
        let value = HeaderValue::try_from(format!("other=1; {COOKIE}={cookie}")).unwrap();
        HeaderMap::from_iter([(header::COOKIE, value)])
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_with_its_key_its_time_and_the_visitors_leave() {
        let sessions = Sessions::default();
        let anna = caller();
        let cookie = sessions.begin(Arc::clone(&anna));
        let headers = with_cookie(&cookie);
        assert_eq!(sessions.caller(&headers).unwrap().principal(), "anna");
        assert!(sessions.caller(&with_cookie("another")).is_none() && sessions.caller(&HeaderMap::new()).is_none());
        anna.revoke();
        assert!(sessions.caller(&headers).is_none());

        let late = with_cookie(&sessions.begin(caller()));
        tokio::time::advance(LIFETIME + Duration::from_secs(1)).await;
        assert!(sessions.caller(&late).is_none());

        let left = with_cookie(&sessions.begin(caller()));
        sessions.end(&left);
        assert!(sessions.caller(&left).is_none());
    }

    #[test]
    fn a_visitor_goes_on_to_a_page_of_this_host_only() {
        for (next, want) in [
            ("/slots/offers?x=1", "/slots/offers?x=1"),
            ("//evil.example", "/"),
            ("https://evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/\t/evil.example", "/"),
            ("", "/"),
        ] {
            assert_eq!(safe_path(next), want, "{next}");
        }
    }
}
