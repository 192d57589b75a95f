//! Author of a change as the service sees it: the name that the caller authenticated as, the address that the call came from and
//! the call's request id.

use std::sync::Arc;

use rand::{Rng as _, rngs::StdRng};
use tonic::Request;

use crate::{access::Caller, slot::Actor};

/// Name of the header in which a caller sends the id of its call.
pub(super) const REQUEST_ID: &str = "x-request-id";
/// Longest id that a caller may give its call, bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Returns the caller of a request. An id that is empty, too long or not visible ASCII is replaced by a new one: the
/// header often comes from a proxy, and the call itself is in order.
pub(super) fn actor<T>(request: &Request<T>) -> Actor {
    let given = request.metadata().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let caller = request.extensions().get::<Arc<Caller>>();
    let usable = |id: &&str| (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    Actor {
        principal: caller.map(|caller| caller.principal().to_owned()).unwrap_or_default(),
        origin: request.remote_addr().map(|address| address.to_string()).unwrap_or_default(),
        request_id: given.filter(usable).map_or_else(new_request_id, str::to_owned),
    }
}

/// Gives a request of this process a new id, and returns it.
pub(crate) fn set_request_id<T>(request: &mut Request<T>) -> String {
    let id = new_request_id();
    give_request_id(request, &id);
    id
}

/// Gives a request of this process the id of the request that it is a part of.
pub(crate) fn give_request_id<T>(request: &mut Request<T>, id: &str) {
    if let Ok(value) = id.parse() {
        request.metadata_mut().insert(REQUEST_ID, value);
    }
}

fn new_request_id() -> String {
    let mut bytes = [0; 16];
    rand::make_rng::<StdRng>().fill_bytes(&mut bytes);
    format!("{:032x}", u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request_id(header: &str) -> String {
        let mut request = Request::new(());
        request.metadata_mut().insert(REQUEST_ID, header.parse().unwrap());
        actor(&request).request_id
    }

    #[test]
    fn the_callers_request_id_is_kept_and_an_unusable_one_is_replaced() {
        assert_eq!(request_id("7f3c-req/1"), "7f3c-req/1");
        assert_eq!(request_id(&"x".repeat(128)), "x".repeat(128));
        for unusable in ["", "two words", &"x".repeat(129)] {
            let made = request_id(unusable);
            assert!(made.len() == 32 && made.bytes().all(|b| b.is_ascii_hexdigit()), "{unusable:?} gave {made:?}");
        }
        let none = || actor(&Request::new(())).request_id;
        assert_ne!(none(), none());
    }
}
