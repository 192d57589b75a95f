//! Encoding of features that are new, known, missing or beyond the budget.

use super::*;

fn features(pairs: &[(&str, Value)]) -> Features {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn text(word: &str) -> Value {
    Value::Text(word.to_owned())
}

#[test]
fn a_new_row_equals_the_row_after_learning() {
    let mut encoder = Encoder::new(64);
    for i in 0..30_u16 {
        let row = features(&[
            ("age", Value::Number(f64::from(i * i))),
            ("colour", text(["red", "green", "blue"][usize::from(i % 3)])),
            ("gift", Value::Flag(i % 2 == 0)),
            ("likes", Value::Texts(vec!["shoes".into(), format!("brand{}", i % 4), "shoes".into()])),
            ("taste", Value::Vector(vec![1.5 * f32::from(i), -2.0])),
        ]);
        let before = encoder.clone();
        encoder.learn(RowFeatures::from_context(&row), true);
        let met = encoder.encode_met(RowFeatures::from_context(&row)).vector;
        let new = before.encode_new(RowFeatures::from_context(&row)).vector;
        let fresh = f64::from(u32::try_from(met.entries.len() - new.entries.len()).unwrap());
        // Indicators without an index count as unseen, one each.
        assert!((new.unseen - fresh).abs() < 1e-12, "round {i}: {met:?} {new:?}");
        assert!(new.entries.iter().all(|entry| met.entries.contains(entry)), "round {i}");
    }
}

#[test]
fn numbers_are_standardised_including_the_current_one_and_words_are_not() {
    let mut encoder = Encoder::new(64);
    for value in [2.0, 4.0, 9.0] {
        encoder.learn(RowFeatures::from_context(&features(&[("n", Value::Number(value)), ("w", text("a"))])), true);
    }
    let row =
        encoder.encode_met(RowFeatures::from_context(&features(&[("n", Value::Number(9.0)), ("w", text("a"))]))).vector;
    let want = (9.0 - 5.0) / (26.0_f64 / 3.0).sqrt();
    assert_eq!(row.entries[0], (0, 1.0));
    assert!((row.entries[1].1 - want).abs() < 1e-12);
    assert_eq!(row.entries[2], (2, 1.0));
    let wild = encoder.encode_met(RowFeatures::from_context(&features(&[("n", Value::Number(1e9))]))).vector;
    assert_eq!(wild.entries, vec![(0, 1.0), (1, CLIP)]);
}

#[test]
fn beyond_the_budget_words_share_and_numbers_are_left_out() {
    let mut encoder = Encoder::new(16);
    for i in 0..500 {
        let row = features(&[
            ("w", text(&format!("word{i}"))),
            ("known", Value::Flag(i < 400)),
            (&format!("n{i}"), Value::Number(f64::from(i))),
            (&format!("x{i}"), Value::Flag(i % 2 == 0)),
        ]);
        encoder.learn(RowFeatures::from_context(&row), true);
        // A feature that will never get an index cannot be learned, so it widens no score.
        assert!(encoder.encode_met(RowFeatures::from_context(&row)).vector.unseen == 0.0, "{i}");
        assert!(encoder.dim() < 15 || encoder.encode_new(RowFeatures::from_context(&row)).vector.unseen == 0.0, "{i}");
        let empty = features(&[(&format!("t{i}"), Value::Texts(vec![])), (&format!("v{i}"), Value::Vector(vec![]))]);
        encoder.learn(RowFeatures::from_context(&empty), true);
    }
    assert_eq!(encoder.dim(), 16, "fourteen of their own and two shared");
    assert!(encoder.features.len() <= 14, "names without an index are not kept");
    let crowd = features(&[("w", Value::Texts((0..100).map(|i| format!("word{i}")).collect()))]);
    let row = encoder.encode_met(RowFeatures::from_context(&crowd)).vector;
    assert!((row.entries.iter().map(|e| e.1).sum::<f64>() - 101.0).abs() < 1e-12, "each word counts once");
    assert!(row.entries.is_sorted_by(|a, b| a.0 < b.0));
}

#[test]
fn yes_no_and_absent_are_encoded_differently() {
    let mut encoder = Encoder::new(64);
    let gift = |flag| features(&[("gift", Value::Flag(flag))]);
    for flag in [true, false] {
        encoder.learn(RowFeatures::from_context(&gift(flag)), true);
    }
    let row = |context: &Features| encoder.encode_met(RowFeatures::from_context(context)).vector.entries;
    assert_eq!(row(&gift(true)), vec![(0, 1.0), (1, 1.0)]);
    assert_eq!(row(&gift(false)), vec![(0, 1.0), (2, 1.0)]);
    assert_eq!(row(&Features::new()), vec![(0, 1.0)]);
}

#[test]
fn a_candidate_feature_differs_from_the_context_feature_of_its_name() {
    let mut encoder = Encoder::new(64);
    let (context, own) = (features(&[("brand", text("a"))]), features(&[("brand", text("a"))]));
    let parts = RowFeatures { candidate: Some(&own), ..RowFeatures::from_context(&context) };
    encoder.learn(parts, true);
    assert_eq!(encoder.encode_met(parts).vector.entries, vec![(0, 1.0), (1, 1.0), (2, 1.0)]);
}
