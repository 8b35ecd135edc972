//! Threads that work ahead of a consumer, in order and with back-pressure.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// More threads than this count as this many: enough for any machine, too few to take all that its system gives.
pub const MAX_WORKERS: usize = 256;

/// A worker thread panicked.
#[derive(Debug, thiserror::Error)]
#[error("a loader thread failed: {0}")]
pub struct LoaderError(String);

/// Runs `work` on `jobs` in `workers` threads; the results come in the order of the jobs.
///
/// At most `capacity` jobs are begun ahead of the consumer, so memory is bounded however slow it
/// is. Which thread did what, and when, never shows in the results: a run is the same for any
/// number of workers. That is why a system that refuses a thread is no error: those that there are
/// do the work, and where there is none, the consumer does it itself. Dropping the iterator stops the
/// threads. A panic in `work` becomes an error at its place.
pub fn load_ordered<J, T, I>(
    jobs: I,
    workers: usize,
    capacity: usize,
    work: impl Fn(J) -> T + Send + Sync + 'static,
) -> impl Iterator<Item = Result<T, LoaderError>>
where
    I: Iterator<Item = J> + Send + 'static,
    J: Send + 'static,
    T: Send + 'static,
{
    let spawn = |run: Run| std::thread::Builder::new().spawn(run).ok();
    loader(jobs, workers, capacity, work, spawn)
}

/// What a thread does until there is nothing left to do.
type Run = Box<dyn FnOnce() + Send>;

/// `spawn` starts a thread, or gives none where the system refuses it.
fn loader<J, T, I, W>(
    jobs: I,
    workers: usize,
    capacity: usize,
    work: W,
    mut spawn: impl FnMut(Run) -> Option<JoinHandle<()>>,
) -> Loader<J, T, I, W>
where
    I: Iterator<Item = J> + Send + 'static,
    J: Send + 'static,
    T: Send + 'static,
    W: Fn(J) -> T + Send + Sync + 'static,
{
    let shared = Arc::new(Shared {
        state: Mutex::new(State { jobs: Some(jobs), begun: 0, delivered: 0, results: BTreeMap::new() }),
        changed: Condvar::new(),
        capacity: capacity.max(1),
    });
    let work = Arc::new(work);
    let threads = (0..workers.clamp(1, MAX_WORKERS))
        .map_while(|_| {
            let (shared, work) = (shared.clone(), work.clone());
            spawn(Box::new(move || while shared.work(&*work) {}))
        })
        .collect();
    Loader { shared, work, threads }
}

struct Shared<I, T> {
    state: Mutex<State<I, T>>,
    changed: Condvar,
    capacity: usize,
}

struct State<I, T> {
    /// None when exhausted or stopped.
    jobs: Option<I>,
    begun: usize,
    delivered: usize,
    results: BTreeMap<usize, Result<T, LoaderError>>,
}

impl<J, T, I: Iterator<Item = J>> Shared<I, T> {
    fn lock(&self) -> MutexGuard<'_, State<I, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, guard: MutexGuard<'a, State<I, T>>) -> MutexGuard<'a, State<I, T>> {
        self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one job; false where there is none left.
    fn work(&self, work: &impl Fn(J) -> T) -> bool {
        let Some((index, job)) = self.take() else { return false };
        let result =
            catch_unwind(AssertUnwindSafe(|| work(job))).map_err(|panic| LoaderError(message(&*panic)));
        self.lock().results.insert(index, result);
        self.changed.notify_all();
        true
    }

    /// The next job, as soon as there is room for its result.
    fn take(&self) -> Option<(usize, J)> {
        let mut state = self.lock();
        while state.jobs.is_some() && state.begun - state.delivered >= self.capacity {
            state = self.wait(state);
        }
        match state.jobs.as_mut()?.next() {
            Some(job) => {
                state.begun += 1;
                Some((state.begun - 1, job))
            }
            None => {
                state.jobs = None;
                drop(state);
                self.changed.notify_all();
                None
            }
        }
    }
}

/// The consumer's end.
struct Loader<J, T, I: Iterator<Item = J>, W> {
    shared: Arc<Shared<I, T>>,
    work: Arc<W>,
    threads: Vec<JoinHandle<()>>,
}

impl<J, T, I: Iterator<Item = J>, W: Fn(J) -> T> Iterator for Loader<J, T, I, W> {
    type Item = Result<T, LoaderError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.threads.is_empty() {
            self.shared.work(&*self.work);
        }
        let mut state = self.shared.lock();
        loop {
            let next = state.delivered;
            if let Some(result) = state.results.remove(&next) {
                state.delivered += 1;
                drop(state);
                self.shared.changed.notify_all();
                return Some(result);
            }
            if state.jobs.is_none() && state.begun == state.delivered {
                return None;
            }
            state = self.shared.wait(state);
        }
    }
}

impl<J, T, I: Iterator<Item = J>, W> Drop for Loader<J, T, I, W> {
    fn drop(&mut self) {
        self.shared.lock().jobs = None;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A worker's panic was caught and delivered as an error.
            thread.join().ok();
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown panic".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn in_order_for_any_number_of_workers() {
        for workers in [1, 2, 5] {
            let slow_first = move |i: u64| {
                std::thread::sleep(Duration::from_micros((97 - i % 97) * 10));
                i * i
            };
            let got: Vec<u64> = load_ordered(0..200u64, workers, 7, slow_first).map(Result::unwrap).collect();
            assert!(got.iter().copied().eq((0..200).map(|i| i * i)));
        }
    }

    #[test]
    fn a_slow_consumer_holds_the_workers_back() {
        let begun = Arc::new(AtomicUsize::new(0));
        let counter = begun.clone();
        let mut loader = load_ordered(0.., 3, 4, move |_: usize| counter.fetch_add(1, Ordering::SeqCst));
        loader.next();
        std::thread::sleep(Duration::from_millis(50));
        assert!(begun.load(Ordering::SeqCst) <= 1 + 4);
        drop(loader); // stops, though the jobs never end
    }

    #[test]
    fn refused_threads_cost_no_results() {
        for given in [0, 2] {
            let mut asked = 0;
            let grudging = |run: Run| {
                asked += 1;
                (asked <= given).then(|| std::thread::spawn(run))
            };
            let loader = loader(0..50, 5, 3, |i: u32| i * i, grudging);
            assert_eq!(loader.threads.len(), given);
            assert!(loader.map(Result::unwrap).eq((0..50).map(|i| i * i)));
            assert_eq!(asked, given + 1, "a refusal is the last question");
        }
    }

    #[test]
    fn no_number_of_workers_takes_all_threads() {
        let mut started = 0;
        let count = |run: Run| {
            started += 1;
            Some(std::thread::spawn(run))
        };
        assert_eq!(loader(0..3, usize::MAX, 2, |i: u32| i, count).count(), 3);
        assert_eq!(started, MAX_WORKERS);
    }

    #[test]
    fn a_panic_is_an_error_at_its_place() {
        let work = |i: i32| if i == 2 { panic!("bad item {i}") } else { i };
        let got: Vec<_> = load_ordered(0..4, 2, 2, work).collect();
        assert_eq!(got.len(), 4);
        assert!(got[2].as_ref().unwrap_err().to_string().contains("bad item 2"));
        assert_eq!(*got[3].as_ref().unwrap(), 3);
    }
}
