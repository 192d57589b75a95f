//! Symmetric matrices, kept and worked on in tiles.

mod packed;

use serde::{Deserialize, Serialize};

use super::{Cholesky, NotPositiveDefinite, lanes::wide};
use packed::PackedTriangle;

/// Rows and columns of a tile: eight doubles are a cache line, and one register of the widest instructions.
const TILE: usize = 8;
/// Numbers of a tile.
const TILE_SIZE: usize = TILE * TILE;

/// Numbers of a tile, row after row.
type Tile = [f64; TILE_SIZE];

/// Part of a vector beside the rows or columns of a tile.
type Part = [f64; TILE];

/// Rows of a tile that are multiplied side by side: with the sums of more of them, half of the processors run out of
/// registers.
const SIDE_BY_SIDE: usize = 4;
/// Numbers of that many rows of a tile.
const HALF_TILE: usize = SIDE_BY_SIDE * TILE;

/// Symmetric matrix `A` of d rows in tiles of 8 × 8 numbers.
///
/// Only tiles on and below the diagonal are kept, tile row after tile row, so it takes about d²/2 + 4d doubles. Growing
/// appends. Every loop goes over whole tiles: rows and columns that fill up the last tile are zero, and vectors are
/// [padded](Self::padded) with zeros.
///
/// Invariants:
///
/// * A tile on the diagonal is symmetric, bit for bit. The lower triangle alone therefore says everything, and is what is
///   *persisted*.
/// * Sums are eight lanes that are added in a stated order, so every processor gives the same bits.
///
/// # Examples
///
/// ```
/// use slotwise::stats::SymmetricMatrix;
///
/// let mut a = SymmetricMatrix::default();
/// a.grow(2, 4.0);
/// let mut v = vec![0.0; a.padded()];
/// (v[0], v[1]) = (1.0, 2.0);
/// a.add_outer(-0.5, &v);
/// // 4·I − ½·v·vᵀ
/// assert_eq!((a.at(0, 0), a.at(1, 0), a.at(1, 1)), (3.5, -1.0, 2.0));
/// assert_eq!(a.quadratic_form(&v), 3.5 - 2.0 * 2.0 + 4.0 * 2.0);
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(into = "PackedTriangle", try_from = "PackedTriangle")]
pub struct SymmetricMatrix {
    dim: usize,
    tiles: Vec<Tile>,
}

impl SymmetricMatrix {
    /// Number of rows.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Length of the vectors that the matrix works with: the number of rows, rounded up to whole tiles.
    pub fn padded(&self) -> usize {
        self.dim.next_multiple_of(TILE)
    }

    /// Entry in row `i` and column `j`.
    ///
    /// # Panics
    ///
    /// Panics if one of them is beyond the last row.
    pub fn at(&self, i: usize, j: usize) -> f64 {
        let (tile, place) = offset(i.max(j), i.min(j));
        self.tiles[tile][place]
    }

    /// Sets the entries (i, j) and (j, i).
    fn set(&mut self, i: usize, j: usize, value: f64) {
        let (row, column) = (i.max(j), i.min(j));
        let (tile, place) = offset(row, column);
        self.tiles[tile][place] = value;
        if row / TILE == column / TILE {
            let (tile, place) = offset(column, row);
            self.tiles[tile][place] = value;
        }
    }

    /// Appends rows and columns up to `dim` that are zero but for `diagonal`.
    pub fn grow(&mut self, dim: usize, diagonal: f64) {
        let before = self.dim;
        if dim <= before {
            return;
        }
        self.dim = dim;
        let rows = dim.div_ceil(TILE);
        self.tiles.resize(rows * (rows + 1) / 2, [0.0; TILE_SIZE]);
        for i in before..dim {
            self.set(i, i, diagonal);
        }
    }

    /// Replaces row and column `i` by zeros but for `diagonal`.
    pub fn isolate(&mut self, i: usize, diagonal: f64) {
        for j in 0..self.dim {
            self.set(i, j, if i == j { diagonal } else { 0.0 });
        }
    }

    /// Writes row `i` into `out`, which has the [padded](Self::padded) length.
    pub fn copy_row(&self, i: usize, out: &mut [f64]) {
        for (j, out) in out.iter_mut().enumerate().take(self.dim) {
            *out = self.at(i, j);
        }
    }

