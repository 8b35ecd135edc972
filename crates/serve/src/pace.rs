//! How fast sound may come.

use std::time::{Duration, Instant};

/// A client went on sending too fast for longer than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFast;

/// A bucket of credit in seconds of sound, filled `speed` times as fast as time goes by.
///
/// Who overdraws it is made to wait, which its socket's window turns into back-pressure; who keeps
/// overdrawing it is to be closed.
#[derive(Debug)]
pub struct Pace {
    speed: f64,
    burst_secs: f64,
    patience_secs: f64,
    credit: f64,
    waited_secs: f64,
    last: Instant,
}

impl Pace {
    pub fn new(speed: f64, burst_secs: f64, patience_secs: f64, now: Instant) -> Self {
        Self { speed, burst_secs, patience_secs, credit: burst_secs, waited_secs: 0.0, last: now }
    }

    /// Takes so many seconds of sound; how long to wait before reading on.
    pub fn take(&mut self, secs: f64, now: Instant) -> Result<Duration, TooFast> {
        let gone = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = now;
        self.credit = (self.credit + gone * self.speed).min(self.burst_secs) - secs;
        if self.credit >= 0.0 {
            self.waited_secs = 0.0;
            return Ok(Duration::ZERO);
        }
        let wait = -self.credit / self.speed;
        self.waited_secs += wait;
        if self.waited_secs > self.patience_secs { Err(TooFast) } else { Ok(Duration::from_secs_f64(wait)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_time_is_never_held_back_and_a_flood_is_closed() {
        let start = Instant::now();
        let at = |secs: f64| start + Duration::from_secs_f64(secs);
        let mut pace = Pace::new(2.0, 1.0, 0.5, start);
        for i in 0..1000 {
            assert_eq!(pace.take(0.04, at(f64::from(i) * 0.04)), Ok(Duration::ZERO));
        }
        // A stall of the network, then all at once.
        assert_eq!(pace.take(1.0, at(50.0)), Ok(Duration::ZERO));
        // Twice real time from here on: held back by half of what comes, then closed.
        let mut now = 50.0;
        let mut waits = Vec::new();
        while let Ok(wait) = pace.take(0.2, at(now)) {
            waits.push(wait.as_secs_f64());
            now += wait.as_secs_f64();
        }
        assert_eq!(waits.len(), 5);
        assert!(waits.iter().all(|wait| (wait - 0.1).abs() < 1e-6), "{waits:?}");
    }
}
