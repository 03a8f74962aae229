//! Work that goes on without its caller, and knows whether there still is one.

use std::future::Future;

use tokio_util::sync::CancellationToken;

use crate::{Registry, error::Error};

impl Registry {
    /// Runs in a task of its own, from now on, so that a client that goes away does not stop it halfway. The work is told whether
    /// the caller, which is the returned future, still waits.
    pub(crate) fn detached<T, W, F>(&self, work: F) -> impl Future<Output = Result<T, Error>> + Send + use<T, W, F>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Error>> + Send + 'static,
        F: FnOnce(Caller) -> W,
    {
        let caller = Caller::default();
        let waits = caller.0.clone().drop_guard();
        let running = self.inner.tracker.spawn(work(caller));
        async move {
            let _waits = waits;
            match running.await {
                Ok(outcome) => outcome,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // Tasks are aborted with their runtime alone, and so is this caller.
                    Err(_) => std::future::pending().await,
                },
            }
        }
    }
}

/// Who waits for a write. Dropping what it waits with tells that it left.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller(CancellationToken);

impl Caller {
    /// Refuses to go on for a caller that left.
    pub(crate) fn still_waits(&self) -> Result<(), Error> {
        if self.0.is_cancelled() { Err(Error::CallerLeft) } else { Ok(()) }
    }

    /// Does what is not worth while when nobody waits for it any more.
    pub(crate) async fn unless_left<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.0.run_until_cancelled(work).await.unwrap_or(Err(Error::CallerLeft))
    }
}
