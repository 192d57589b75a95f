//! Cholesky factor of a precision matrix that grows, takes rank-one updates and solves.
//!
//! The factor is packed by columns. Each of the three inner loops (update, forward, backward) runs over contiguous
//! memory without a dependency between its steps, so the compiler vectorises it as wide as the processor can. The bits
//! are the same on every processor.

use serde::{Deserialize, Serialize};

use super::lanes::wide;

/// Error of [`Cholesky::factorise`]: the matrix is not positive definite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the matrix is not positive definite at row {row}")]
pub struct NotPositiveDefinite {
    /// First row whose pivot is not above zero.
    pub row: usize,
}

/// Cholesky factor: `A = L·Lᵀ` with `L` lower triangular and positive on its diagonal.
///
/// Column `k` holds `d − k` numbers from the diagonal downwards, so the factor takes `d(d+1)/2` doubles. An update, a
/// forward solve and a backward solve each cost O(d²). *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Cholesky {
    dim: usize,
    columns: Vec<f64>,
}

impl Cholesky {
    /// Creates the factor of the empty matrix.
    pub fn new() -> Self {
        Self::default()
    }

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

    /// Appends rows and columns up to `dim` that are zero except for `diagonal` (> 0) in `A`. Costs O(d²).
    pub fn grow(&mut self, dim: usize, diagonal: f64) {
        debug_assert!(diagonal > 0.0, "a diagonal above zero");
        if dim <= self.dim {
            return;
        }
        let mut columns = Vec::with_capacity(dim * (dim + 1) / 2);
        for k in 0..self.dim {
            columns.extend_from_slice(self.column(k));
            columns.resize(columns.len() + dim - self.dim, 0.0);
        }
        for k in self.dim..dim {
            columns.push(diagonal.sqrt());
            columns.resize(columns.len() + dim - k - 1, 0.0);
        }
        self.dim = dim;
        self.columns = columns;
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

    /// Returns the lower triangle of `A`, packed by columns. Costs O(d³).
    pub fn product(&self) -> Vec<f64> {
        let mut lower = vec![0.0; self.columns.len()];
        for k in 0..self.dim {
            let column = self.column(k);
            for j in k..self.dim {
                let l = column[j - k];
                if l != 0.0 {
                    let start = Self::start(self.dim, j);
                    for (a, c) in lower[start..start + self.dim - j].iter_mut().zip(&column[j - k..]) {
                        *a += l * c;
                    }
                }
            }
        }
        lower
    }

    /// Adds `x·xᵀ` to `A`. The call overwrites `x`, which has length `dim` and finite entries.
    ///
    /// # Panics
    ///
    /// Panics if `x` has another length.
    ///
    /// # Source
    ///
    /// Golub & Van Loan, *Matrix Computations* (4th ed.), §6.5.4, by Givens rotations.
    pub fn update(&mut self, x: &mut [f64]) {
        assert_eq!(x.len(), self.dim, "a vector of the factor's dimension");
        wide(
            #[inline(always)]
            || self.rotate(x),
        );
    }

    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn rotate(&mut self, x: &mut [f64]) {
        let dim = self.dim;
        for k in 0..dim {
            let xk = x[k];
            if xk == 0.0 {
                continue;
            }
            let start = Self::start(dim, k);
            let column = &mut self.columns[start..start + dim - k];
            let diagonal = column[0];
            let radius = super::math::hypot(diagonal, xk);
            let (cosine, sine) = (radius / diagonal, xk / diagonal);
            let inverse = diagonal / radius;
            column[0] = radius;
            for (l, w) in column[1..].iter_mut().zip(&mut x[k + 1..]) {
                *l = (*l + sine * *w) * inverse;
                *w = cosine * *w - sine * *l;
            }
        }
    }

    /// Solves `L·z = b` in place, where the entries of `b` before `first` are zero.
    pub fn forward(&self, first: usize, b: &mut [f64]) {
        wide(
            #[inline(always)]
            || self.substitute(first, b),
        );
    }

    #[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
    #[inline(always)]
    fn substitute(&self, first: usize, b: &mut [f64]) {
        let mut start = Self::start(self.dim, first);
        for k in first..self.dim {
            let length = self.dim - k;
            let column = &self.columns[start..start + length];
            start += length;
            if b[k] == 0.0 {
                continue;
            }
            let z = b[k] / column[0];
            b[k] = z;
            for (value, l) in b[k + 1..self.dim].iter_mut().zip(&column[1..]) {
                *value -= z * l;
            }
        }
    }

    /// Solves `Lᵀ·z = b` in place.
    pub fn backward(&self, b: &mut [f64]) {
        wide(
            #[inline(always)]
            || {
                for k in (0..self.dim).rev() {
                    let column = self.column(k);
                    let below = dot(&column[1..], &b[k + 1..self.dim]);
                    b[k] = (b[k] - below) / column[0];
                }
            },
        );
    }

    /// Returns `A·x`. Costs O(d²).
    ///
    /// # Panics
    ///
    /// Panics if `x` has another length.
    pub fn times(&self, x: &[f64]) -> Vec<f64> {
        assert_eq!(x.len(), self.dim, "a vector of the factor's dimension");
        let mut result = vec![0.0; self.dim];
        for k in 0..self.dim {
            let column = self.column(k);
            let projected = dot(column, &x[k..]);
            for (r, l) in result[k..].iter_mut().zip(column) {
                *r += l * projected;
            }
        }
        result
    }
}

/// Returns the dot product, with four running sums so that the additions need not wait for each other.
#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (a_chunks, b_chunks) = (a.chunks_exact(4), b.chunks_exact(4));
    let tail: f64 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..4 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    /// Returns a dense random positive definite matrix in full storage.
    fn random_spd(dim: usize, rng: &mut StdRng) -> Vec<Vec<f64>> {
        let b: Vec<Vec<f64>> = (0..dim).map(|_| (0..dim).map(|_| rng.random_range(-1.0..1.0)).collect()).collect();
        let mut a = vec![vec![0.0; dim]; dim];
        for i in 0..dim {
            for j in 0..dim {
                a[i][j] = (0..dim).map(|k| b[i][k] * b[j][k]).sum::<f64>() + if i == j { 0.7 } else { 0.0 };
            }
        }
        a
    }

