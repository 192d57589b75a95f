use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::stats::{SimdWidth, with_width_limit};

/// Matrix in full storage, against which the tiles are tested.
type Dense = Vec<Vec<f64>>;

fn random_vector(dim: usize, padded: usize, rng: &mut StdRng) -> Vec<f64> {
    // Some vectors have empty tiles, as words that are not set give.
    let empty = rng.random_range(0..2 * dim.max(1)) / TILE;
    let value =
        |i: usize, rng: &mut StdRng| if i < dim && i / TILE != empty { rng.random_range(-2.0..2.0) } else { 0.0 };
    (0..padded).map(|i| value(i, rng)).collect()
}

/// Returns a matrix after some growth and outer products, in tiles and in full.
fn random_matrix(dim: usize, rng: &mut StdRng) -> (SymmetricMatrix, Dense) {
    let (mut matrix, mut dense) = (SymmetricMatrix::default(), vec![vec![0.0; dim]; dim]);
    let mut grown = 0;
    while grown < dim {
        let next = rng.random_range(grown + 1..=dim);
        let diagonal = rng.random_range(0.5..2.0);
        matrix.grow(next, diagonal);
        (grown..next).for_each(|i| dense[i][i] = diagonal);
        grown = next;
        for _ in 0..3 {
            let (factor, v) = (rng.random_range(0.1..1.0), random_vector(grown, matrix.padded(), rng));
            matrix.add_outer(factor, &v);
            for i in 0..grown {
                for j in 0..grown {
                    dense[i][j] += factor * v[i] * v[j];
                }
            }
        }
    }
    (matrix, dense)
}

fn assert_equal(matrix: &SymmetricMatrix, dense: &Dense, tolerance: f64) {
    assert_eq!(matrix.dim(), dense.len());
    for (i, row) in dense.iter().enumerate() {
        for (j, want) in row.iter().enumerate() {
            let got = matrix.at(i, j);
            assert!((got - want).abs() < tolerance * (1.0 + want.abs()), "({i}, {j}): {got} against {want}");
        }
    }
}

#[test]
fn products_equal_those_of_a_matrix_in_full() {
    let mut rng = StdRng::seed_from_u64(41);
    for dim in [1, 2, 7, 8, 9, 16, 17, 40] {
        let (matrix, dense) = random_matrix(dim, &mut rng);
        assert_equal(&matrix, &dense, 1e-12);
        for _ in 0..10 {
            let x = random_vector(dim, matrix.padded(), &mut rng);
            let want: Vec<f64> = dense.iter().map(|row| row.iter().zip(&x).map(|(a, x)| a * x).sum()).collect();
            let got = matrix.times(&x);
            assert!(got.iter().zip(&want).all(|(got, want)| (got - want).abs() < 1e-11), "{got:?} {want:?}");
            assert!(got[dim..].iter().all(|&padding| padding == 0.0), "{got:?}");
            let want: f64 = want.iter().zip(&x).map(|(a, x)| a * x).sum();
            let got = matrix.quadratic_form(&x);
            assert!((got - want).abs() < 1e-11 * (1.0 + want.abs()), "{got} {want}");
        }
    }
}

/// Inverts by Gauss–Jordan elimination, without the code under test.
fn inverse(a: &Dense) -> Dense {
    let n = a.len();
    let unit = |i: usize| (0..n).map(move |j| f64::from(u8::from(i == j)));
    let mut a: Dense = a.iter().enumerate().map(|(i, row)| row.iter().copied().chain(unit(i)).collect()).collect();
    for k in 0..n {
        let p = (k..n).max_by(|&i, &j| a[i][k].abs().total_cmp(&a[j][k].abs())).unwrap();
        a.swap(k, p);
        let pivot = a[k][k];
        a[k].iter_mut().for_each(|value| *value /= pivot);
        for i in (0..n).filter(|&i| i != k) {
            let f = a[i][k];
            for j in k..2 * n {
                a[i][j] -= f * a[k][j];
            }
        }
    }
    a.into_iter().map(|row| row[n..].to_vec()).collect()
}

#[test]
fn fading_equals_inverting_twice() {
    let mut rng = StdRng::seed_from_u64(42);
    for (dim, retained) in [(1, 0.5), (9, 0.999), (20, 0.9), (20, 1e-9)] {
        let (matrix, dense) = random_matrix(dim, &mut rng);
        let diagonal = |k: usize| if k == 0 { 1e-3 } else { 0.7 };
        let precision = inverse(&dense);
        let mut faded = precision.clone();
        for i in 0..dim {
            faded[i].iter_mut().for_each(|value| *value *= retained);
            faded[i][i] += diagonal(i);
        }
        let vector: Vec<f64> = (0..dim).map(|_| rng.random_range(-1.0..1.0)).collect();
        let want = inverse(&faded);
        let (got, moved) = matrix.faded(retained, diagonal, &vector).unwrap();
        assert_equal(&got, &want, 1e-9);
        for (i, got) in moved.iter().enumerate() {
            let product = |j: usize| precision[j].iter().zip(&vector).map(|(a, v)| a * v).sum::<f64>();
            let want: f64 = retained * (0..dim).map(|j| want[i][j] * product(j)).sum::<f64>();
            assert!((got - want).abs() < 1e-8 * (1.0 + want.abs()), "{got} against {want}");
        }
    }
}

/// A matrix is the same after a snapshot, and every width of instructions gives the same bits.
#[test]
fn bits_do_not_depend_on_snapshots_or_the_width_of_instructions() {
    let run = |width: SimdWidth, stored: bool| {
        with_width_limit(width, || {
            let mut rng = StdRng::seed_from_u64(43);
            let (mut matrix, _) = random_matrix(27, &mut rng);
            if stored {
                matrix = rmp_serde::from_slice(&rmp_serde::to_vec_named(&matrix).unwrap()).unwrap();
            }
            let v = random_vector(27, matrix.padded(), &mut rng);
            matrix.add_outer(-0.01, &v);
            let product = matrix.times(&v);
            let form = matrix.quadratic_form(&v);
            matrix
                .tiles
                .iter()
                .flatten()
                .chain(&product)
                .chain([&form])
                .map(|value| value.to_bits())
                .collect::<Vec<u64>>()
        })
    };
    let want = run(SimdWidth::Widest, false);
    for width in [SimdWidth::Widest, SimdWidth::Avx2, SimdWidth::Baseline] {
        assert_eq!(run(width, true), want);
        assert_eq!(run(width, false), want);
    }
}

#[test]
fn a_triangle_of_the_wrong_size_is_refused() {
    let bytes = rmp_serde::to_vec_named(&serde_json::json!({ "dim": 3, "lower": [1.0, 2.0] })).unwrap();
    let error = rmp_serde::from_slice::<SymmetricMatrix>(&bytes).unwrap_err();
    assert!(error.to_string().contains("a matrix of 3 rows with 2 entries"), "{error}");
}

#[test]
fn an_isolated_row_has_its_diagonal_only() {
    let mut rng = StdRng::seed_from_u64(44);
    let (mut matrix, mut dense) = random_matrix(19, &mut rng);
    for i in [0, 9, 18] {
        matrix.isolate(i, 3.0);
        for j in 0..19 {
            (dense[i][j], dense[j][i]) = (0.0, 0.0);
        }
        dense[i][i] = 3.0;
        assert_equal(&matrix, &dense, 1e-12);
    }
}
