//! Filter of items: the condition by which a slot takes its arms from the item catalogue.

use super::{Verdict, book::of_arm, compile, lower::Vocabulary};
use crate::slot::{Arm, FieldError};

/// Compiled filter of items, a condition in CEL over `item`.
///
/// # Examples
///
/// ```
/// use slotwise::{bandit::Value, slot::{Arm, ArmId, ItemFilter}};
///
/// let filter = ItemFilter::parse("from_catalogue", "item.category == 'shoes'").unwrap();
/// let mut item = Arm::new(ArmId::parse("item_id", "sneaker").unwrap());
/// assert!(!filter.matches(&item), "an item without the attribute does not match");
/// item.attributes.insert("category".into(), Value::Text("shoes".into()));
/// assert!(filter.matches(&item));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ItemFilter {
    text: String,
    program: compile::Program,
}

impl ItemFilter {
    /// Compiles a filter; the error names `field`.
    ///
    /// # Errors
    ///
    /// The text is empty or no condition, or reads something else than `item`.
    pub fn parse(field: &str, text: &str) -> Result<Self, FieldError> {
        if text.trim().is_empty() {
            return Err(FieldError::new(field, "is blank; write true to take every item"));
        }
        let refused = |refusal: super::Refusal| FieldError::new(field, refusal.words(text));
        let mut program = compile::compile(Vocabulary::Filter, text).map_err(refused)?;
        // A part that reads no item, such as `true`, is evaluated like the others.
        program.arm.append(&mut program.request);
        Ok(Self { text: text.to_owned(), program })
    }

    /// Text of the filter.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns `true` if the condition holds for an item. A condition that has no value for the item, for example because an
    /// attribute is missing, does not hold.
    pub fn matches(&self, item: &Arm) -> bool {
        of_arm(&self.program, item) == Verdict::Yes
    }
}
