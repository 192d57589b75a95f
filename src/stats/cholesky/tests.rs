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
        let mut product = packed(&a).into_iter();
        let columns: Vec<Vec<f64>> = (0..dim)
            .map(|k| {
                let mut unit = vec![0.0; dim];
                unit[k] = 1.0;
                factor.times_lower(&mut unit);
                unit
            })
            .collect();
        for (k, i) in (0..dim).flat_map(|k| (k..dim).map(move |i| (k, i))) {
            let got: f64 = columns.iter().map(|column| column[i] * column[k]).sum();
            assert!((got - product.next().unwrap()).abs() < 1e-10, "the factor times its transpose is the matrix");
        }
    }
}

#[test]
fn a_matrix_that_is_not_positive_definite_is_refused() {
    assert_eq!(Cholesky::factorise(2, vec![1.0, 2.0, 1.0]), Err(NotPositiveDefinite { row: 1 }));
    assert_eq!(Cholesky::factorise(1, vec![f64::NAN]), Err(NotPositiveDefinite { row: 0 }));
}

/// Every number of columns left over from the blocks of four, and every first entry: both solves equal those of one
/// column after the other, as the definition has them.
#[test]
fn blocks_of_columns_equal_one_column_after_the_other() {
    let mut rng = StdRng::seed_from_u64(5);
    for dim in 1..23 {
        let a = random_spd(dim, &mut rng);
        let factor = Cholesky::factorise(dim, packed(&a)).unwrap();
        for first in 0..dim {
            let sparse = |i: usize| i >= first && (i - first) % 3 != 1;
            let x: Vec<f64> = (0..dim).map(|i| if sparse(i) { rng.random_range(-2.0..2.0) } else { 0.0 }).collect();
            let l = |i: usize, k: usize| factor.column(k)[i - k];
            let mut forward = x.clone();
            for i in 0..dim {
                let before: f64 = (0..i).map(|k| l(i, k) * forward[k]).sum();
                forward[i] = (forward[i] - before) / l(i, i);
            }
            let mut backward = x.clone();
            for i in (0..dim).rev() {
                let after: f64 = (i + 1..dim).map(|k| l(k, i) * backward[k]).sum();
                backward[i] = (backward[i] - after) / l(i, i);
            }
            let near = |got: &[f64], want: &[f64]| {
                got.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-12 * (1.0 + want.abs()))
            };
            let (mut got, mut back) = (x.clone(), x.clone());
            let squares = factor.forward(first, &mut got);
            factor.backward(&mut back);
            assert!(near(&got, &forward), "dim {dim}, first {first}: {got:?} against {forward:?}");
            assert!(near(&back, &backward), "dim {dim}, first {first}: {back:?} against {backward:?}");
            assert!(near(&[squares], &[forward.iter().map(|z| z * z).sum()]), "{squares}");
        }
    }
}
