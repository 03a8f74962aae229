//! Calls made over and over, of which none may fail.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use cqar_tests::collect::until;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Callers that go on until they are ended.
#[derive(Default)]
pub struct Load {
    /// How many calls ended well.
    pub calls: Arc<AtomicUsize>,
    each: Vec<Arc<AtomicUsize>>,
    failures: Arc<Mutex<Vec<Status>>>,
    callers: JoinSet<()>,
    token: CancellationToken,
}

impl Load {
    /// Starts a caller.
    pub fn start<F: Future<Output = Result<(), Status>> + Send + 'static>(
        &mut self,
        mut call: impl FnMut() -> F + Send + 'static,
    ) {
        let own = Arc::<AtomicUsize>::default();
        self.each.push(own.clone());
        let (calls, failures, token) = (self.calls.clone(), self.failures.clone(), self.token.clone());
        self.callers.spawn(async move {
            while !token.is_cancelled() {
                match call().await {
                    Ok(()) => {
                        calls.fetch_add(1, Ordering::Relaxed);
                        own.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(status) => return failures.lock().unwrap().push(status),
                }
            }
        });
    }

    /// Waits until each caller got two more answers: one of them was asked for from now on.
    pub async fn goes_on(&self) {
        let seen: Vec<_> = self.each.iter().map(|own| own.load(Ordering::Relaxed)).collect();
        until("every caller goes on", async || {
            assert_eq!(self.failures(), [""; 0]);
            self.each.iter().zip(&seen).all(|(own, seen)| own.load(Ordering::Relaxed) >= seen + 2).then_some(())
        })
        .await;
    }

    /// Ends the callers, and says that no call failed.
    pub async fn end(mut self) {
        self.token.cancel();
        while let Some(ended) = self.callers.join_next().await {
            ended.unwrap();
        }
        assert_eq!(self.failures(), [""; 0]);
    }

    fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap().iter().map(|status| format!("{status:?}")).collect()
    }
}
