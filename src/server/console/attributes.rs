//! Features as lines of text, as forms have them: `name = value`.
//!
//! A value is a number, `yes` or `no`, a list in brackets, or else a word. What would be read as something else stands in quotes.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value as Json;

use crate::wire::proto::{FeatureValue, TextList, Vector, feature_value::Value};

/// Returns a list as words or as a vector, or `None` if it mixes both or holds something else.
fn list(items: &[Json]) -> Option<Value> {
    let words: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
    if let Some(values) = words {
        return Some(Value::Texts(TextList { values }));
    }
    #[expect(clippy::cast_possible_truncation, reason = "vectors have this precision")]
    let numbers: Option<Vec<f32>> = items.iter().map(|item| item.as_f64().map(|number| number as f32)).collect();
    numbers.map(|values| Value::Vector(Vector { values }))
}

fn parse_value(text: &str) -> Value {
    match text {
        "yes" | "true" => return Value::Flag(true),
        "no" | "false" => return Value::Flag(false),
        _ => {}
    }
    if let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite()) {
        return Value::Number(number);
    }
    if text.starts_with(['"', '[']) {
        match serde_json::from_str(text) {
            Ok(Json::String(word)) => return Value::Text(word),
            Ok(Json::Array(items)) => {
                if let Some(list) = list(&items) {
                    return list;
                }
            }
            Ok(Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_)) | Err(_) => {}
        }
    }
    Value::Text(text.to_owned())
}

/// Splits a line at its name, which may stand in quotes.
fn split(line: &str) -> Option<(String, &str)> {
    if line.starts_with('"') {
        let mut quoted = serde_json::Deserializer::from_str(line).into_iter::<String>();
        if let Some(Ok(name)) = quoted.next() {
            let rest = line.get(quoted.byte_offset()..)?.trim_start().strip_prefix('=')?;
            return Some((name, rest));
        }
    }
    let (name, rest) = line.split_once('=')?;
    Some((name.trim().to_owned(), rest))
}

/// Reads features, each on a line of its own.
///
/// # Errors
///
/// A sentence that names the line that is wrong.
pub(super) fn parse(text: &str) -> Result<HashMap<String, FeatureValue>, String> {
    let mut features = HashMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let parts = split(line).filter(|(name, rest)| !name.is_empty() && !rest.trim().is_empty());
        let Some((name, rest)) = parts else {
            return Err(format!("'{line}' has no name and value; write it as device = phone"));
        };
        let value = FeatureValue { value: Some(parse_value(rest.trim())) };
        if features.insert(name.clone(), value).is_some() {
            return Err(format!("'{name}' stands there twice"));
        }
    }
    Ok(features)
}

fn write_value(value: &Value) -> String {
    let text = match value {
        Value::Number(number) => return number.to_string(),
        Value::Flag(flag) => return if *flag { "yes" } else { "no" }.to_owned(),
        Value::Texts(texts) => return Json::from(texts.values.clone()).to_string(),
        Value::Vector(vector) => {
            let numbers: Vec<String> = vector.values.iter().map(f32::to_string).collect();
            return format!("[{}]", numbers.join(", "));
        }
        Value::Text(text) => text,
    };
    let is_plain = !text.is_empty() && text.trim() == text && !text.contains(char::is_control);
    if is_plain && parse_value(text) == *value { text.clone() } else { Json::from(text.as_str()).to_string() }
}

/// Writes features by name, each on a line of its own, so that [`parse`] reads them back.
pub(super) fn write(features: &HashMap<String, FeatureValue>) -> String {
    let sorted: BTreeMap<&String, &FeatureValue> = features.iter().collect();
    let line = |(name, value): (&String, &FeatureValue)| {
        let value = write_value(value.value.as_ref()?);
        let is_plain = name.trim() == name && !name.contains(['=', '"']) && !name.contains(char::is_control);
        let name = if is_plain { name.clone() } else { Json::from(name.as_str()).to_string() };
        Some(format!("{name} = {value}"))
    };
    sorted.into_iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Value {
        parse(line).unwrap().into_values().next().unwrap().value.unwrap()
    }

    #[test]
    fn a_line_is_a_number_a_flag_a_list_or_a_word() {
        assert_eq!(one("device = phone"), Value::Text("phone".into()));
        assert_eq!(one("basket=42.5"), Value::Number(42.5));
        assert_eq!(one("member = yes"), Value::Flag(true));
        assert_eq!(one("code = \"7\""), Value::Text("7".into()));
        assert_eq!(one("far = inf"), Value::Text("inf".into()));
        assert_eq!(one("brands = [\"a\", \"b\"]"), Value::Texts(TextList { values: vec!["a".into(), "b".into()] }));
        assert_eq!(one("embedding = [1, 0.5]"), Value::Vector(Vector { values: vec![1.0, 0.5] }));
        assert_eq!(one("odd = [1, \"b\"]"), Value::Text("[1, \"b\"]".into()));
        for (wrong, words) in [
            ("device", "'device' has no name"),
            ("= x", "has no name"),
            ("x =", "has no name and value"),
            ("a = 1\na = 2", "'a' stands there twice"),
        ] {
            assert!(parse(wrong).unwrap_err().contains(words), "{wrong}");
        }
    }

    #[test]
    fn features_are_read_back_as_they_were_written() {
        let value = |value| FeatureValue { value: Some(value) };
        let text = |text: &str| value(Value::Text(text.into()));
        let features: HashMap<String, FeatureValue> = [
            ("price", value(Value::Number(0.1 + 0.2))),
            ("large", value(Value::Number(-1e300))),
            ("own", value(Value::Flag(false))),
            ("words", value(Value::Texts(TextList { values: vec!["a \"b\"".into(), String::new()] }))),
            ("vector", value(Value::Vector(Vector { values: vec![0.1, -2.5e-7] }))),
            ("none", text("")),
            ("number", text("7")),
            ("flag", text("yes")),
            ("quoted", text("\"x\"")),
            ("list", text("[1]")),
            ("spaced", text("  x ")),
            ("lines", text("a\nb = c")),
            ("a = b", text("odd name")),
            (" \"q\" ", text("odder")),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        assert_eq!(parse(&write(&features)).unwrap(), features, "{}", write(&features));
    }
}
