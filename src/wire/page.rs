//! Page tokens, which say where the next page of a list begins.
//!
//! A token holds the last item of the page before, and a checksum over that item and the name of the list. A text that is
//! not a token, or is one of another list, is therefore refused.

use data_encoding::BASE32_NOPAD;
use tonic::Status;

use super::error;
use crate::slot::FieldError;

/// Number of bytes of the checksum.
const CHECK: usize = 4;

fn checksum(list: &str, last: &str) -> [u8; CHECK] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(list.as_bytes());
    hasher.update(&[0]);
    hasher.update(last.as_bytes());
    hasher.finalize().to_be_bytes()
}

/// Returns the token of the page after `last` of the list named `list`.
pub(super) fn token(list: &str, last: &str) -> String {
    let mut bytes = checksum(list, last).to_vec();
    bytes.extend_from_slice(last.as_bytes());
    BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()
}

/// Returns the last item of the page before; `None` for an empty token, which asks for the first page.
pub(super) fn last(list: &str, token: &str) -> Result<Option<String>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let read = || {
        let bytes = BASE32_NOPAD.decode(token.to_ascii_uppercase().as_bytes()).ok()?;
        let (check, last) = bytes.split_at_checked(CHECK)?;
        let last = std::str::from_utf8(last).ok()?;
        (checksum(list, last) == check).then(|| last.to_owned())
    };
    read().map(Some).ok_or_else(|| {
        let message = "is not a token of this list; give next_page_token as it came, or nothing for the first page";
        error::field(&FieldError::new("page_token", message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_lead_back_to_their_item_and_others_are_refused() {
        for item in ["offers", "a", "ö\u{1f381}", "17"] {
            assert_eq!(last("slots", &token("slots", item)).unwrap().as_deref(), Some(item));
            assert!(last("revisions", &token("slots", item)).is_err(), "a token of another list");
        }
        assert_eq!(last("slots", "").unwrap(), None);
        for wrong in ["abc", "offers", "17", "AAAAAAAA", "not base32!", "ö"] {
            let status = last("slots", wrong).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{wrong}");
            assert!(status.message().contains("page_token"), "{wrong}: {}", status.message());
        }
    }
}
