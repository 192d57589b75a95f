//! Runs of a small scenario against a live server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]
#![allow(dead_code, reason = "not every test does everything")]

use std::{num::NonZeroUsize, path::PathBuf, process::Command, time::Duration};

use slotwise_simulator::{
    live::{LiveOptions, LiveRunError, Tempo, run_live},
    report::RunReport,
    run::episode::{NoRunProgress, RunProgress},
    scenario::{Changes, Loaded, load},
};
use tokio::{runtime::Handle, task::JoinHandle, task::block_in_place};
use tokio_util::sync::CancellationToken;

pub(crate) fn file() -> String {
    let file: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "data", "live.toml"].iter().collect();
    file.to_str().unwrap().to_owned()
}

pub(crate) fn loaded(set: &[&str]) -> Loaded {
    let set = set.iter().map(ToString::to_string).collect();
    load(&file(), &Changes { set, ..Changes::default() }).unwrap_or_else(|why| panic!("{why}"))
}

/// Options for 75 visits a second, which is four seconds a replication.
pub(crate) fn options(target: &str) -> LiveOptions {
    let at_once = NonZeroUsize::new(2).unwrap();
    LiveOptions { tempo: Some(Tempo::Rate(300.0)), at_once, ..LiveOptions::new(target) }
}

/// Options with slots whose ids begin with `name`.
pub(crate) fn named(target: &str, name: &str) -> LiveOptions {
    LiveOptions { slots: Some(name.to_owned()), ..options(target) }
}

pub(crate) fn play(loaded: &Loaded, options: LiveOptions) -> Result<RunReport, LiveRunError> {
    play_until(loaded, options, &NoRunProgress, &CancellationToken::new())
}

pub(crate) fn play_until(
    loaded: &Loaded,
    options: LiveOptions,
    progress: &dyn RunProgress,
    stop: &CancellationToken,
) -> Result<RunReport, LiveRunError> {
    block_in_place(|| run_live(loaded, None, options, &Handle::current(), progress, stop))
}

/// Plays on a thread of its own, so that the test can do something else meanwhile.
pub(crate) fn play_in_background(loaded: Loaded, options: LiveOptions) -> JoinHandle<Result<RunReport, LiveRunError>> {
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        run_live(&loaded, None, options, &runtime, &NoRunProgress, &CancellationToken::new())
    })
}

/// Waits until a condition holds. If a run fails, the test ends too.
pub(crate) async fn until(mut so: impl AsyncFnMut() -> bool) {
    for _ in 0..6000 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("half a minute, and it is not so");
}

pub(crate) fn command(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_slotwise-simulator")).args(arguments).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), out, err)
}
