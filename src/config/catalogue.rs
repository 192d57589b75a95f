//! Limits of the item catalogue.

use serde::{Deserialize, Serialize};

/// The table `[catalogue]` of the configuration: what the item catalogue may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogueSettings {
    /// Items; an upsert that would add more is refused.
    #[serde(deserialize_with = "super::limits::positive")]
    pub items: usize,
    /// Bytes of all items, as they are held in memory; an upsert that would make more is refused.
    #[serde(deserialize_with = "super::limits::positive")]
    pub bytes: u64,
}

impl Default for CatalogueSettings {
    /// Limits of a large shop, with a kilobyte for each product.
    fn default() -> Self {
        Self { items: 200_000, bytes: 256 * 1024 * 1024 }
    }
}
