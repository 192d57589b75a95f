//! The child process whose writes fail: it appends to a journal until its file may not grow any more.

use std::{io::Write as _, path::Path, process::Command};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rustix::process::{Resource, Rlimit, setrlimit};
use slotwise::{
    journal::{AppendError, Journal as _, LossPolicy, SqliteJournal},
    node::encode_event,
};

use super::images::event;

/// Variable that gives the child process its seed and its folder. It is set in the child alone.
const TASK: &str = "SLOTWISE_FAULTY_WRITER";

/// Returns the command that starts this test program again as a writer. Its files may grow to `limit` blocks of 1024
/// bytes. `test` is the name of the test that calls [`become_writer_if_asked`] first.
pub(crate) fn writer_command(test: &str, seed: u64, folder: &Path, limit: u64) -> Command {
    let mut command = Command::new("bash");
    command
        // The shell ignores the limit's signal, so that the write fails instead.
        .args(["-c", &format!("trap '' XFSZ; ulimit -S -f {limit}; ulimit -c 0; exec \"$@\""), "bash"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(TASK, format!("{seed} {}", folder.display()));
    command
}

/// Writes and never returns in a process that [`writer_command`] started. Does nothing in any other process.
pub(crate) fn become_writer_if_asked() {
    #[expect(clippy::disallowed_methods, reason = "the parent gives the task by a variable")]
    if let Ok(task) = std::env::var(TASK) {
        let (seed, folder) = task.split_once(' ').unwrap();
        write_until_failure(seed.parse().unwrap(), Path::new(folder));
        println!("end");
        std::io::stdout().flush().unwrap();
        // The process ends as in a crash: it closes nothing.
        std::process::abort();
    }
}

/// Appends batches and prints what was acknowledged and what failed. The second failure lifts the limit.
fn write_until_failure(seed: u64, folder: &Path) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut journal = SqliteJournal::open(folder, LossPolicy::Refused).unwrap();
    let mut last = journal.last();
    let mut failures = 0;
    while last < 600 && failures < 4 {
        let count = rng.random_range(1..40);
        let batch: Vec<_> = (last..last + count).map(|i| encode_event(&event(i))).collect();
        match journal.append(&batch) {
            Ok(position) => {
                last = position;
                println!("acknowledged {last}");
            }
            Err(AppendError::Full { .. }) if failures < 2 => {
                failures += 1;
                println!("full");
                if failures == 2 {
                    setrlimit(Resource::Fsize, Rlimit { current: None, maximum: None }).unwrap();
                }
            }
            Err(why) => {
                println!("failed {why}");
                return;
            }
        }
    }
}
