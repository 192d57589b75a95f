//! Files that commands write: beside their place and under their own name only when they are whole, never into a data
//! folder, and never over what is there unless that was asked for.

use std::{
    error::Error,
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::node::data_folder_around;

/// Error of a command that failed.
type Failure = Box<dyn Error + Send + Sync>;

/// File that is being written, with its final path.
#[derive(Debug)]
pub(super) struct OutputFile {
    pub(super) file: File,
    /// Name that the file has until it is whole; `None` for a device or a pipe, which is written as it is.
    scratch: Option<PathBuf>,
    path: PathBuf,
}

/// Opens `path` for writing; `force` replaces an existing file.
pub(super) fn open(path: &Path, force: bool) -> Result<OutputFile, Failure> {
    let failed = |path: &Path, why: &io::Error| format!("cannot write {}: {why}", path.display());
    if let Some(data) = data_folder_around(path) {
        return Err(format!(
            "{} would be inside the data folder {}; give a place outside of it",
            path.display(),
            data.display()
        )
        .into());
    }
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => return Err(format!("{} is a folder; name a file", path.display()).into()),
        Ok(there) if !there.is_file() => {
            let file = File::options().write(true).open(path).map_err(|why| failed(path, &why))?;
            return Ok(OutputFile { file, scratch: None, path: path.to_owned() });
        }
        Ok(_) if !force => {
            return Err(format!(
                "the file {} is there already; give another name, or --force to replace it",
                path.display()
            )
            .into());
        }
        // The next step fails and says why if the file cannot be examined.
        Ok(_) | Err(_) => {}
    }
    let mut scratch = OsString::from(path);
    scratch.push(".partial");
    let scratch = PathBuf::from(scratch);
    let file = File::create_new(&scratch).map_err(|why| {
        if why.kind() == io::ErrorKind::AlreadyExists {
            format!(
                "{} is there: another command is writing it, or was cut short; if none is writing it, remove it",
                scratch.display()
            )
        } else {
            failed(path, &why)
        }
    })?;
    Ok(OutputFile { file, scratch: Some(scratch), path: path.to_owned() })
}

impl OutputFile {
    /// Makes the file durable and gives it its name.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        let Some(scratch) = &self.scratch else { return Ok(()) };
        self.file
            .sync_all()
            .and_then(|()| fs::rename(scratch, &self.path))
            .map_err(|why| format!("cannot write {}: {why}", self.path.display()))?;
        self.scratch = None;
        Ok(())
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if let Some(scratch) = &self.scratch {
            // A part of it is of no use.
            let _ = fs::remove_file(scratch);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_gets_its_name_when_it_is_whole_and_replaces_none_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let mut output = open(&path, false).unwrap();
        output.file.write_all(b"one").unwrap();
        assert!(!path.exists() && open(&path, false).unwrap_err().to_string().contains("out.csv.partial"));
        output.finish().unwrap();
        let refused = open(&path, false).unwrap_err().to_string();
        assert!(refused.contains("out.csv") && refused.contains("--force"), "{refused}");
        drop(open(&path, true).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"one", "what was cut short replaces nothing");
        let mut output = open(&path, true).unwrap();
        output.file.write_all(b"two").unwrap();
        output.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(open(folder.path(), true).unwrap_err().to_string().contains("is a folder"));
        fs::write(folder.path().join("journal.sqlite3"), "").unwrap();
        let refused = open(&folder.path().join("other.csv"), true).unwrap_err().to_string();
        assert!(refused.contains("inside the data folder"), "{refused}");
    }

    #[test]
    fn a_device_is_written_as_it_is() {
        let mut output = open(Path::new("/dev/null"), false).unwrap();
        output.file.write_all(b"gone").unwrap();
        output.finish().unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
