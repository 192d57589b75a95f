//! Persisted form of a symmetric matrix.

use serde::{Deserialize, Serialize};

use super::SymmetricMatrix;

/// Lower triangle of a symmetric matrix, row after row. *Persisted.*
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PackedTriangle {
    dim: usize,
    lower: Vec<f64>,
}

/// Error of reading a triangle with another number of entries than its rows have.
#[derive(Debug, thiserror::Error)]
#[error("a matrix of {dim} rows with {entries} entries")]
pub(super) struct WrongEntries {
    dim: usize,
    entries: usize,
}

impl From<SymmetricMatrix> for PackedTriangle {
    fn from(matrix: SymmetricMatrix) -> Self {
        let dim = matrix.dim();
        Self { dim, lower: (0..dim).flat_map(|i| (0..=i).map(move |j| (i, j))).map(|(i, j)| matrix.at(i, j)).collect() }
    }
}

impl TryFrom<PackedTriangle> for SymmetricMatrix {
    type Error = WrongEntries;

    fn try_from(packed: PackedTriangle) -> Result<Self, WrongEntries> {
        let PackedTriangle { dim, lower } = packed;
        // Checked by a product that cannot overflow, before anything is reserved.
        if dim.checked_mul(dim.saturating_add(1)).is_none_or(|twice| twice / 2 != lower.len()) {
            return Err(WrongEntries { dim, entries: lower.len() });
        }
        let mut matrix = Self::default();
        matrix.grow(dim, 0.0);
        let places = (0..dim).flat_map(|i| (0..=i).map(move |j| (i, j)));
        for ((i, j), value) in places.zip(lower) {
            matrix.set(i, j, value);
        }
        Ok(matrix)
    }
}
