use std::collections::BTreeMap;

use proptest::prelude::{any, prop_assert_eq, proptest};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Kind {
    Plain,
    One(u32),
    Two(i64, f32),
    Named { text: String, maybe: Option<f64> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Marked;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Whole {
    flag: bool,
    small: (i8, u8, i16, u16),
    large: (i32, u32, i64, u64),
    floats: Vec<(f32, f64)>,
    letter: char,
    kinds: Vec<Kind>,
    table: BTreeMap<String, Option<Vec<u32>>>,
    bytes: serde_bytes::ByteBuf,
    array: [u8; 4],
    unit: Marked,
    nothing: (),
    payload: serde_json::Value,
}

/// `Whole` as a later version may write it, with fields that a reader does not know.
#[derive(Serialize)]
struct Newer<'a> {
    flag: bool,
    extra: &'a Whole,
    letter: char,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Older {
    flag: bool,
    letter: char,
}

fn whole(word: u64, text: &str) -> Whole {
    let float = f64::from_bits(word);
    let single = f32::from_bits(u32::try_from(word >> 32).unwrap());
    let [a, b, c, d, ..] = word.to_be_bytes();
    Whole {
        flag: word.is_multiple_of(2),
        small: (a.cast_signed(), b, i16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
        large: (i32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([d, c, b, a]), word.cast_signed(), word),
        floats: if float.is_nan() || single.is_nan() { Vec::new() } else { vec![(single, float); usize::from(a)] },
        letter: char::from(a),
        kinds: vec![
            Kind::Plain,
            Kind::One(u32::from(b)),
            Kind::Two(-i64::from(c), 0.5),
            Kind::Named { text: text.to_owned(), maybe: (a > 127).then_some(0.1) },
        ],
        table: [(text.to_owned(), None), (format!("{text}x"), Some(vec![u32::from(a); usize::from(b)]))].into(),
        bytes: vec![a; usize::from(c)].into(),
        array: [a, b, c, d],
        unit: Marked,
        nothing: (),
        payload: serde_json::json!({ "text": text, "list": [null, true, -1, word, 0.5, { "deep": [[]] }] }),
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Outcome<T> {
    let mut from = StateDeserializer::new(bytes);
    let value = T::deserialize(&mut from)?;
    if from.rest().is_empty() { Ok(value) } else { Err(DeserializeError::Missing("the end")) }
}

proptest! {
    #[test]
    fn it_reads_what_is_written(word in any::<u64>(), text in ".{0,40}") {
        let want = whole(word, &text);
        prop_assert_eq!(read(&rmp_serde::to_vec(&want).unwrap()), Ok(want.clone()));
        prop_assert_eq!(read(&rmp_serde::to_vec_named(&want).unwrap()), Ok(want));
    }

    /// Damage is refused, or is another value that the other reader reads as well. It never panics.
    #[test]
    fn it_reads_no_damage_that_the_other_reader_refuses(word in any::<u64>(), at in any::<u32>(), bits in 1..=255_u8) {
        let mut bytes = rmp_serde::to_vec_named(&whole(word, "text")).unwrap();
        let at = at as usize % bytes.len();
        bytes[at] ^= bits;
        // Not a number differs from itself, so the two are compared as they print.
        if let Ok(value) = read::<Whole>(&bytes) {
            let other: Whole = rmp_serde::from_slice(&bytes).unwrap();
            prop_assert_eq!(format!("{value:?}"), format!("{other:?}"));
        }
    }
}

#[test]
fn a_part_is_refused() {
    let bytes = rmp_serde::to_vec_named(&whole(0x0304_0506_0708_090a, "text")).unwrap();
    for end in 0..bytes.len() {
        assert!(read::<Whole>(&bytes[..end]).is_err(), "{end} of {}", bytes.len());
    }
}

#[test]
fn a_field_that_nobody_knows_is_passed_over() {
    let newer = Newer { flag: true, extra: &whole(1, "é"), letter: 'ü' };
    let bytes = rmp_serde::to_vec_named(&newer).unwrap();
    assert_eq!(read(&bytes), Ok(Older { flag: true, letter: 'ü' }));
}

#[test]
fn what_is_of_another_kind_is_named() {
    let error = |bytes: Outcome<Kind>| bytes.unwrap_err().to_string();
    assert_eq!(error(read(&rmp_serde::to_vec(&1).unwrap())), "a text is missing");
    assert_eq!(error(read(&rmp_serde::to_vec("One").unwrap())), "the content of a variant is missing");
    assert_eq!(
        error(read(&rmp_serde::to_vec(&[("Plain", 1)].into_iter().collect::<BTreeMap<_, _>>()).unwrap())),
        "a variant without content is missing"
    );
    let unknown = error(read(&rmp_serde::to_vec("Other").unwrap()));
    assert!(unknown.starts_with("unknown variant `Other`"), "{unknown}");
    assert_eq!(read::<u32>(&rmp_serde::to_vec(&0.5).unwrap()), Err(DeserializeError::Missing("a whole number")));
    assert_eq!(read::<(u8, u8)>(&rmp_serde::to_vec(&(1, 2, 3)).unwrap()), Err(DeserializeError::Excess(1)));
}

#[test]
fn what_is_nested_too_deep_is_refused() {
    let nested = |depth: usize| [vec![0x91; depth], vec![0xc0]].concat();
    assert!(read::<serde_json::Value>(&nested(255)).is_ok());
    assert_eq!(read::<serde_json::Value>(&nested(256)), Err(DeserializeError::TooDeep));
}
