//! What the entries of a row are called, for people.

use std::{collections::BTreeMap, fmt};

use super::{Encoder, Included, Label, RowFeatures};

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(name) => f.write_str(name),
            Self::Flag(name, flag) => write!(f, "{name}={}", if *flag { "yes" } else { "no" }),
            Self::Word(name, word) => write!(f, "{name}={word}"),
        }
    }
}

impl Encoder {
    /// What the entries of the row of `parts` are called, by their indices: a number by its feature's name, as all of a
    /// vector's are; a word by feature and word (`loyalty=gold`), a flag likewise (`gift=no`); words of one row that
    /// share an index by all of them. The constant has no name.
    pub(in crate::bandit) fn names(&self, parts: RowFeatures<'_>) -> BTreeMap<u32, String> {
        let mut names: BTreeMap<u32, String> = BTreeMap::new();
        self.each_entry(parts, Included::No, &mut |index, _, label| {
            let Some(index) = index else { return };
            let name = names.entry(index).or_default();
            if !name.is_empty() {
                name.push_str(" or ");
            }
            name.push_str(&label.to_string());
        });
        names
    }
}
