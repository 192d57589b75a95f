//! Pages of arms.
//!
//! A token holds the index of the next element and the id of the arm before it. If arms were added or removed since, the
//! next page begins after that arm, wherever it is now.

use tonic::Status;

use super::{
    Api,
    access::CallAccess,
    encode_slot as encode, error, page,
    proto::{Arm, ListArmsRequest, ListArmsResponse},
    slots::{page_of, page_size as size_of_page, parse_slot},
};
use crate::slot::FieldError;

/// Returns the token of the page that follows the first `index` elements, of which `last` is the last.
pub(super) fn token(list: &str, index: usize, last: &str) -> String {
    page::token(list, &format!("{index}:{last}"))
}

/// Returns the index at which the page of a token begins, in a list of `length` elements with ids.
pub(super) fn start<'a>(
    list: &str,
    token: &str,
    length: usize,
    id: impl Fn(usize) -> Option<&'a str>,
) -> Result<usize, Status> {
    let Some(read) = page::last(list, token)? else { return Ok(0) };
    // A token that this service made has both parts.
    let read = read.split_once(':').and_then(|(index, last)| Some((index.parse::<usize>().ok()?, last)));
    let Some((index, last)) = read else { return Ok(0) };
    if index.checked_sub(1).and_then(&id) == Some(last) {
        return Ok(index);
    }
    Ok((0..length).find(|&at| id(at) == Some(last)).map_or(index.min(length), |at| at + 1))
}

impl Api {
    /// Returns a page of a slot's arms.
    pub(super) fn arms_page(&self, access: &CallAccess, request: &ListArmsRequest) -> Result<ListArmsResponse, Status> {
        let ListArmsRequest { slot_id, page_size, page_token, revision } = request;
        let size = size_of_page(*page_size, 500, 1_000)?;
        let view = self.view(access, &parse_slot(slot_id)?)?;
        let (all, revision) = match revision {
            number if [0, view.revision].contains(number) => (view.listed_arms(), view.revision),
            number => {
                let Some(kept) = view.revisions.iter().find(|kept| kept.number == *number) else {
                    let message = format!(
                        "{number} is not kept; the slot is at {}, and ListRevisions says which are",
                        view.revision
                    );
                    return Err(error::field(&FieldError::new("revision", message)));
                };
                (&kept.definition.arms[..], kept.number)
            }
        };
        let list = format!("arms of {slot_id}");
        let start = start(&list, page_token, all.len(), |at| Some(all.get(at)?.id.as_str()))?;
        let arms: Vec<Arm> = page_of(all[start..].iter().map(|arm| encode::arm(arm)), size);
        let end = start + arms.len();
        let last = arms.last().filter(|_| end < all.len());
        Ok(ListArmsResponse {
            next_page_token: last.map(|last| token(&list, end, &last.arm_id)).unwrap_or_default(),
            arm_count: encode::arm_count(all).arms,
            revision,
            from_items: view.definition.takes_items() && revision == view.revision,
            arms,
        })
    }
}
