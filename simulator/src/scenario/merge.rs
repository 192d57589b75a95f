//! Merging of tables: `extends`, `small`, `--set` and a policy's changes of the slot.
//!
//! Tables are merged key by key, and everything else is replaced. A table over a list names the list's entries by
//! number from 0, or by their `name`, `arm_id`, `kind` or `metric`. If a key holds one of several forms (`model`,
//! `policy`, `course`, `delay`, traits), another form replaces it as a whole.

use slotwise::slot::suggestion;
use toml::{Table, Value};

use super::error::Problem;

/// Keys whose table holds one form out of several.
const ONE_OF_SEVERAL: [&str; 4] = ["model", "policy", "course", "delay"];
/// Keys whose table holds such tables under free names.
const TABLES_OF_THOSE: [&str; 1] = ["traits"];
/// Keys that name the entries of lists.
const NAMES: [&str; 4] = ["name", "arm_id", "kind", "metric"];

/// Lays `over` over `base`.
pub(super) fn merge(base: &mut Table, over: Table) -> Result<(), Problem> {
    merge_under("", base, over)
}

fn merge_under(parent: &str, base: &mut Table, over: Table) -> Result<(), Problem> {
    for (key, value) in over {
        let one_of_several = ONE_OF_SEVERAL.contains(&key.as_str()) || TABLES_OF_THOSE.contains(&parent);
        match (base.get_mut(&key), value) {
            (Some(Value::Table(have)), Value::Table(over)) => {
                let same_form = over.keys().all(|form| have.contains_key(form));
                if one_of_several && !same_form {
                    *have = over;
                } else {
                    merge_under(&key, have, over).map_err(|e| e.within(&key))?;
                }
            }
            (Some(Value::Array(have)), Value::Table(over)) => {
                merge_list(have, over).map_err(|e| e.within(&key))?;
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
    Ok(())
}

fn merge_list(list: &mut [Value], over: Table) -> Result<(), Problem> {
    for (name, value) in over {
        let Some(i) = position(list, &name) else {
            let known: Vec<&str> = list.iter().flat_map(names).collect();
            let near = suggestion(&name, known.into_iter());
            let message = format!("the list has no entry of that name{near}; name it, or count from 0");
            return Err(Problem::new(name, message));
        };
        match (&mut list[i], value) {
            (Value::Table(have), Value::Table(over)) => merge_under("", have, over).map_err(|e| e.within(&name))?,
            (have, value) => *have = value,
        }
    }
    Ok(())
}

fn names(entry: &Value) -> impl Iterator<Item = &str> {
    NAMES.iter().filter_map(|key| entry.get(key)?.as_str())
}

fn position(list: &[Value], name: &str) -> Option<usize> {
    if let Ok(number) = name.parse::<usize>() {
        return Some(number).filter(|&number| number < list.len());
    }
    // A name comes before a kind, in whatever order they stand.
    NAMES.iter().find_map(|key| list.iter().position(|e| e.get(key).and_then(Value::as_str) == Some(name)))
}

/// Reads `key.of.table=value` as a table. A value that is not valid TOML is a text.
pub(super) fn parse_set(given: &str) -> Result<Table, String> {
    let (key, text) = given.split_once('=').ok_or("there is no '='")?;
    let with = |value: &str| format!("{} = {value}", key.trim()).parse::<Table>();
    if let Ok(table) = with(text.trim()) {
        return Ok(table);
    }
    let quoted = Value::String(text.trim().to_owned()).to_string();
    with(&quoted).map_err(|_| format!("'{}' is no key", key.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(base: &str, over: &str) -> Result<Table, Problem> {
        let mut base: Table = base.parse().unwrap();
        merge(&mut base, over.parse().unwrap())?;
        Ok(base)
    }

    #[track_caller]
    fn check(base: &str, over: &str, want: &str) {
        assert_eq!(merged(base, over).unwrap(), want.parse::<Table>().unwrap());
    }

    #[test]
    fn tables_merge_and_other_values_are_replaced() {
        check("a = 1\n[t]\nx = 1\ny = [1, 2]", "b = 2\n[t]\ny = [3]", "a = 1\nb = 2\n[t]\nx = 1\ny = [3]");
    }

    #[test]
    fn another_form_replaces_and_the_same_form_merges() {
        check("[model.linear]\nlink = \"logit\"", "[model.portfolio]", "[model.portfolio]");
        check(
            "[model.linear]\nlink = \"logit\"",
            "[model.linear]\ndimension_budget = 9",
            "[model.linear]\nlink = \"logit\"\ndimension_budget = 9",
        );
        check("[s.traits.x.normal]\nmean = 1", "[s.traits.x.words]\na = 1", "[s.traits.x.words]\na = 1");
        check("model = \"linear\"", "[model.portfolio]", "[model.portfolio]");
    }

    #[test]
    fn entries_of_lists_have_numbers_and_names() {
        let base = "[[check]]\nmetric = \"share\"\n[[check]]\nname = \"share\"\nmetric = \"lift\"";
        check(
            base,
            "[check.0]\nmin = 1\n[check.share]\nmin = 2",
            "[[check]]\nmetric = \"share\"\nmin = 1\n[[check]]\nname = \"share\"\nmetric = \"lift\"\nmin = 2",
        );
        let error = merged(base, "[check.shares]\nmin = 1").unwrap_err();
        assert_eq!(error.path, "check.shares");
        assert!(error.message.contains("did you mean 'share'?"), "{error}");
        assert_eq!(merged(base, "[check.2]\nmin = 1").unwrap_err().path, "check.2");
    }

    #[test]
    fn a_setting_is_toml_or_else_a_text() {
        for (given, want) in [
            ("a.b=1", "a.b = 1"),
            ("a = [1, 2]", "a = [1, 2]"),
            ("slot.model=beta_bernoulli", "slot.model = \"beta_bernoulli\""),
            ("a=it's = b", "a = \"it's = b\""),
            ("check.0.min=-0.5", "check.0.min = -0.5"),
        ] {
            assert_eq!(parse_set(given).unwrap(), want.parse::<Table>().unwrap(), "{given}");
        }
        for given in ["a", "=1", "a b=1", ""] {
            assert!(parse_set(given).is_err(), "{given}");
        }
    }
}
