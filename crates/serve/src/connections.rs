//! Connections that have not become sessions.

use crate::address::Address;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// All of them, a bounded number. None waits to be let in: who comes to a full table takes the place of the
/// connection that has been there longest, which an answered request never is.
#[derive(Debug)]
pub struct Connections {
    most: usize,
    most_of_address: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    arrivals: u64,
    /// In order of arrival.
    open: BTreeMap<u64, (Address, oneshot::Sender<()>)>,
}

/// A place in the table, free again when dropped.
#[derive(Debug)]
pub struct Connection {
    id: u64,
    all: Arc<Connections>,
    taken: oneshot::Receiver<()>,
}

impl Connections {
    pub fn new(most: usize, most_of_address: usize) -> Self {
        Self { most, most_of_address, table: Mutex::default() }
    }

    /// Gives a place to a connection; where its address has as many as it may, one of those ends, and else, where
    /// the table is full, one of the address that has most.
    pub fn enter(self: &Arc<Self>, address: Address) -> Connection {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = BTreeMap::<Address, usize>::new();
        table.open.values().for_each(|(address, _)| *counts.entry(*address).or_default() += 1);
        let crowded = if counts.get(&address).is_some_and(|&count| count >= self.most_of_address) {
            Some(address)
        } else if table.open.len() >= self.most {
            counts.into_iter().max_by_key(|(_, count)| *count).map(|(address, _)| address)
        } else {
            None
        };
        let oldest = table.open.iter().find(|(_, (other, _))| Some(*other) == crowded).map(|(&id, _)| id);
        // Its sender is dropped, which the connection sees.
        oldest.and_then(|id| table.open.remove(&id));
        table.arrivals += 1;
        let id = table.arrivals;
        let (sender, taken) = oneshot::channel();
        table.open.insert(id, (address, sender));
        Connection { id, all: self.clone(), taken }
    }
}

impl Connection {
    /// Waits until the place is given to another.
    pub async fn taken(&mut self) {
        let _ = (&mut self.taken).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut table = self.all.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.open.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn address(last: u8) -> Address {
        IpAddr::from([10, 0, 0, last]).into()
    }

    fn is_taken(connection: &mut Connection) -> bool {
        connection.taken.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn the_oldest_of_the_greediest_goes() {
        let all = Arc::new(Connections::new(4, 3));
        let mut good = all.enter(address(1));
        let mut greedy: Vec<_> = (0..3).map(|_| all.enter(address(2))).collect();
        assert!(!greedy.iter_mut().any(is_taken));
        // A fourth of the same address takes the place of its first.
        greedy.push(all.enter(address(2)));
        let taken: Vec<bool> = greedy.iter_mut().map(is_taken).collect();
        assert_eq!(taken, [true, false, false, false]);
        // The table is full: another address takes one of those that have most, although `good` is older.
        let mut other = all.enter(address(3));
        let taken: Vec<bool> = greedy.iter_mut().map(is_taken).collect();
        assert_eq!(taken, [true, true, false, false]);
        assert!(!is_taken(&mut good) && !is_taken(&mut other));
        drop((good, greedy, other));
        assert!(all.table.lock().unwrap().open.is_empty());
    }
}
