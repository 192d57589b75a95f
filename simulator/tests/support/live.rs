//! Runs of a small scenario against a live server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]
#![allow(dead_code, reason = "not every test does everything")]

use std::{num::NonZeroUsize, path::PathBuf, process::Command, time::Duration};

use slotwise_simulator::{
    live::{LiveRunError, Options, Tempo, run_live},
    report::RunReport,
    run::episode::{Unwatched, Watch},
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

/// 75 visits a second: four seconds a replication.
pub(crate) fn options(target: &str) -> Options {
    let at_once = NonZeroUsize::new(2).unwrap();
    Options { tempo: Some(Tempo::Rate(300.0)), at_once, ..Options::new(target) }
}

/// The same; the slots' ids begin with `name`.
pub(crate) fn named(target: &str, name: &str) -> Options {
    Options { slots: Some(name.to_owned()), ..options(target) }
}

pub(crate) fn play(loaded: &Loaded, options: Options) -> Result<RunReport, LiveRunError> {
    play_until(loaded, options, &Unwatched, &CancellationToken::new())
}

pub(crate) fn play_until(
    loaded: &Loaded,
    options: Options,
    watch: &dyn Watch,
    stop: &CancellationToken,
) -> Result<RunReport, LiveRunError> {
    block_in_place(|| run_live(loaded, None, options, &Handle::current(), watch, stop))
}

/// Plays on a thread of its own, so that something else can be done meanwhile.
pub(crate) fn playing(loaded: Loaded, options: Options) -> JoinHandle<Result<RunReport, LiveRunError>> {
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        run_live(&loaded, None, options, &runtime, &Unwatched, &CancellationToken::new())
    })
}

/// Waits until something is so; a run that goes wrong comes to its end, and then the test too.
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
