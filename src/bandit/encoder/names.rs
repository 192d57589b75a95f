//! Names of the entries of a row, for people.

use std::{collections::BTreeMap, fmt};

use super::{Encoder, Included, Label, RowFeatures};

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(name) => f.write_str(name),
            Self::Sentinel(name, value) => write!(f, "{name}={value}"),
            Self::Flag(name, flag) => write!(f, "{name}={}", if *flag { "yes" } else { "no" }),
            Self::Word(name, word) => write!(f, "{name}={word}"),
        }
    }
}

impl Encoder {
    /// Returns the names of the entries of the row of `parts`, by their indices.
    ///
    /// A number has its feature's name, as all entries of a vector have. A word has the name of feature and word
    /// (`loyalty=gold`), and a flag likewise (`gift=no`). Words of one row that share an index are joined by "or". The
    /// constant has no name.
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
