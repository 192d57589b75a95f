//! Cholesky factor of a positive definite matrix, which solves and colours.
//!
//! The factor is packed by columns. The inner loops (forward, backward) run over contiguous
//! memory without a dependency between its steps, so the compiler vectorises it as wide as the processor can. The bits
//! are the same on every processor.

mod blocks;

use std::mem::take;

use super::lanes::wide;
use blocks::{BLOCK, dot, split_block, substitute_block, substitute_block_back};

/// Error of [`Cholesky::factorise`]: the matrix is not positive definite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the matrix is not positive definite at row {row}")]
pub struct NotPositiveDefinite {
    /// First row whose pivot is not above zero.
    pub row: usize,
}

/// Cholesky factor: `A = L·Lᵀ` with `L` lower triangular and positive on its diagonal.
///
/// Column `k` holds `d − k` numbers from the diagonal downwards, so the factor takes `d(d+1)/2` doubles. A forward solve
/// and a backward solve each cost O(d²).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cholesky {
    dim: usize,
    columns: Vec<f64>,
}

impl Cholesky {
    /// Number of rows.
    pub fn dim(&self) -> usize {
        self.dim
    }

    fn start(dim: usize, k: usize) -> usize {
        k * dim - k * k.saturating_sub(1) / 2
    }

    fn column(&self, k: usize) -> &[f64] {
        let start = Self::start(self.dim, k);
        &self.columns[start..start + self.dim - k]
    }

    /// Factorises the symmetric matrix whose lower triangle is packed by columns in `lower`. Costs O(d³).
    ///
    /// # Panics
    ///
    /// Panics if `lower` does not hold d(d+1)/2 numbers.
    pub fn factorise(dim: usize, lower: Vec<f64>) -> Result<Self, NotPositiveDefinite> {
        assert_eq!(lower.len(), dim * (dim + 1) / 2, "a packed lower triangle");
        let mut factor = Self { dim, columns: lower };
        for k in 0..dim {
            let start = Self::start(dim, k);
            let (head, tail) = factor.columns.split_at_mut(start + dim - k);
            let column = &mut head[start..];
            if column[0].is_nan() || column[0] <= 0.0 {
                return Err(NotPositiveDefinite { row: k });
            }
            let pivot = column[0].sqrt();
            column[0] = pivot;
            for value in &mut column[1..] {
                *value /= pivot;
            }
            // The remaining matrix loses this column's outer product (the right-looking form).
            let mut rest = 0;
            for j in 1..dim - k {
                let (factor_j, length) = (column[j], dim - k - j);
                if factor_j != 0.0 {
                    for (a, l) in tail[rest..rest + length].iter_mut().zip(&column[j..]) {
                        *a -= factor_j * l;
                    }
                }
                rest += length;
            }
        }
        Ok(factor)
    }

    /// Solves `L·z = b` in place, where the entries of `b` before `first` are zero. Returns `zᵀz`.
    pub fn forward(&self, first: usize, b: &mut [f64]) -> f64 {
        wide(
            #[inline(always)]
            || {
                self.substitute(first, b);
                let z = b.get(first..).unwrap_or_default();
                dot(z, z)
            },
        )
    }

    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn substitute(&self, first: usize, b: &mut [f64]) {
        let mut columns = self.columns.get(Self::start(self.dim, first)..).unwrap_or_default();
        let mut b = b.get_mut(first..self.dim).unwrap_or_default();
        while b.len() >= BLOCK {
            let Some((head, tail)) = take(&mut b).split_first_chunk_mut::<BLOCK>() else { return };
            let (block, rest) = split_block(columns, tail.len());
            columns = rest;
            if head.iter().any(|&value| value != 0.0) {
                substitute_block(block, head, tail);
            }
            b = tail;
        }
        while let Some((value, tail)) = take(&mut b).split_first_mut() {
            let (column, rest) = columns.split_at(tail.len() + 1);
            columns = rest;
            *value /= column[0];
            for (below, l) in tail.iter_mut().zip(&column[1..]) {
                *below -= *value * l;
            }
            b = tail;
        }
    }

    /// Solves `Lᵀ·z = b` in place.
    pub fn backward(&self, b: &mut [f64]) {
        wide(
            #[inline(always)]
            || self.substitute_back(b),
        );
    }

    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn substitute_back(&self, b: &mut [f64]) {
        let blocks = self.dim - self.dim % BLOCK;
        for k in (blocks..self.dim).rev() {
            let column = self.column(k);
            let below = dot(&column[1..], &b[k + 1..self.dim]);
            b[k] = (b[k] - below) / column[0];
        }
        for k in (0..blocks).step_by(BLOCK).rev() {
            let (above, tail) = b[..self.dim].split_at_mut(k + BLOCK);
            let (block, _) = split_block(&self.columns[Self::start(self.dim, k)..], tail.len());
            if let Some(head) = above.last_chunk_mut::<BLOCK>() {
                substitute_block_back(block, head, tail);
            }
        }
    }

    /// Replaces `z` by `L·z`. Costs O(d²).
    ///
    /// # Panics
    ///
    /// Panics if `z` has another length.
    pub fn times_lower(&self, z: &mut [f64]) {
        assert_eq!(z.len(), self.dim, "a vector of the factor's dimension");
        wide(
            #[inline(always)]
            || {
                let mut end = self.columns.len();
                // The last column comes first, so that no entry is changed before it is used.
                for k in (0..z.len()).rev() {
                    let column = &self.columns[end - (self.dim - k)..end];
                    end -= column.len();
                    let value = z[k];
                    z[k] = value * column[0];
                    for (entry, l) in z[k + 1..].iter_mut().zip(&column[1..]) {
                        *entry += value * l;
                    }
                }
            },
        );
    }
}

#[cfg(test)]
mod tests;
