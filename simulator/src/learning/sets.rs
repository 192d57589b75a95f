//! Classification sets of a folder.

use std::{collections::BTreeSet, fs, io, path::PathBuf};

use crate::dataset::{Dataset, DatasetError, DatasetFiles};

/// Reason why the sets cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SetsError {
    /// The folder cannot be read.
    #[error("cannot read the folder {}: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The folder has no set.
    #[error("there is no data set in {}; a set is a pair of files, NAME.csv.gz and NAME.json", .0.display())]
    Nothing(PathBuf),
    /// The folder has no set of this name.
    #[error("there is no data set '{name}' in {}; there are: {}", folder.display(), there.join(", "))]
    Unknown {
        /// The name as given.
        name: String,
        /// The folder.
        folder: PathBuf,
        /// The names of the folder's sets.
        there: Vec<String>,
    },
    /// A set cannot be used.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
}

/// The sets of a folder, by the names of their files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sets {
    folder: PathBuf,
    /// Names in alphabetical order.
    names: Vec<String>,
    /// Files of rows without a description. They are no sets.
    alone: Vec<PathBuf>,
}

impl Sets {
    /// Returns the sets of this folder, without its subfolders.
    pub fn in_folder(folder: PathBuf) -> Result<Self, SetsError> {
        let fail = |source| SetsError::Folder { folder: folder.clone(), source };
        let (mut names, mut alone) = (BTreeSet::new(), BTreeSet::new());
        for entry in fs::read_dir(&folder).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            if !path.to_string_lossy().ends_with(".csv.gz") || !path.is_file() {
                continue;
            }
            let files = DatasetFiles::at_stem(&path);
            if files.description.is_file() {
                names.insert(files.name);
            } else {
                alone.insert(path);
            }
        }
        if names.is_empty() {
            return Err(SetsError::Nothing(folder));
        }
        Ok(Self { folder, names: names.into_iter().collect(), alone: alone.into_iter().collect() })
    }

    /// Returns the files of rows without a description beside them.
    pub fn alone(&self) -> &[PathBuf] {
        &self.alone
    }

    /// Reads all sets, or the named ones, each once and in the order named.
    pub fn read(&self, named: Option<&[String]>) -> Result<Vec<Dataset>, SetsError> {
        let wanted = named.unwrap_or(&self.names);
        if let Some(name) = wanted.iter().find(|name| !self.names.contains(name)) {
            let (name, folder, there) = (name.clone(), self.folder.clone(), self.names.clone());
            return Err(SetsError::Unknown { name, folder, there });
        }
        let mut seen = BTreeSet::new();
        let once = wanted.iter().filter(|name| seen.insert(*name));
        once.map(|name| Ok(Dataset::read(&self.folder.join(format!("{name}.csv.gz")))?)).collect()
    }
}