    /// Adds `factor·v·vᵀ`. `v` has the [padded](Self::padded) length and is zero beyond the last row.
    ///
    /// # Panics
    ///
    /// Panics if `v` has another length.
    pub fn add_outer(&mut self, factor: f64, v: &[f64]) {
        assert_eq!(v.len(), self.padded(), "a vector of the padded length");
        wide(
            #[inline(always)]
            || self.add_tiles(factor, v),
        );
    }

    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn add_tiles(&mut self, factor: f64, v: &[f64]) {
        let (parts, _) = v.as_chunks::<TILE>();
        let mut at = 0;
        for (i, of_rows) in parts.iter().enumerate() {
            let mut scaled = [0.0; TILE];
            for r in 0..TILE {
                scaled[r] = factor * of_rows[r];
            }
            let row = &mut self.tiles[at..=at + i];
            at += i + 1;
            for j in 0..i {
                let (rows, _) = row[j].as_chunks_mut::<TILE>();
                for r in 0..TILE {
                    add_scaled(&mut rows[r], scaled[r], &parts[j]);
                }
            }
            // The product of two entries comes first, so that both sides of the diagonal get the same bits.
            let (rows, _) = row[i].as_chunks_mut::<TILE>();
            for r in 0..TILE {
                let mut products = [0.0; TILE];
                for l in 0..TILE {
                    products[l] = of_rows[r] * of_rows[l];
                }
                add_scaled(&mut rows[r], factor, &products);
            }
        }
    }

    /// Returns `A·x`. Both vectors have the [padded](Self::padded) length.
    ///
    /// # Panics
    ///
    /// Panics if `x` has another length.
    pub fn times(&self, x: &[f64]) -> Vec<f64> {
        assert_eq!(x.len(), self.padded(), "a vector of the padded length");
        let mut result = vec![0.0; x.len()];
        wide(
            #[inline(always)]
            || self.multiply(x, &mut result),
        );
        result
    }

    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn multiply(&self, x: &[f64], out: &mut [f64]) {
        let (parts, _) = x.as_chunks::<TILE>();
        let (sums, _) = out.as_chunks_mut::<TILE>();
        let mut at = 0;
        for i in 0..parts.len() {
            let row = &self.tiles[at..=at + i];
            at += i + 1;
            let (before, this) = sums.split_at_mut(i);
            let of_rows = &parts[i];
            for half in 0..2 {
                let first = half * SIDE_BY_SIDE;
                let factors: &[f64; SIDE_BY_SIDE] = if half == 0 { head(of_rows) } else { tail(of_rows) };
                let mut lanes = [[0.0; TILE]; SIDE_BY_SIDE];
                for j in 0..i {
                    let (halves, _) = row[j].as_chunks::<HALF_TILE>();
                    multiply_half(&halves[half], factors, &parts[j], &mut lanes, &mut before[j]);
                }
                let (halves, _) = row[i].as_chunks::<HALF_TILE>();
                let diagonal = &halves[half];
                for r in 0..SIDE_BY_SIDE {
                    for l in 0..TILE {
                        lanes[r][l] += diagonal[r * TILE + l] * of_rows[l];
                    }
                    this[0][first + r] += total(&lanes[r]);
                }
            }
        }
    }

    /// Returns `xᵀ·A·x`. `x` has the [padded](Self::padded) length.
    ///
    /// # Panics
    ///
    /// Panics if `x` has another length.
    pub fn quadratic_form(&self, x: &[f64]) -> f64 {
        assert_eq!(x.len(), self.padded(), "a vector of the padded length");
        wide(
            #[inline(always)]
            || self.square(x),
        )
    }

    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn square(&self, x: &[f64]) -> f64 {
        let (parts, _) = x.as_chunks::<TILE>();
        let (mut below, mut on) = ([0.0; TILE], [0.0; TILE]);
        let mut at = 0;
        for (i, of_rows) in parts.iter().enumerate() {
            let row = &self.tiles[at..=at + i];
            at += i + 1;
            if is_zero(of_rows) {
                continue;
            }
            for (j, of_columns) in parts.iter().enumerate().take(i) {
                add_square(&mut below, &row[j], of_rows, of_columns);
            }
            add_square(&mut on, &row[i], of_rows, of_rows);
        }
        2.0 * total(&below) + total(&on)
    }

    /// Factorises the matrix. Costs O(d³).
    pub fn factorise(&self) -> Result<Cholesky, NotPositiveDefinite> {
        let lower = (0..self.dim).flat_map(|k| (k..self.dim).map(move |i| self.at(i, k))).collect();
        Cholesky::factorise(self.dim, lower)
    }

