//! A phone language model as text: a line per state.

use super::{MAX_UNITS, PhoneArc, PhoneLm, PhoneLmError, PhoneState};
use std::fmt::Write as _;

const HEADER: &str = "auricle-phone-lm-1";
/// The most states and arcs that are read.
const MAX_STATES: usize = 1 << 20;
const MAX_ARCS: usize = 1 << 24;

impl PhoneLm {
    /// The model as text: `auricle-phone-lm-1 UNITS STATES`, then for each state its history (`-` is the beginning of a
    /// sentence), the count of ends, and `PHONE:COUNT:TO` for each arc.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER} {} {}\n", self.units, self.states.len());
        for state in &self.states {
            let symbols: Vec<String> = state
                .history
                .iter()
                .map(|phone| phone.map_or("-".into(), |phone| phone.to_string()))
                .collect();
            // Writing to a string cannot fail.
            let _ = write!(text, "{} {}", symbols.join("."), state.ends);
            for PhoneArc { phone, count, to } in &state.arcs {
                let _ = write!(text, " {phone}:{count}:{to}");
            }
            text.push('\n');
        }
        text
    }

    /// Reads what [`Self::to_text`] gave.
    ///
    /// # Errors
    /// The line that is none of such a model.
    pub fn from_text(text: &str) -> Result<Self, PhoneLmError> {
        let mut lines = text.lines().enumerate();
        let wrong =
            |line: usize, reason: &str| PhoneLmError::Stored { line: line + 1, reason: reason.into() };
        let (_, header) = lines.next().ok_or_else(|| wrong(0, "there is none"))?;
        let fields: Vec<&str> = header.split(' ').collect();
        let sizes = match fields.as_slice() {
            [HEADER, units, states] => units.parse::<usize>().ok().zip(states.parse::<usize>().ok()),
            _ => None,
        };
        let (units, count) = sizes
            .filter(|&(units, states)| (1..=MAX_UNITS).contains(&units) && (1..=MAX_STATES).contains(&states))
            .ok_or_else(|| wrong(0, "it does not begin with `auricle-phone-lm-1 UNITS STATES`"))?;
        let phone = |text: &str| text.parse::<u16>().ok().filter(|&phone| usize::from(phone) < units);
        let mut states = Vec::new();
        let mut num_arcs = 0;
        for (i, line) in lines {
            if states.len() == count {
                return Err(wrong(i, "more states than the first line says"));
            }
            let mut fields = line.split(' ');
            let history: Option<Vec<Option<u16>>> = fields.next().and_then(|symbols| {
                let one = |symbol: &str| if symbol == "-" { Some(None) } else { phone(symbol).map(Some) };
                symbols.split('.').map(one).collect()
            });
            let history = history.ok_or_else(|| wrong(i, "the history is none of phones"))?;
            let ends = fields.next().and_then(|ends| ends.parse::<u32>().ok()).map(u64::from);
            let ends = ends.ok_or_else(|| wrong(i, "there is no count of ends"))?;
            let arc = |field: &str| {
                let mut parts = field.split(':');
                let (name, times, to) = (parts.next()?, parts.next()?, parts.next()?);
                let arc = PhoneArc {
                    phone: phone(name)?,
                    // Sums of counts must not overflow.
                    count: times.parse::<u32>().ok().filter(|&times| times > 0)?.into(),
                    to: to.parse().ok().filter(|&to: &u32| (to as usize) < count)?,
                };
                parts.next().is_none().then_some(arc)
            };
            let arcs: Option<Vec<PhoneArc>> = fields.map(arc).collect();
            let arcs = arcs.filter(|arcs| arcs.is_sorted_by(|a, b| a.phone < b.phone));
            let arcs =
                arcs.ok_or_else(|| wrong(i, "an arc is not PHONE:COUNT:TO, in the order of phones"))?;
            num_arcs += arcs.len();
            if num_arcs > MAX_ARCS || (arcs.is_empty() && ends == 0) {
                return Err(wrong(i, "nothing follows the history, or there are too many arcs"));
            }
            states.push(PhoneState { history, arcs, ends });
        }
        if states.len() < count {
            return Err(wrong(states.len() + 1, "fewer states than the first line says"));
        }
        Ok(Self { units, states })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone_lm::PhoneLmConfig;

    fn lm() -> PhoneLm {
        let text: [&[u16]; 3] = [&[0, 1, 2, 1], &[2, 2], &[]];
        PhoneLm::estimate(text, 3, PhoneLmConfig::default()).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let lm = lm();
        assert_eq!(PhoneLm::from_text(&lm.to_text()).unwrap(), lm);
    }

    #[test]
    fn damage_is_named_by_its_line() {
        let text = lm().to_text();
        let fail = |text: &str| PhoneLm::from_text(text).unwrap_err().to_string();
        assert!(fail("").contains("line 1") && fail("auricle-phone-lm-1 3 99999999\n").contains("line 1"));
        let mut cut: Vec<&str> = text.lines().collect();
        cut.pop();
        assert!(fail(&cut.join("\n")).contains("fewer states"));
        assert!(fail(&format!("{text}- 1\n")).contains("more states"));
        for (from, to, what) in [
            (":1:1", ":1:9999", "line 2"),
            ("0:1:1", "3:1:1", "line 2"),
            ("0:1:1", "0:0:1", "line 2"),
            ("0:1:1", "0:1:1:1", "line 2"),
            ("\n- 1", "\n7 1", "line 2"),
            ("\n- 1", "\n- x", "line 2"),
        ] {
            assert!(text.contains(from), "{text}");
            assert!(fail(&text.replacen(from, to, 1)).contains(what), "{from} → {to}");
        }
        for end in 0..text.len() {
            // Must not panic; the last line may be cut at a place where it is a line.
            let _ = PhoneLm::from_text(&text[..end]);
        }
    }
}
