//! Computing off the threads that serve connections.

use crate::protocol::Refusal;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A bounded number of computations at once; those that wait are served in the order they came, so that no
/// session can take another one's turn.
#[derive(Debug, Clone)]
pub struct Pool {
    turns: Arc<Semaphore>,
}

impl Pool {
    pub fn new(workers: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(workers)) }
    }

    /// Runs `work` when it is its turn. A panic there ends this session only.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| Refusal::Internal)?;
        let done = tokio::task::spawn_blocking(move || {
            // Held by the work and not by who waits for it: a client that goes away frees nothing early.
            let _turn = turn;
            work()
        });
        done.await.map_err(|error| {
            eprintln!("error: a session ended: {error}");
            Refusal::Internal
        })
    }
}
