//! Features in plain JSON, as protocols of others send them.
//!
//! ```text
//! {"device": "phone", "basket": {"value": 42.5}}  ->  device = text, basket.value = number
//! ```

use std::collections::{HashMap, hash_map::Entry};

use serde_json::{Map, Value};

use crate::{
    slot::shorten,
    wire::proto::{FeatureValue, TextList, Vector, feature_value::Value as Feature},
};

/// Depth of objects that a feature may stand in. Names grow with each, and a name has a limit itself.
const DEPTH_MAX: usize = 8;

/// Features by name, as the API takes them.
pub(super) type FeatureMap = HashMap<String, FeatureValue>;

/// Reason why a value is no feature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{}' {why}", shorten(name))]
pub(super) struct FeatureProblem {
    /// Name of the feature.
    name: String,
    /// Reason, and advice.
    why: String,
}

/// Adds the features of an object. Nested objects become names with points, and null is no feature.
///
/// # Errors
///
/// A value is no feature, or two have one name.
pub(super) fn add_features(object: &Map<String, Value>, features: &mut FeatureMap) -> Result<(), FeatureProblem> {
    add_object("", object, 1, features)
}

fn add_object(
    prefix: &str,
    object: &Map<String, Value>,
    depth: usize,
    features: &mut FeatureMap,
) -> Result<(), FeatureProblem> {
    for (name, value) in object {
        let name = format!("{prefix}{name}");
        let feature = match value {
            Value::Null => continue,
            Value::Object(_) if depth == DEPTH_MAX => {
                return Err(problem(&name, format!("is nested too deep; {DEPTH_MAX} objects are allowed")));
            }
            Value::Object(inner) => {
                add_object(&format!("{name}."), inner, depth + 1, features)?;
                continue;
            }
            Value::Bool(flag) => Feature::Flag(*flag),
            Value::Number(number) => Feature::Number(number.as_f64().unwrap_or(f64::INFINITY)),
            Value::String(text) => Feature::Text(text.clone()),
            Value::Array(values) if values.is_empty() => continue,
            Value::Array(values) => list(values).ok_or_else(|| {
                problem(&name, "is a list of mixed values; a list has texts only, or numbers only".to_owned())
            })?,
        };
        match features.entry(name) {
            Entry::Occupied(known) => {
                return Err(problem(known.key(), "stands there twice; give each feature a name of its own".to_owned()));
            }
            Entry::Vacant(free) => free.insert(FeatureValue { value: Some(feature) }),
        };
    }
    Ok(())
}

fn problem(name: &str, why: String) -> FeatureProblem {
    FeatureProblem { name: name.to_owned(), why }
}

/// Returns the feature of a list of texts or of numbers, or `None` for another list.
fn list(values: &[Value]) -> Option<Feature> {
    let texts: Option<Vec<String>> = values.iter().map(|value| value.as_str().map(str::to_owned)).collect();
    if let Some(values) = texts {
        return Some(Feature::Texts(TextList { values }));
    }
    #[expect(clippy::cast_possible_truncation, reason = "a vector of the API has single precision")]
    let numbers: Option<Vec<f32>> = values.iter().map(|value| value.as_f64().map(|number| number as f32)).collect();
    numbers.map(|values| Feature::Vector(Vector { values }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn features(json: &Value) -> Result<FeatureMap, String> {
        let mut features = FeatureMap::new();
        add_features(json.as_object().unwrap(), &mut features).map_err(|why| why.to_string())?;
        Ok(features)
    }

    #[test]
    fn values_of_each_kind_become_features() {
        let context = json!({
            "device": "phone", "age": 41, "gift": true, "nothing": null, "none": [],
            "tags": ["a", "b"], "place": {"at": [1.5, 2]}
        });
        let got = features(&context).unwrap();
        let want = [
            ("device", Feature::Text("phone".into())),
            ("age", Feature::Number(41.0)),
            ("gift", Feature::Flag(true)),
            ("tags", Feature::Texts(TextList { values: vec!["a".into(), "b".into()] })),
            ("place.at", Feature::Vector(Vector { values: vec![1.5, 2.0] })),
        ];
        assert_eq!(got.len(), want.len());
        for (name, value) in want {
            assert_eq!(got[name].value.as_ref(), Some(&value), "{name}");
        }
    }

    #[test]
    fn a_value_that_is_no_feature_is_named() {
        for (context, words) in [
            (json!({"a": [1, "x"]}), "'a' is a list of mixed values"),
            (json!({"a": [[1]]}), "'a' is a list of mixed values"),
            (json!({"a": {"b": 1}, "a.b": 2}), "'a.b' stands there twice"),
        ] {
            let why = features(&context).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
        let deep = (0..DEPTH_MAX).fold(json!(1), |inner, _| json!({"x": inner}));
        assert!(features(&deep).is_ok());
        assert!(features(&json!({ "x": deep })).unwrap_err().contains("nested too deep"));
    }
}
