//! Limits on the names and values of features.

use super::{
    id::{FieldError, shorten_key},
    limits::{FEATURES_MAX, NAME_BYTES_MAX, NUMBER_MAX, VECTOR_MAX, WORD_BYTES_MAX, WORDS_MAX},
};
use crate::bandit::{Features, Value};

/// Checks features from outside. The error's path begins with `field`.
pub fn check_features(field: &str, features: &Features) -> Result<(), FieldError> {
    if features.len() > FEATURES_MAX {
        let message = format!("has {} features; at most {FEATURES_MAX} are allowed", features.len());
        return Err(FieldError::new(field, message));
    }
    for (name, value) in features {
        check_name(field, name)?;
        if let Err(message) = check_value(value) {
            return Err(FieldError::new(format!("{field}[{}]", shorten_key(name)), message));
        }
    }
    Ok(())
}

/// Checks the name of a feature of `field`.
pub fn check_name(field: &str, name: &str) -> Result<(), FieldError> {
    if name.is_empty() {
        return Err(FieldError::new(field, format!("a feature's name must have 1 to {NAME_BYTES_MAX} bytes")));
    }
    if name.len() > NAME_BYTES_MAX {
        let message = format!("the name has {} bytes; a feature's name must have 1 to {NAME_BYTES_MAX}", name.len());
        return Err(FieldError::new(format!("{field}[{}]", shorten_key(name)), message));
    }
    Ok(())
}

fn check_value(value: &Value) -> Result<(), String> {
    let number = |number: f64| {
        if !number.is_finite() {
            Err(format!("is {number}; must be a finite number"))
        } else if number.abs() > NUMBER_MAX {
            Err(format!("is {number}; its absolute value may be at most {NUMBER_MAX}"))
        } else {
            Ok(())
        }
    };
    let word = |word: &str| {
        if word.len() > WORD_BYTES_MAX {
            Err(format!("a word has {} bytes; at most {WORD_BYTES_MAX} are allowed", word.len()))
        } else {
            Ok(())
        }
    };
    match value {
        Value::Number(value) => number(*value),
        Value::Text(text) => word(text),
        Value::Flag(_) => Ok(()),
        Value::Texts(texts) if texts.len() > WORDS_MAX => {
            Err(format!("has {} words; at most {WORDS_MAX} are allowed", texts.len()))
        }
        Value::Texts(texts) => texts.iter().try_for_each(|text| word(text)),
        Value::Vector(values) if values.len() > VECTOR_MAX => {
            Err(format!("has {} numbers; at most {VECTOR_MAX} are allowed", values.len()))
        }
        Value::Vector(values) => values.iter().try_for_each(|&value| number(f64::from(value))),
    }
}
