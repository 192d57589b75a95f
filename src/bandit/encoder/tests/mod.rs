//! Encoding of features that are new, known, missing or beyond the budget.

use super::*;

mod budget;

fn features(pairs: &[(&str, Value)]) -> Features {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn text(word: &str) -> Value {
    Value::Text(word.to_owned())
}

fn learn(encoder: &mut Encoder, features: &Features) -> EncodedRow {
    encoder.learn(RowFeatures::from_context(features), true);
    encoder.encode_met(RowFeatures::from_context(features))
}

#[test]
fn a_new_row_equals_the_row_after_learning() {
    let mut encoder = Encoder::new(64);
    for i in 0..2_000_u16 {
        let row = features(&[
            ("age", Value::Number(f64::from(i % 97 * (i % 89)))),
            ("colour", text(["red", "green", "blue"][usize::from(i % 3)])),
            ("gift", Value::Flag(i % 2 == 0)),
            ("likes", Value::Texts(vec!["shoes".into(), format!("brand{}", i % 4), "shoes".into()])),
            ("price", text(&format!("{}.5", u32::from(i) * 7))),
            ("taste", Value::Vector(vec![1.5 * f32::from(i), -2.0])),
            ("user", text(&format!("user{}", u32::from(i) * u32::from(i) % 1_009))),
            ("wait", Value::Number(if i % 11 == 0 { -999.0 } else { f64::from(i) / 64.0 })),
        ]);
        let new = encoder.encode_new(RowFeatures::from_context(&row)).vector;
        let met = learn(&mut encoder, &row).vector;
        let fresh = met.entries.len() as f64 - new.entries.len() as f64;
        // Indicators without an index count as unseen, one each.
        assert!((new.unseen - fresh).abs() < 1e-12, "round {i}: {met:?} {new:?}");
        assert!(new.entries.iter().all(|entry| met.entries.contains(entry)), "round {i}: {met:?} {new:?}");
        assert!(met.unseen == 0.0 && encoder.dim() <= 64);
    }
}

#[test]
fn numbers_are_standardised_including_the_current_one_and_words_are_not() {
    let mut encoder = Encoder::new(64);
    let of = |value| features(&[("n", Value::Number(value)), ("w", text("a"))]);
    let mut row = Vec::new();
    for value in [2.0, 4.0, 9.0] {
        row = learn(&mut encoder, &of(value)).vector.entries;
    }
    let want = (9.0 - 5.0) / (26.0_f64 / 3.0).sqrt();
    assert_eq!((row[0], row[2], row.len()), ((0, 1.0), (2, 1.0), 3));
    assert!(row[1].0 == 1 && (row[1].1 - want).abs() < 1e-9, "{row:?}");
    let wild = encoder.encode_new(RowFeatures::from_context(&of(1e9))).vector.entries[1].1;
    assert!((1.0..2.0).contains(&wild), "the largest of four numbers is between one and two deviations above the mean");
}

#[test]
fn yes_no_and_absent_are_encoded_differently() {
    let mut encoder = Encoder::new(64);
    let gift = |flag| features(&[("gift", Value::Flag(flag))]);
    for flag in [true, false] {
        learn(&mut encoder, &gift(flag));
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

#[test]
fn texts_that_are_numbers_become_a_number_and_codes_stay_words() {
    let mut encoder = Encoder::new(64);
    let row = |i: u32| {
        features(&[
            ("code", text(&(i % 12).to_string())),
            ("price", text(&format!("{:.2}", f64::from(i * 7_919 % 6_007) / 100.0))),
        ])
    };
    for i in 0..400 {
        learn(&mut encoder, &row(i));
    }
    assert_eq!(encoder.features["code"].words.len(), 12);
    assert_eq!(encoder.notes()["price"], vec![FeatureNote::NumberAsText]);
    let score = |price: &str| {
        let row = encoder.encode_new(RowFeatures::from_context(&features(&[("price", text(price))])));
        row.vector.entries.get(1).map_or(0.0, |entry| entry.1)
    };
    // Prices are even between 0 and 60, so a price of 45 is √3/2 deviations above the mean.
    assert!((score("45") - 0.866).abs() < 0.15 && (score("15.0") + 0.866).abs() < 0.15, "{}", score("45"));
    let words = encoder.encode_new(RowFeatures::from_context(&features(&[("price", text("on request"))])));
    assert_eq!(words.vector.entries, vec![(0, 1.0)]);
}

#[test]
fn sentinels_are_indicators_of_their_own() {
    let mut encoder = Encoder::new(64);
    for i in 0..900_u32 {
        let value = if i % 15 == 0 { -999.0 } else { f64::from(i * 7_919 % 6_007) };
        learn(&mut encoder, &features(&[("n", Value::Number(value))]));
    }
    let sentinel = features(&[("n", Value::Number(-999.0))]);
    assert_eq!(encoder.encode_new(RowFeatures::from_context(&sentinel)).vector.entries, vec![(0, 1.0), (2, 1.0)]);
    assert_eq!(encoder.names(RowFeatures::from_context(&sentinel))[&2], "n=-999");
    assert!(!encoder.column(2).unwrap().number && encoder.numbers == 1);
    assert_eq!(encoder.notes()["n"], vec![FeatureNote::Sentinel(-999.0)]);
}

/// An encoder of an older version, as it was written: a number with moments, and words with indices.
#[test]
fn an_older_encoder_keeps_its_indices_and_its_moments() {
    let json = r#"{"budget":64,"next":4,"features":{
        "n":{"order":0,"number":{"index":1,"moments":{"count":100.0,"mean":50.0,"squares":10000.0}},
            "flag":[null,null],"words":{},"vector":[]},
        "w":{"order":1,"number":null,"flag":[null,null],"words":{"a":2,"b":3},"vector":[]}},
        "buckets":{},"columns":[{"feature":4294967295,"number":false},{"feature":0,"number":true},
            {"feature":1,"number":false},{"feature":1,"number":false}],"numbers":1}"#;
    let mut encoder: Encoder = serde_json::from_str(json).unwrap();
    let row = features(&[("n", Value::Number(60.0)), ("w", text("b"))]);
    let entries = encoder.encode_new(RowFeatures::from_context(&row)).vector.entries;
    assert!((entries[1].1 - 1.0).abs() < 0.1 && entries[1].0 == 1, "{entries:?}");
    assert_eq!(entries[2], (3, 1.0));
    for word in ["c", "c"] {
        learn(&mut encoder, &features(&[("w", text(word))]));
    }
    assert_eq!(encoder.features["w"].words["c"], 4);
}
