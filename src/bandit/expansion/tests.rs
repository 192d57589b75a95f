use rand::rngs::StdRng;

use super::*;
use crate::bandit::{Features, RowFeatures, Value};

const EXPANSIONS: [Expansion; 3] = [Expansion::None, Expansion::Interactions, Expansion::Fourier];

/// Returns a visitor with two numbers, a word, a list of words, a flag and a small vector.
fn visitor(rng: &mut StdRng) -> Features {
    let word = |rng: &mut StdRng, many: u32| format!("w{}", rng.random_range(0..many));
    [
        ("age", Value::Number(rng.random_range(18.0..80.0))),
        ("basket", Value::Number(rng.random_range(0.0..500.0))),
        ("city", Value::Text(word(rng, 40))),
        ("likes", Value::Texts(vec![word(rng, 9), word(rng, 9), word(rng, 9)])),
        ("mobile", Value::Flag(rng.random())),
        ("taste", Value::Vector(vec![rng.random(), rng.random()])),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn words(name: &str, words: impl IntoIterator<Item = String>) -> Features {
    [(name.to_owned(), Value::Texts(words.into_iter().collect()))].into()
}

/// Lets the expander meet a row. Checks that it changes nothing if it says so, and that it knows the row afterwards.
fn meet(encoder: &mut Encoder, expander: &mut Expander, features: &Features) -> EncodedRow {
    encoder.learn(RowFeatures::from_context(features), true);
    let row = encoder.encode_met(RowFeatures::from_context(features));
    let (known, before) = (expander.knows(encoder, &row), expander.clone());
    let out = expander.meet(encoder, &row);
    assert!(!known || (out.is_empty() && *expander == before), "a row that is known");
    assert!(expander.knows(encoder, &row), "a row that was met");
    row
}

#[test]
fn the_same_row_gives_the_same_features_ever_after() {
    for expansion in EXPANSIONS {
        let mut rng = StdRng::seed_from_u64(8);
        let (mut encoder, mut expander) = (Encoder::new(96), Expander::new(expansion, 96));
        let mut kept: Vec<(EncodedRow, SparseVector)> = Vec::new();
        for round in 0..3_000 {
            let row = meet(&mut encoder, &mut expander, &visitor(&mut rng));
            let x = expander.expand(&encoder, &row);
            assert!(x.unseen <= 0.0, "all of it was met: {x:?}");
            assert!(x.entries.is_sorted_by(|a, b| a.0 < b.0) && x.dim() <= expander.dim() as usize);
            if round < 30 || round % 100 == 0 {
                kept.push((row, x));
            }
        }
        let retired = |index: u32| encoder.column(index).is_some_and(|column| column.retired);
        kept.retain(|(row, _)| row.vector.entries.iter().all(|entry| !retired(entry.0)));
        assert!(kept.len() > 20);
        for (row, x) in &kept {
            assert_eq!(expander.expand(&encoder, row), *x, "{expansion:?}");
        }
        let bytes = rmp_serde::to_vec_named(&(&encoder, &expander)).unwrap();
        let (encoder, mut expander): (Encoder, Expander) = rmp_serde::from_slice(&bytes).unwrap();
        expander.rebuild(&encoder);
        for (row, x) in &kept {
            assert_eq!(expander.expand(&encoder, row), *x, "{expansion:?}, read back");
        }
    }
}

/// The row has two numbers a and b, words u and v of one feature and w of another. By hand, the products are a², ab, au,
/// av, aw, b², bu, bv, bw, uw, vw: eleven, scaled by √(5/11), and never uv.
#[test]
fn products_are_those_of_the_columns() {
    let (mut encoder, mut expander) = (Encoder::new(64), Expander::new(Expansion::Interactions, 64));
    let features = |a: f64, b: f64| -> Features {
        [
            ("a", Value::Number(a)),
            ("b", Value::Number(b)),
            ("c", Value::Texts(vec!["u".into(), "v".into()])),
            ("d", Value::Text("w".into())),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    };
    // Two numbers are needed to score a third.
    meet(&mut encoder, &mut expander, &features(1.0, -4.0));
    meet(&mut encoder, &mut expander, &features(2.0, -3.0));
    let row = meet(&mut encoder, &mut expander, &features(3.0, 10.0));
    // A number beyond the others has the same score as the largest of them, which would hide a mistake.
    let row = EncodedRow {
        vector: SparseVector {
            entries: vec![(0, 1.0), (1, 0.7), (2, -3.0), (3, 1.0), (4, 1.0), (5, 1.0)],
            ..row.vector
        },
        ..row
    };
    let mut got: Vec<f64> = expander.expand(&encoder, &row).entries.into_iter().map(|(_, value)| value).collect();
    let products = [0.49, -2.1, 0.7, 0.7, 0.7, 9.0, -3.0, -3.0, -3.0, 1.0, 1.0];
    let scale = (5.0_f64 / 11.0).sqrt();
    let mut want = vec![1.0, 0.7, -3.0, 1.0, 1.0, 1.0];
    want.extend(products.map(|product| scale * product));
    got.sort_by(f64::total_cmp);
    want.sort_by(f64::total_cmp);
    assert_eq!(got.len(), want.len());
    assert!(got.iter().zip(&want).all(|(got, want)| (got - want).abs() < 1e-12), "{got:?} against {want:?}");
}

/// Each pair has an index of its own, whichever rows it comes in: those of (u, w) and (v, w) differ.
#[test]
fn a_product_keeps_its_index_across_rows() {
    let (mut encoder, mut expander) = (Encoder::new(64), Expander::new(Expansion::Interactions, 64));
    let pair = |first: &str, second: &str| -> Features {
        [("c", first), ("d", second)].map(|(name, word)| (name.to_owned(), Value::Text(word.into()))).into()
    };
    let mut indices = Vec::new();
    for (first, second) in [("u", "w"), ("v", "w"), ("u", "z"), ("u", "w"), ("v", "z"), ("v", "w")] {
        let row = meet(&mut encoder, &mut expander, &pair(first, second));
        let x = expander.expand(&encoder, &row);
        let base: Vec<u32> = row.vector.entries.iter().map(|entry| expander.base[entry.0 as usize]).collect();
        let own: Vec<u32> = x.entries.iter().map(|entry| entry.0).filter(|index| !base.contains(index)).collect();
        assert_eq!(own.len(), 1, "one product");
        indices.push(own[0]);
    }
    assert_eq!((indices[0], indices[1]), (indices[3], indices[5]));
    let different: std::collections::BTreeSet<u32> = indices.iter().copied().collect();
    assert_eq!(different.len(), 4);
}

/// Thirty words of ten features each: all indicators add up to the linear cap, all products to theirs, and few
/// features are not scaled at all.
#[test]
fn the_variance_of_long_rows_is_capped() {
    let square = |x: &SparseVector, base: &[u32]| {
        let (mut linear, mut other) = (0.0, 0.0);
        for &(index, value) in x.entries.iter().filter(|entry| entry.0 != base[0]) {
            *(if base.contains(&index) { &mut linear } else { &mut other }) += value * value;
        }
        (linear, other)
    };
    for (expansion, want) in [(Expansion::None, 0.0), (Expansion::Interactions, PRODUCT_VARIANCE)] {
        let (mut encoder, mut expander) = (Encoder::new(4_096), Expander::new(expansion, 4_096));
        let many: Features = (0..10).flat_map(|f| words(&format!("f{f}"), (0..3).map(|w| format!("{w}")))).collect();
        let row = meet(&mut encoder, &mut expander, &many);
        let (linear, products) = square(&expander.expand(&encoder, &row), &expander.base);
        assert!((linear - LINEAR_VARIANCE).abs() < 1e-12 && (products - want).abs() < 1e-12, "{linear} {products}");
        let few: Features = (0..3).flat_map(|f| words(&format!("f{f}"), ["1".to_owned()])).collect();
        let row = meet(&mut encoder, &mut expander, &few);
        let (linear, products) = square(&expander.expand(&encoder, &row), &expander.base);
        assert!((linear - 3.0).abs() < 1e-12 && (products - want.min(3.0)).abs() < 1e-12, "{linear} {products}");
    }
}

/// Terms that were never met count as unseen with the same scales, so for a fresh model the whole row is unseen.
#[test]
fn unknown_terms_are_unseen_at_their_full_length() {
    for expansion in EXPANSIONS {
        let mut rng = StdRng::seed_from_u64(21);
        let mut encoder = Encoder::new(256);
        let mut met = Expander::new(expansion, 256);
        (0..50).for_each(|_| drop(meet(&mut encoder, &mut met, &visitor(&mut rng))));
        let row = meet(&mut encoder, &mut met, &visitor(&mut rng));
        let (known, fresh) = (met.expand(&encoder, &row), Expander::new(expansion, 256).expand(&encoder, &row));
        assert!(fresh.entries.is_empty());
        let cosines = |index: u32| met.fourier.is_some_and(|f| (f..f + met.fourier_features()).contains(&index));
        let exact: f64 = known.entries.iter().filter(|e| !cosines(e.0)).map(|e| e.1 * e.1).sum();
        let expected = if expansion == Expansion::Fourier { FOURIER_VARIANCE } else { 0.0 };
        assert!((fresh.unseen - exact - expected).abs() < 1e-9, "{expansion:?}: {} against {exact}", fresh.unseen);
    }
}

/// Rahimi and Recht (2007), claim 1: the inner product of two rows' cosines is the Gaussian kernel of the rows, here
/// exp(−|x−y|²/(2n)) for n numbers. Each cosine is an estimate of the kernel, `2·cos(a)·cos(b)` with variance
/// 1.5 at most. Forty triples of numbers have directions of their own, so their mean has a standard error of
/// √(1.5/(40·128)) = .017; five of those. (x + y is long, so that phases, which the triples share, do not matter.)
#[test]
fn cosines_approximate_the_gaussian_kernel() {
    let (mut encoder, mut expander) = (Encoder::new(256), Expander::new(Expansion::Fourier, 256));
    let vector = |value: f32| -> Features { [("v".to_owned(), Value::Vector(vec![value; 120]))].into() };
    meet(&mut encoder, &mut expander, &vector(1.0));
    meet(&mut encoder, &mut expander, &vector(2.0));
    let features = expander.fourier_features();
    assert_eq!(features, 128);
    let first = expander.fourier.unwrap();
    let cosines = |set: u32, x: [f64; 3]| -> Vec<f64> {
        let entries = (0..3).map(|i| (1 + 3 * set + i, x[i as usize])).collect();
        let row = EncodedRow { vector: SparseVector { entries, unseen: 0.0 }, numbers: 3 };
        let x = expander.expand(&encoder, &row).entries;
        x.into_iter().filter(|e| (first..first + features).contains(&e.0)).map(|e| e.1).collect()
    };
    for (x, y) in [
        ([4.0, -3.0, 2.0], [4.0, -3.0, 2.0]),
        ([4.0, -3.0, 2.0], [3.5, -2.0, 2.5]),
        ([4.0, -3.0, 2.0], [3.0, -4.0, 3.0]),
        ([4.0, -3.0, 2.0], [3.0, -1.5, 1.0]),
        ([4.0, -3.0, 2.0], [1.0, -5.0, 4.5]),
    ] {
        let inner = |set| cosines(set, x).iter().zip(cosines(set, y)).map(|(a, b)| a * b).sum::<f64>();
        let got = (0..40).map(inner).sum::<f64>() / (40.0 * FOURIER_VARIANCE);
        let apart: f64 = x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum();
        let want = (-apart / 6.0).exp();
        assert!((got - want).abs() < 5.0 * (1.5_f64 / (40.0 * 128.0)).sqrt(), "{got} against {want}");
    }
}

#[test]
fn an_expansion_reports_whether_it_adds_anything() {
    for expansion in EXPANSIONS {
        let (mut encoder, mut expander) = (Encoder::new(64), Expander::new(expansion, 64));
        meet(&mut encoder, &mut expander, &words("w", ["a".to_owned()]));
        assert_eq!(expander.adds(), expansion == Expansion::None, "one word has no products and is no number");
        meet(&mut encoder, &mut expander, &visitor(&mut StdRng::seed_from_u64(2)));
        assert!(expander.adds());
    }
}

/// However many features come and in whatever order: what an expansion adds stays within its budget, beside base
/// features within theirs.
#[test]
fn an_expansion_stays_within_its_budget() {
    for (expansion, most) in EXPANSIONS.into_iter().zip([0, 96, 48]) {
        let (mut encoder, mut expander) = (Encoder::new(96), Expander::new(expansion, 96));
        let mut rng = StdRng::seed_from_u64(4);
        for i in 0..2_000 {
            let mut features = visitor(&mut rng);
            features.insert(format!("late{i}"), Value::Flag(true));
            meet(&mut encoder, &mut expander, &features);
        }
        assert!(encoder.dim() > 84 && encoder.dim() <= 96);
        assert!(expander.dim() <= 96 + most, "{expansion:?}: {}", expander.dim());
    }
}

/// A word that loses its index takes its terms along: the stored row is expanded as if it never had the word, and a new word
/// gets the model's indices of these terms.
#[test]
fn the_terms_of_a_word_that_lost_its_index_are_taken_out() {
    for expansion in [Expansion::None, Expansion::Interactions] {
        let (mut encoder, mut expander) = (Encoder::new(32), Expander::new(expansion, 64));
        let context = |campaign: u32| -> Features {
            [("campaign", format!("c{campaign}")), ("city", "a".to_owned())]
                .map(|(name, word)| (name.to_owned(), Value::Text(word)))
                .into()
        };
        let (mut rows, mut taken_out, mut dim) = (Vec::new(), Vec::new(), 0);
        for i in 0..24_000 {
            encoder.learn(RowFeatures::from_context(&context(i / 300)), true);
            let row = encoder.encode_met(RowFeatures::from_context(&context(i / 300)));
            let out = expander.meet(&encoder, &row);
            if taken_out.is_empty() {
                taken_out = out;
                rows.push((row.clone(), expander.expand(&encoder, &row)));
                dim = expander.dim();
            }
        }
        assert!(!taken_out.is_empty() && expander.dim() <= dim + 2, "{expansion:?}: {dim}, then {}", expander.dim());
        let (row, x) = &rows[0];
        let now = expander.expand(&encoder, row);
        let rest: Vec<(u32, f64)> = x.entries.iter().copied().filter(|entry| !taken_out.contains(&entry.0)).collect();
        assert!(rest.len() < x.entries.len(), "{expansion:?}");
        assert_eq!((now.entries, now.unseen.to_bits()), (rest, 0.0_f64.to_bits()), "{expansion:?}");
    }
}
