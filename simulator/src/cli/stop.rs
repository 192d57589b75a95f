//! Signals that end a command early: Ctrl-C, and SIGTERM if the system has it.

use std::{future::pending, pin::pin};

use tokio_util::sync::CancellationToken;

/// Does the work. When the process receives a signal, cancels `stop` and waits until the work has ended.
pub(super) async fn run_until_signal<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    tokio::select! {
        done = &mut work => done,
        () = stop_requested() => {
            stop.cancel();
            work.await
        }
    }
}

/// Waits until the process receives a signal. Waits for ever if signals cannot be received, since nothing can stop the
/// process then.
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
