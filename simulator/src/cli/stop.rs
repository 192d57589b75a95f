//! What tells a command to end early: Ctrl-C, and SIGTERM where there is such a thing.

use std::{future::pending, pin::pin};

use tokio_util::sync::CancellationToken;

/// Does the work; when the process is told to end, cancels `stop` and waits for what the work makes of it.
pub(super) async fn until_told<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    tokio::select! {
        done = &mut work => done,
        () = stop_requested() => {
            stop.cancel();
            work.await
        }
    }
}

/// Waits until the process is told to end. For ever, where that cannot be heard: then nothing is to be stopped.
pub(super) async fn stop_requested() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupted => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => drop(terminate.recv().await),
        Err(_) => pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    pending().await
}
