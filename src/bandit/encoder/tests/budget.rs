//! Words against the budget: they recur, come late, stay away, or never come again.

use super::*;

fn row(encoder: &Encoder, features: &Features) -> SparseVector {
    encoder.encode_new(RowFeatures::from_context(features)).vector
}

/// Returns a different number below `n` for each `i` below `n`, in no order. `n` is prime.
fn shuffled(i: u32, n: u32) -> u32 {
    u32::try_from(u64::from(i) * 7_919 % u64::from(n)).unwrap_or(0)
}

#[test]
fn a_user_id_takes_next_to_nothing_and_widens_no_score() {
    let mut encoder = Encoder::new(64);
    for i in 0..60_000_u32 {
        let user = u64::from(i).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let context =
            features(&[("user", text(&format!("u{}", user % 20_000))), ("w", text(["a", "b"][i as usize % 2]))]);
        if i > 100 {
            assert!(row(&encoder, &context).unseen == 0.0, "{i}");
        }
        learn(&mut encoder, &context);
    }
    assert!(encoder.dim() <= 3 + 4, "{}", encoder.dim());
    assert_eq!(encoder.notes().into_iter().collect::<Vec<_>>(), vec![("user", vec![FeatureNote::IdLike])]);
}

#[test]
fn a_frequent_word_among_ids_gets_an_index() {
    let mut encoder = Encoder::new(64);
    for i in 0..400_u32 {
        let user = if i % 5 == 4 { "guest".to_owned() } else { format!("u{i}") };
        learn(&mut encoder, &features(&[("user", text(&user))]));
    }
    assert!(encoder.features["user"].words.contains_key("guest"));
    assert!(encoder.features["user"].words.len() <= 3);
}

#[test]
fn beyond_the_budget_words_that_recur_share_and_numbers_have_room() {
    let mut encoder = Encoder::new(64);
    for i in 0..1_500_u32 {
        learn(&mut encoder, &features(&[("w", text(&format!("word{}", shuffled(i % 199, 199)))), ("v", text("a"))]));
    }
    let words = encoder.features["w"].words.len();
    assert!((40..=48).contains(&words), "{words}");
    assert!(encoder.dim() <= 64 && !encoder.buckets.is_empty());
    for i in 0..4 {
        learn(
            &mut encoder,
            &features(&[(&format!("n{i}"), Value::Number(1.0)), (&format!("f{i}"), Value::Flag(true))]),
        );
    }
    assert_eq!(encoder.numbers, 4, "an eighth of the budget is reserved for numbers and flags");
    assert!(encoder.features["f3"].flag[1].is_some());
    // A word that comes late gets an index, as a feature with many words leaves some room.
    for _ in 0..2 {
        learn(&mut encoder, &features(&[("v", text("late"))]));
    }
    assert!(encoder.features["v"].words.contains_key("late"));
    let crowd = features(&[("w", Value::Texts((0..199).map(|i| format!("word{i}")).collect()))]);
    let row = encoder.encode_met(RowFeatures::from_context(&crowd)).vector;
    assert!((row.entries.iter().map(|e| e.1).sum::<f64>() - 200.0).abs() < 1e-12, "each word counts once");
    assert!(row.entries.is_sorted_by(|a, b| a.0 < b.0));
}

#[test]
fn names_without_an_index_are_bounded_and_reported() {
    let mut encoder = Encoder::new(16);
    for i in 0..500 {
        let context = features(&[(&format!("x{i}"), Value::Flag(i % 2 == 0))]);
        learn(&mut encoder, &context);
        // A flag that will never get an index cannot be learned, so it widens no score.
        assert!(encoder.dim() < 14 || row(&encoder, &context).unseen == 0.0);
        let empty = features(&[(&format!("t{i}"), Value::Texts(vec![])), (&format!("v{i}"), Value::Vector(vec![]))]);
        learn(&mut encoder, &empty);
    }
    assert_eq!((encoder.dim(), encoder.features.len()), (14, 16));
    assert_eq!(
        encoder.notes().into_iter().collect::<Vec<_>>(),
        vec![
            ("x13", vec![FeatureNote::LeftOut]),
            ("x14", vec![FeatureNote::LeftOut]),
            ("x15", vec![FeatureNote::LeftOut]),
        ]
    );
}

/// Forty campaigns, each for 300 decisions: old ones lose their indices to new ones, and no index is given twice.
#[test]
fn campaigns_that_come_later_get_the_indices_of_those_that_are_over() {
    let mut encoder = Encoder::new(32);
    let mut given: BTreeMap<u32, u32> = BTreeMap::new();
    for i in 0..24_000_u32 {
        let campaign = i / 300;
        let context = features(&[("campaign", text(&format!("c{campaign}"))), ("n", Value::Number(f64::from(i % 7)))]);
        learn(&mut encoder, &context);
        if i % 300 >= 2 {
            let own = encoder.features["campaign"].words.get(&format!("c{campaign}"));
            let index = *own.unwrap_or_else(|| panic!("campaign {campaign} has no index"));
            assert_eq!(*given.entry(index).or_insert(campaign), campaign);
        }
        assert!(encoder.dim() <= 32);
    }
    assert_eq!(given.len(), 80);
    assert!(encoder.retired.iter().all(|&index| encoder.column(index).unwrap().retired));
}
