//! How fast sound and prompts may come.

use std::time::{Duration, Instant};

/// A worker listens to at least so many seconds of sound in a second; the shipped model on one core of a laptop to
/// about twice as many. What is no sound is charged as the sound that would have taken as long.
const SOUND_PER_SECOND: f64 = 25.0;

/// A client went on sending too fast for longer than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFast;

/// A bucket of credit in seconds of sound, filled `speed` times as fast as time goes by.
///
/// Who overdraws it is made to wait, which its socket's window turns into back-pressure; who keeps
/// overdrawing it by sound is to be closed. What prompts and results cost beside their sound is a debt that is paid
/// before the bucket fills; it delays and never closes, because how long they take is also the server's matter.
#[derive(Debug)]
pub struct Pace {
    speed: f64,
    burst_secs: f64,
    patience_secs: f64,
    credit: f64,
    debt: f64,
    waited_secs: f64,
    last: Instant,
}

impl Pace {
    pub fn new(speed: f64, burst_secs: f64, patience_secs: f64, now: Instant) -> Self {
        Self { speed, burst_secs, patience_secs, credit: burst_secs, debt: 0.0, waited_secs: 0.0, last: now }
    }

    /// Takes so many seconds of sound; how long to wait before reading on.
    pub fn take(&mut self, secs: f64, now: Instant) -> Result<Duration, TooFast> {
        let gained = now.saturating_duration_since(self.last).as_secs_f64() * self.speed;
        self.last = now;
        let paid = gained.min(self.debt);
        self.debt -= paid;
        self.credit = (self.credit + gained - paid).min(self.burst_secs) - secs;
        let overdrawn = (-self.credit).max(0.0) / self.speed;
        self.waited_secs = if overdrawn > 0.0 { self.waited_secs + overdrawn } else { 0.0 };
        if self.waited_secs > self.patience_secs {
            return Err(TooFast);
        }
        let due = (self.debt - self.credit.max(0.0)).max(0.0) / self.speed;
        Ok(Duration::from_secs_f64(overdrawn + due))
    }

    /// Charges computing that was not for sound.
    pub fn charge(&mut self, took: Duration) {
        self.debt += took.as_secs_f64() * SOUND_PER_SECOND;
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

    /// Prompts of 40 ms, as fast as they are answered: each is a second of sound, four of which come in a second.
    #[test]
    fn prompts_are_charged_what_they_cost_and_close_nobody() {
        let start = Instant::now();
        let mut pace = Pace::new(4.0, 10.0, 0.5, start);
        let mut now = start;
        for _ in 0..100 {
            now += pace.take(0.001, now).unwrap();
            now += Duration::from_millis(40);
            pace.charge(Duration::from_millis(40));
        }
        let secs = (now - start).as_secs_f64();
        assert!((20.0..26.0).contains(&secs), "100 prompts in {secs} s");
        // A learner who takes a new one every few seconds does not notice.
        let mut pace = Pace::new(4.0, 10.0, 0.5, start);
        for i in 0..100 {
            let now = start + Duration::from_secs(i);
            assert_eq!(pace.take(1.0, now), Ok(Duration::ZERO));
            pace.charge(Duration::from_millis(40));
        }
    }
}
