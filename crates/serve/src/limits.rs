//! What a client may ask for.

use crate::ServeError;

/// Limits of the server; each has an error message of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Most clients at once. Default: 16.
    pub max_sessions: usize,
    /// Most clients of one address at once, of IPv6 the first 64 bits. Default: 8.
    pub max_sessions_per_address: usize,
    /// Most bytes of a message. A message of more than four times as many isn't read to its end. Default: 65,536.
    pub max_message_bytes: usize,
    /// Most characters of a prompt. Default: 500.
    pub max_prompt_chars: usize,
    /// Most seconds of an utterance. Default: 60.
    pub max_utterance_secs: f64,
    /// Seconds without sound after which a client is closed. Default: 60.
    pub idle_secs: f64,
    /// Seconds without sound after which a client is closed if another needs its place. Default: 3.
    pub yield_secs: f64,
    /// How many times faster than real time sound may come on average; computing for prompts and results counts as
    /// the sound that would take as long. Default: 4.
    pub max_speed: f64,
    /// Seconds of sound that may come at once, however fast. Default: 10.
    pub burst_secs: f64,
    /// Seconds that a client which sends too fast is held back before it is closed. Default: 5.
    pub patience_secs: f64,
    /// Most messages that wait for a client to read them. Default: 256.
    pub max_queue: usize,
    /// Bytes of a connection's send buffer in the system, which come on top. Default: 65,536.
    pub send_buffer_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_sessions: 16,
            max_sessions_per_address: 8,
            max_message_bytes: 65_536,
            max_prompt_chars: 500,
            max_utterance_secs: 60.0,
            idle_secs: 60.0,
            yield_secs: 3.0,
            max_speed: 4.0,
            burst_secs: 10.0,
            patience_secs: 5.0,
            max_queue: 256,
            send_buffer_bytes: 65_536,
        }
    }
}

impl Limits {
    /// # Errors
    /// The first limit that cannot be kept, by name.
    pub fn validate(&self) -> Result<(), ServeError> {
        let longest = auricle_cca_mdd::MAX_SECS;
        let counts = [
            ("max_sessions", self.max_sessions, 1, 10_000),
            ("max_sessions_per_address", self.max_sessions_per_address, 1, 10_000),
            ("max_message_bytes", self.max_message_bytes, 64, 1 << 24),
            ("max_prompt_chars", self.max_prompt_chars, 1, 100_000),
            ("max_queue", self.max_queue, 1, 1 << 20),
            ("send_buffer_bytes", self.send_buffer_bytes as usize, 1024, 1 << 24),
        ];
        for (name, value, from, to) in counts {
            if !(from..=to).contains(&value) {
                return Err(ServeError::Limit(name, value.to_string(), format!("{from} to {to}")));
            }
        }
        let amounts = [
            ("max_utterance_secs", self.max_utterance_secs, 0.1, longest),
            ("idle_secs", self.idle_secs, 0.1, 86_400.0),
            ("yield_secs", self.yield_secs, 0.0, 86_400.0),
            ("max_speed", self.max_speed, 1.0, 1e6),
            ("burst_secs", self.burst_secs, 0.1, longest),
            ("patience_secs", self.patience_secs, 0.0, 3_600.0),
        ];
        for (name, value, from, to) in amounts {
            if !(from..=to).contains(&value) {
                return Err(ServeError::Limit(name, value.to_string(), format!("{from} to {to}")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_cannot_be_kept_are_named() {
        assert!(Limits::default().validate().is_ok());
        let bad = Limits { max_utterance_secs: 1e4, ..Limits::default() };
        assert!(bad.validate().is_err_and(|e| e.to_string().contains("max_utterance_secs")));
        let bad = Limits { idle_secs: f64::NAN, ..Limits::default() };
        assert!(bad.validate().is_err_and(|e| e.to_string().contains("idle_secs")));
        let bad = Limits { max_queue: 0, ..Limits::default() };
        assert!(bad.validate().is_err_and(|e| e.to_string().contains("max_queue")));
    }
}
