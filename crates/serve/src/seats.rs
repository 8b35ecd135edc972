//! Who may have a session, and who has to give it up.

use crate::Limits;
use crate::address::Address;
use crate::protocol::Refusal;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// The places for sessions.
///
/// Where none is free, a session that has brought no sound for `yield_secs` has to make room: pings and prompts
/// keep no place.
#[derive(Debug)]
pub struct Seats {
    most: usize,
    most_of_address: usize,
    yield_after: Duration,
    table: Mutex<Table>,
    /// Sessions that have not ended, those that are being closed included.
    alive: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Table {
    arrivals: u64,
    taken: BTreeMap<u64, Taken>,
}

#[derive(Debug)]
struct Taken {
    address: Address,
    last_sound: Instant,
    yields: oneshot::Sender<()>,
}

/// A place, free again when dropped.
#[derive(Debug)]
pub struct Seat {
    id: u64,
    seats: Arc<Seats>,
    wanted: oneshot::Receiver<()>,
}

impl Seats {
    pub fn new(limits: &Limits) -> Self {
        Self {
            most: limits.max_sessions,
            most_of_address: limits.max_sessions_per_address,
            yield_after: Duration::from_secs_f64(limits.yield_secs),
            table: Mutex::default(),
            alive: watch::Sender::new(0),
        }
    }

    /// Sessions that have a place.
    pub fn taken(&self) -> usize {
        self.lock().taken.len()
    }

    /// Waits until the last session has ended.
    pub async fn all_ended(&self) {
        let _ = self.alive.subscribe().wait_for(|&alive| alive == 0).await;
    }

    /// Gives a place to a new session.
    ///
    /// # Errors
    /// Nobody has to make room.
    pub fn take(self: &Arc<Self>, address: Address, now: Instant) -> Result<Seat, Refusal> {
        let mut table = self.lock();
        let own = table.taken.values().filter(|taken| taken.address == address).count();
        let (is_full, refusal) = if own >= self.most_of_address {
            (true, Refusal::BusyAddress(self.most_of_address))
        } else {
            (table.taken.len() >= self.most, Refusal::Busy(self.most))
        };
        if is_full {
            let crowds = |taken: &Taken| own < self.most_of_address || taken.address == address;
            let quietest = table.taken.iter().filter(|(_, taken)| crowds(taken));
            let quietest = quietest.min_by_key(|(_, taken)| taken.last_sound);
            let yields = |taken: &Taken| now.saturating_duration_since(taken.last_sound) >= self.yield_after;
            match quietest.filter(|(_, taken)| yields(taken)).map(|(&id, _)| id) {
                Some(id) => {
                    if let Some(taken) = table.taken.remove(&id) {
                        let _ = taken.yields.send(());
                    }
                }
                None => return Err(refusal),
            }
        }
        table.arrivals += 1;
        let id = table.arrivals;
        let (yields, wanted) = oneshot::channel();
        table.taken.insert(id, Taken { address, last_sound: now, yields });
        self.alive.send_modify(|alive| *alive += 1);
        Ok(Seat { id, seats: self.clone(), wanted })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Sound has come.
    pub fn heard(&self, now: Instant) {
        if let Some(taken) = self.seats.lock().taken.get_mut(&self.id) {
            taken.last_sound = now;
        }
    }

    /// Waits until another session needs the place.
    pub async fn wanted(&mut self) {
        if (&mut self.wanted).await.is_err() {
            // The sender is kept in the table until it is used or this is dropped.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().taken.remove(&self.id);
        self.seats.alive.send_modify(|alive| *alive = alive.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn address(last: u8) -> Address {
        IpAddr::from([10, 0, 0, last]).into()
    }

    fn seats(most: usize, most_of_address: usize) -> Arc<Seats> {
        let limits = Limits {
            max_sessions: most,
            max_sessions_per_address: most_of_address,
            yield_secs: 3.0,
            ..Limits::default()
        };
        Arc::new(Seats::new(&limits))
    }

    fn is_wanted(seat: &mut Seat) -> bool {
        seat.wanted.try_recv().is_ok()
    }

    #[test]
    fn who_is_silent_makes_room_and_who_speaks_does_not() {
        let start = Instant::now();
        let at = |secs: u64| start + Duration::from_secs(secs);
        let seats = seats(2, 2);
        let mut speaking = seats.take(address(1), at(0)).unwrap();
        let mut silent = seats.take(address(2), at(1)).unwrap();
        assert!(matches!(seats.take(address(3), at(2)), Err(Refusal::Busy(2))));
        speaking.heard(at(3));
        let _third = seats.take(address(3), at(4)).unwrap();
        assert!(is_wanted(&mut silent) && !is_wanted(&mut speaking));
        assert!(matches!(seats.take(address(4), at(5)), Err(Refusal::Busy(2))));
        assert_eq!((seats.taken(), *seats.alive.borrow()), (2, 3));
        drop(silent);
        assert_eq!((seats.taken(), *seats.alive.borrow()), (2, 2));
        drop(speaking);
        assert!(seats.take(address(4), at(5)).is_ok());
    }

    #[test]
    fn an_address_takes_its_share_only_and_makes_room_for_itself() {
        let now = Instant::now();
        let seats = seats(4, 2);
        let mut greedy: Vec<_> = (0..2).map(|_| seats.take(address(1), now).unwrap()).collect();
        assert!(matches!(seats.take(address(1), now), Err(Refusal::BusyAddress(2))));
        let mut other = seats.take(address(2), now).unwrap();
        // Later all are silent; its own oldest makes room, not another's.
        let _again = seats.take(address(1), now + Duration::from_secs(9)).unwrap();
        let wanted: Vec<bool> = greedy.iter_mut().map(is_wanted).collect();
        assert_eq!(wanted, [true, false]);
        assert!(!is_wanted(&mut other));
    }
}