    fn packed(a: &[Vec<f64>]) -> Vec<f64> {
        (0..a.len()).flat_map(|k| (k..a.len()).map(move |i| a[i][k])).collect()
    }

    /// Solves by Gauss–Jordan elimination with pivoting, independently of the code under test.
    fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
        let n = b.len();
        for k in 0..n {
            let p = (k..n).max_by(|&i, &j| a[i][k].abs().total_cmp(&a[j][k].abs())).unwrap();
            a.swap(k, p);
            b.swap(k, p);
            for i in 0..n {
                if i != k {
                    let f = a[i][k] / a[k][k];
                    for j in k..n {
                        a[i][j] -= f * a[k][j];
                    }
                    b[i] -= f * b[k];
                }
            }
        }
        (0..n).map(|i| b[i] / a[i][i]).collect()
    }

    #[test]
    fn solves_agree_with_gauss_jordan() {
        let mut rng = StdRng::seed_from_u64(3);
        for dim in [1, 2, 5, 17] {
            let a = random_spd(dim, &mut rng);
            let factor = Cholesky::factorise(dim, packed(&a)).unwrap();
            let b: Vec<f64> = (0..dim).map(|_| rng.random_range(-2.0..2.0)).collect();
            let mut x = b.clone();
            factor.forward(0, &mut x);
            factor.backward(&mut x);
            for (got, want) in x.iter().zip(solve(a.clone(), b.clone())) {
                assert!((got - want).abs() < 1e-10, "dim {dim}: {got} against {want}");
            }
            for (got, want) in factor.times(&x).iter().zip(&b) {
                assert!((got - want).abs() < 1e-10);
            }
        }
    }

    #[test]
    fn rank_one_updates_equal_factorising_the_sum() {
        let mut rng = StdRng::seed_from_u64(4);
        let dim = 13;
        let mut a = vec![vec![0.0; dim]; dim];
        let mut factor = Cholesky::new();
        factor.grow(5, 2.5);
        factor.grow(dim, 2.5);
        (0..dim).for_each(|i| a[i][i] = 2.5);
        for round in 0..40 {
            // Every other vector is sparse and starts late, as one-hot features do.
            let x: Vec<f64> =
                (0..dim).map(|i| if round % 2 == 0 && i < 6 { 0.0 } else { rng.random_range(-3.0..3.0) }).collect();
            for i in 0..dim {
                for j in 0..dim {
                    a[i][j] += x[i] * x[j];
                }
            }
            factor.update(&mut x.clone());
        }
        for (got, want) in factor.product().iter().zip(packed(&a)) {
            assert!((got - want).abs() < 1e-9 * (1.0 + want.abs()), "{got} against {want}");
        }
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_is_refused() {
        assert_eq!(Cholesky::factorise(2, vec![1.0, 2.0, 1.0]), Err(NotPositiveDefinite { row: 1 }));
        assert_eq!(Cholesky::factorise(1, vec![f64::NAN]), Err(NotPositiveDefinite { row: 0 }));
    }
}
