//! A disk that may not answer: a network mount that hangs, a volume that is frozen. Whoever waits for it does so for a while only, and what
//! hangs is one thread.

use std::{
    io::{Error, ErrorKind, Result},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};

/// Longer than a slow disk takes for anything that is asked of it here.
const PATIENCE: Duration = Duration::from_secs(10);

/// What asks one disk for one thing at a time.
pub(crate) struct Disk {
    patience: Duration,
    /// What was asked last, if it was not answered in time.
    unanswered: Option<JoinHandle<()>>,
}

impl Default for Disk {
    fn default() -> Self {
        Self { patience: PATIENCE, unanswered: None }
    }
}

impl Disk {
    /// Does work that waits for the disk. While it does not answer, nothing else is asked of it.
    pub(crate) async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let silent = || Error::new(ErrorKind::TimedOut, "the disk does not answer");
        if self.unanswered.as_ref().is_some_and(|it| !it.is_finished()) {
            return Err(silent());
        }
        let (reply, answer) = oneshot::channel();
        let running = spawn_blocking(move || {
            // An error means that nobody waits any more.
            let _ = reply.send(work());
        });
        let Ok(answered) = timeout(self.patience, answer).await else {
            self.unanswered = Some(running);
            return Err(silent());
        };
        answered.unwrap_or_else(|_| Err(Error::other("the work on the disk ended without a result")))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_does_not_answer_is_waited_for_once_and_asked_again_when_it_has() {
        let (go, frozen) = mpsc::channel::<()>();
        let mut disk = Disk { patience: Duration::from_millis(50), ..Disk::default() };
        let ended = disk.run(move || frozen.recv().map_err(Error::other)).await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(disk.run(|| Ok(())).await.unwrap_err().kind(), ErrorKind::TimedOut, "and nobody waits again");
        go.send(()).unwrap();
        let answers = async {
            while disk.run(|| Ok(())).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(30), answers).await.unwrap();
    }
}
