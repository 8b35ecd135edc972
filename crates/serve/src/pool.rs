//! Computing off the threads that serve connections.

use crate::log;
use crate::protocol::Refusal;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A bounded number of computations at once. Where more wait, the one goes first whose session has had the least
/// computing (start-time fair queueing, Goyal et al. 1996), so that a session which asks for much delays the
/// others by no more than the computation that is under way.
#[derive(Debug, Clone)]
pub struct Pool {
    turns: Arc<Mutex<Turns>>,
}

/// What a session has had of a [`Pool`], in nanoseconds of its virtual time.
#[derive(Debug, Default)]
pub struct Account {
    used: u64,
}

/// The result of a computation and how long it took.
#[derive(Debug)]
pub struct Done<T> {
    pub value: T,
    pub took: Duration,
}

#[derive(Debug)]
struct Turns {
    free: usize,
    /// The account of the last who began: who comes after a pause has no claim on turns that it did not want.
    now: u64,
    /// By account, then by order of arrival.
    waiting: BTreeMap<(u64, u64), oneshot::Sender<Turn>>,
    arrivals: u64,
}

/// The right to compute; given on when dropped.
#[derive(Debug)]
struct Turn {
    turns: Arc<Mutex<Turns>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Who has gone away gives its turn on by dropping it, which must not happen under the lock.
        let mut next = None;
        {
            let mut turns = lock(&self.turns);
            match turns.waiting.pop_first() {
                Some(((account, _), waiting)) => {
                    turns.now = turns.now.max(account);
                    next = Some(waiting);
                }
                None => turns.free += 1,
            }
        }
        if let Some(waiting) = next {
            let _ = waiting.send(Turn { turns: self.turns.clone() });
        }
    }
}

fn lock(turns: &Mutex<Turns>) -> MutexGuard<'_, Turns> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    pub fn new(workers: usize) -> Self {
        let turns = Turns { free: workers, now: 0, waiting: BTreeMap::new(), arrivals: 0 };
        Self { turns: Arc::new(Mutex::new(turns)) }
    }

    /// Runs `work` when it is its turn. A panic there ends this session only.
    pub async fn run<T: Send + 'static>(
        &self,
        account: &mut Account,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Done<T>, Refusal> {
        let turn = self.turn(account).await?;
        let done = tokio::task::spawn_blocking(move || {
            // Held by the work and not by who waits for it: a client that goes away frees nothing early.
            let _turn = turn;
            let began = Instant::now();
            let value = work();
            Done { value, took: began.elapsed() }
        });
        let done = done.await.map_err(|error| {
            log::line(format_args!("error: a session ended: {error}"));
            Refusal::Internal
        })?;
        account.used = account.used.saturating_add(done.took.as_nanos() as u64);
        Ok(done)
    }

    async fn turn(&self, account: &mut Account) -> Result<Turn, Refusal> {
        let waiting = {
            let mut turns = lock(&self.turns);
            account.used = account.used.max(turns.now);
            if turns.free > 0 {
                turns.free -= 1;
                turns.now = account.used;
                None
            } else {
                let (sender, receiver) = oneshot::channel();
                turns.arrivals += 1;
                let place = (account.used, turns.arrivals);
                turns.waiting.insert(place, sender);
                Some(receiver)
            }
        };
        match waiting {
            None => Ok(Turn { turns: self.turns.clone() }),
            Some(receiver) => receiver.await.map_err(|_| Refusal::Internal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    /// One worker is busy, a session that has had much waits, then one comes that has had nothing.
    #[test]
    fn who_has_had_least_goes_first() {
        runtime().block_on(async {
            let pool = Pool::new(1);
            let mut first = Account::default();
            let busy = pool.turn(&mut first).await.unwrap();
            let (order, mut begun) = tokio::sync::mpsc::unbounded_channel();
            let mut join = Vec::new();
            for (name, used) in [("much", 1_000_000), ("more", 2_000_000), ("little", 0)] {
                let (pool, order) = (pool.clone(), order.clone());
                join.push(tokio::spawn(async move {
                    let mut account = Account { used };
                    pool.run(&mut account, move || order.send(name).unwrap()).await.unwrap();
                    account.used
                }));
                tokio::task::yield_now().await;
            }
            drop(busy);
            let mut said = Vec::new();
            for task in join {
                task.await.unwrap();
                said.push(begun.recv().await.unwrap());
            }
            assert_eq!(said, ["little", "much", "more"]);
            // Who comes now begins where the others are, and cannot save up turns.
            let mut late = Account::default();
            drop(pool.turn(&mut late).await.unwrap());
            assert_eq!(late.used, 2_000_000);
        });
    }

    #[test]
    fn turns_are_not_lost_by_those_who_go_away_or_panic() {
        runtime().block_on(async {
            let pool = Pool::new(1);
            let busy = pool.turn(&mut Account::default()).await.unwrap();
            let gone = tokio::spawn({
                let pool = pool.clone();
                async move { pool.run(&mut Account::default(), || ()).await.map(|_| ()) }
            });
            tokio::task::yield_now().await;
            gone.abort();
            assert!(gone.await.is_err());
            drop(busy);
            let failed = pool.run(&mut Account::default(), || panic!("a defect")).await;
            assert!(matches!(failed.map(|done: Done<()>| done.value), Err(Refusal::Internal)));
            assert_eq!(pool.run(&mut Account::default(), || 7).await.unwrap().value, 7);
            assert_eq!(lock(&pool.turns).free, 1);
        });
    }
}