    /// Returns `Λ′⁻¹` for `Λ′ = γ·A⁻¹ + C` with the diagonal matrix `C` > 0, and `γ·Λ′⁻¹·A⁻¹·m` for a vector `m`. Costs O(d³).
    ///
    /// With `D = C^½`, `S = D·A·D` and `M = γI + S`, these are `D⁻¹·M⁻¹·S·D⁻¹` and `γ·D⁻¹·M⁻¹·D·m`. M is as well
    /// conditioned as the fading is small, whatever A is, so no digits are lost.
    pub fn faded(
        &self,
        retained: f64,
        diagonal: impl Fn(usize) -> f64,
        vector: &[f64],
    ) -> Result<(Self, Vec<f64>), NotPositiveDefinite> {
        let dim = self.dim;
        let root: Vec<f64> = (0..dim).map(|k| diagonal(k).sqrt()).collect();
        let scaled = |i: usize, k: usize| root[i] * self.at(i, k) * root[k];
        let mut lower: Vec<f64> =
            (0..dim).flat_map(|k| (k..dim).map(move |i| (i, k))).map(|(i, k)| scaled(i, k)).collect();
        let mut at = 0;
        for k in 0..dim {
            lower[at] += retained;
            at += dim - k;
        }
        let factor = Cholesky::factorise(dim, lower)?;
        let mut faded = Self::default();
        faded.grow(dim, 0.0);
        let mut column = vec![0.0; dim];
        for k in 0..dim {
            for (i, value) in column.iter_mut().enumerate() {
                *value = scaled(i, k);
            }
            factor.forward(0, &mut column);
            factor.backward(&mut column);
            for i in k..dim {
                faded.set(i, k, column[i] / (root[i] * root[k]));
            }
        }
        let mut vector: Vec<f64> = vector.iter().zip(&root).map(|(value, root)| value * root).collect();
        factor.forward(0, &mut vector);
        factor.backward(&mut vector);
        for (value, root) in vector.iter_mut().zip(&root) {
            *value *= retained / root;
        }
        Ok((faded, vector))
    }
}

/// Tile of an entry on or below the diagonal, or beside it in a tile on the diagonal, and the place in the tile.
fn offset(row: usize, column: usize) -> (usize, usize) {
    let (i, j) = (row / TILE, column / TILE);
    (i * (i + 1) / 2 + j, row % TILE * TILE + column % TILE)
}

#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
fn is_zero(part: &Part) -> bool {
    let mut zero = true;
    for l in 0..TILE {
        zero &= part[l] == 0.0;
    }
    zero
}

/// Adds `factor` times the values to the numbers.
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
fn add_scaled(numbers: &mut Part, factor: f64, values: &Part) {
    let mut sums = *numbers;
    for l in 0..TILE {
        sums[l] += factor * values[l];
    }
    *numbers = sums;
}

/// First half of a part.
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
fn head(part: &Part) -> &[f64; SIDE_BY_SIDE] {
    &part.as_chunks::<SIDE_BY_SIDE>().0[0]
}

/// Second half of a part.
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
fn tail(part: &Part) -> &[f64; SIDE_BY_SIDE] {
    &part.as_chunks::<SIDE_BY_SIDE>().0[1]
}

/// Multiplies half of a tile with the vector beside its columns, in lanes, and with that beside its rows.
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
fn multiply_half(
    half: &[f64; HALF_TILE],
    of_rows: &[f64; SIDE_BY_SIDE],
    of_columns: &Part,
    lanes: &mut [Part; SIDE_BY_SIDE],
    below: &mut Part,
) {
    let mut sum = *below;
    for r in 0..SIDE_BY_SIDE {
        for l in 0..TILE {
            let number = half[r * TILE + l];
            lanes[r][l] += number * of_columns[l];
            sum[l] += number * of_rows[r];
        }
    }
    *below = sum;
}

/// Adds to each lane the tile's column, times the factors of the rows, times the factor of the column.
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
fn add_square(lanes: &mut Part, tile: &Tile, of_rows: &Part, of_columns: &Part) {
    let (mut even, mut odd) = ([0.0; TILE], [0.0; TILE]);
    for r in (0..TILE).step_by(2) {
        for l in 0..TILE {
            even[l] += tile[r * TILE + l] * of_rows[r];
            odd[l] += tile[(r + 1) * TILE + l] * of_rows[r + 1];
        }
    }
    for l in 0..TILE {
        lanes[l] += (even[l] + odd[l]) * of_columns[l];
    }
}

/// Returns the sum of the lanes, pair by pair.
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
fn total(lanes: &Part) -> f64 {
    let [a, b, c, d, e, f, g, h] = *lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

#[cfg(test)]
mod tests;
