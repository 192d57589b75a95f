//! Arms in pages.
//!
//! A token names the place of the next element and the arm before it. Where arms came or went since, the next page
//! begins after that arm, wherever it is now.

use tonic::Status;

use super::{
    Api, encode_slot as encode, error, page,
    proto::{Arm, ListArmsRequest, ListArmsResponse},
    slots::{page_of, page_size as size_of_page, parse_slot},
};
use crate::slot::FieldError;

/// The token of the page after `place` elements, of which `last` is the last.
pub(super) fn token(list: &str, place: usize, last: &str) -> String {
    page::token(list, &format!("{place}:{last}"))
}

/// Returns the place at which the page of a token begins, in a list of `length` elements with ids.
pub(super) fn start<'a>(
    list: &str,
    token: &str,
    length: usize,
    id: impl Fn(usize) -> Option<&'a str>,
) -> Result<usize, Status> {
    let Some(read) = page::last(list, token)? else { return Ok(0) };
    // What a token of ours holds has both parts.
    let read = read.split_once(':').and_then(|(place, last)| Some((place.parse::<usize>().ok()?, last)));
    let Some((place, last)) = read else { return Ok(0) };
    if place.checked_sub(1).and_then(&id) == Some(last) {
        return Ok(place);
    }
    Ok((0..length).find(|&at| id(at) == Some(last)).map_or(place.min(length), |at| at + 1))
}

impl Api {
    /// A page of a slot's arms.
    pub(super) fn arms_of(&self, request: &ListArmsRequest) -> Result<ListArmsResponse, Status> {
        let ListArmsRequest { slot_id, page_size, page_token, revision } = request;
        let size = size_of_page(*page_size, 500, 1_000)?;
        let view = self.view(&parse_slot(slot_id)?)?;
        let (definition, revision) = match revision {
            0 => (&view.definition, view.revision),
            number => {
                let Some(kept) = view.revisions.iter().find(|kept| kept.number == *number) else {
                    let message = format!(
                        "{number} is not kept; the slot is at {}, and ListRevisions says which are",
                        view.revision
                    );
                    return Err(error::field(&FieldError::new("revision", message)));
                };
                (&kept.definition, kept.number)
            }
        };
        let all = &definition.arms;
        let list = format!("arms of {slot_id}");
        let start = start(&list, page_token, all.len(), |at| Some(all.get(at)?.id.as_str()))?;
        let arms: Vec<Arm> = page_of(all[start..].iter().map(|arm| encode::arm(arm)), size);
        let end = start + arms.len();
        let last = arms.last().filter(|_| end < all.len());
        Ok(ListArmsResponse {
            next_page_token: last.map(|last| token(&list, end, &last.arm_id)).unwrap_or_default(),
            arm_count: encode::arm_count(definition).arms,
            revision,
            arms,
        })
    }
}
