//! Round numbers along an axis: one, two or five times a power of ten.

/// Values beyond are no measurements: they would take the room of all others.
const LARGEST: f64 = 1e100;

/// Whether a value can stand on an axis.
pub(super) fn drawable(value: f64) -> bool {
    value.abs() <= LARGEST
}

/// The marks of an axis from its low end to its high end, both among them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ticks {
    /// Where the marks are; for a logarithmic axis still the values themselves.
    pub values: Vec<f64>,
    /// What stands at each.
    pub labels: Vec<String>,
}

impl Ticks {
    /// At most `most` intervals (two, should it be less) that hold all from `low` to `high`.
    pub fn linear(low: f64, high: f64, most: usize) -> Self {
        let (low, high) = apart(low, high);
        let most = most.max(2) as f64;
        let mut step = Round::above((high - low) / most);
        let (mut first, mut last) = step.around(low, high);
        // The ends are rounded outwards, which can add intervals.
        while last - first > most {
            step = step.next();
            (first, last) = step.around(low, high);
        }
        let count = (last - first).round() as usize;
        let values: Vec<f64> = (0..=count).map(|i| step.times(first + i as f64)).collect();
        let labels = labels(&values, step.exponent);
        Self { values, labels }
    }

    /// The same for positive values on a logarithmic axis: 1, 2, 5, 10, or powers of ten alone.
    pub fn log(low: f64, high: f64, most: usize) -> Self {
        let (low, high) = if low < high { (low, high) } else { (low * 0.9, high * 1.1) };
        let (from, to) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let decades: Vec<i32> = (from..=to).collect();
        let all: Vec<Round> = decades
            .iter()
            .flat_map(|&exponent| [1.0, 2.0, 5.0].map(|digit| Round { digit, exponent }))
            .collect();
        let below = all.iter().rposition(|tick| tick.value() <= low * (1.0 + 1e-9)).unwrap_or(0);
        let above = all.iter().position(|tick| tick.value() >= high * (1.0 - 1e-9)).unwrap_or(all.len() - 1);
        let mut chosen: Vec<Round> = all[below..=above.max(below + 1).min(all.len() - 1)].to_vec();
        if chosen.len() > most.max(1) + 1 {
            let every = decades.len().saturating_sub(1).div_ceil(most.max(1)).max(1);
            let mut exponent = from;
            chosen = vec![Round { digit: 1.0, exponent }];
            while exponent < to {
                exponent += every as i32;
                chosen.push(Round { digit: 1.0, exponent });
            }
        }
        let label = |tick: &Round| labels(&[tick.value()], tick.exponent).concat();
        Self { labels: chosen.iter().map(label).collect(), values: chosen.iter().map(Round::value).collect() }
    }

    /// The low end and the high end.
    pub fn ends(&self) -> (f64, f64) {
        match self.values[..] {
            [first, .., last] => (first, last),
            _ => (0.0, 1.0),
        }
    }
}

/// One, two or five times a power of ten.
#[derive(Debug, Clone, Copy)]
struct Round {
    digit: f64,
    exponent: i32,
}

impl Round {
    /// The least that is not below a positive value.
    fn above(value: f64) -> Self {
        let exponent = value.log10().floor() as i32;
        let tens = [1.0, 2.0, 5.0].map(|digit| Self { digit, exponent });
        let found = tens.into_iter().find(|round| round.value() >= value * (1.0 - 1e-9));
        found.unwrap_or(Self { digit: 1.0, exponent: exponent + 1 })
    }

    fn next(self) -> Self {
        match self.digit {
            1.0 => Self { digit: 2.0, ..self },
            2.0 => Self { digit: 5.0, ..self },
            _ => Self { digit: 1.0, exponent: self.exponent + 1 },
        }
    }

    fn value(&self) -> f64 {
        self.times(1.0)
    }

    /// A multiple. Divided by a power of ten rather than multiplied with a negative one: 3 · 0.1 is no 0.3.
    fn times(&self, count: f64) -> f64 {
        if self.exponent < 0 {
            self.digit * count / 10f64.powi(-self.exponent)
        } else {
            self.digit * count * 10f64.powi(self.exponent)
        }
    }

    /// The multiples at or outside of the ends.
    fn around(&self, low: f64, high: f64) -> (f64, f64) {
        let step = self.value();
        ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil())
    }
}

/// Two ends with room between them.
fn apart(low: f64, high: f64) -> (f64, f64) {
    let size = low.abs().max(high.abs());
    if high - low > size * 1e-9 {
        (low, high)
    } else if size > 0.0 {
        (low - 0.1 * size, high + 0.1 * size)
    } else {
        (-1.0, 1.0)
    }
}

/// Numbers that are multiples of 10 to the `exponent`, all in one unit.
fn labels(values: &[f64], exponent: i32) -> Vec<String> {
    let size = values.iter().fold(0.0f64, |size, value| size.max(value.abs()));
    let units = [(1e12, 12, "T"), (1e9, 9, "G"), (1e6, 6, "M"), (1e4, 3, "k")];
    // With many digits behind the point, the plain number is shorter.
    let shorter = |&&(from, tens, _): &&(f64, i32, &str)| size >= from && tens - exponent <= 2;
    let (tens, unit) = units.iter().find(shorter).map_or((0, ""), |&(_, tens, unit)| (tens, unit));
    let one = |value: f64| {
        if value == 0.0 {
            "0".to_string()
        } else if (1e-4..1e15).contains(&size) && exponent >= -9 {
            let decimals = usize::try_from(tens - exponent).unwrap_or(0);
            format!("{:.decimals$}{unit}", value / 10f64.powi(tens))
        } else {
            let digits = usize::try_from(value.abs().log10().floor() as i32 - exponent).unwrap_or(0);
            format!("{value:.digits$e}")
        }
    };
    values.iter().map(|&value| one(value)).collect()
}

/// A number at a readable length.
pub(super) fn number(value: f64) -> String {
    let text = match value.abs() {
        0.0 => return "0".into(),
        size if !(1e-3..1e6).contains(&size) => return format!("{value:.1e}"),
        size if size >= 100.0 => return format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One, two or five times a power of ten.
    fn is_round(step: f64) -> bool {
        let digit = step / 10f64.powf(step.log10().floor());
        [1.0, 2.0, 5.0, 10.0].iter().any(|round| (digit - round).abs() < 1e-6)
    }

    #[test]
    fn ticks_are_round_few_and_hold_the_data() {
        let ends = [0.0, 1.0, 0.37, 7.0, 97.3, 1234.5, -3.2, 1e-7, 2.5e9, 0.991, 0.993, -0.02, 1e30, 37.0];
        for low in ends {
            for high in ends.into_iter().filter(|&high| high >= low) {
                for most in [1, 2, 4, 8] {
                    let Ticks { values, labels } = Ticks::linear(low, high, most);
                    let count = values.len() - 1;
                    assert!((1..=most.max(2)).contains(&count), "{low} to {high} in {most}: {values:?}");
                    let step = (values[count] - values[0]) / count as f64;
                    assert!(is_round(step), "{low} to {high}: {values:?}");
                    for value in &values {
                        assert!((value / step - (value / step).round()).abs() < 1e-6, "{values:?}");
                    }
                    let room = 1e-8 * step;
                    assert!(
                        values[0] <= low + room && high <= values[count] + room,
                        "{low} {high} {values:?}"
                    );
                    let mut different = labels.clone();
                    different.dedup();
                    assert_eq!(different, labels);
                }
            }
        }
    }

    #[test]
    fn logarithmic_ticks_are_round_and_hold_the_data() {
        for (low, high) in
            [(1.0, 1.0), (2.1, 2.3), (0.03, 40.0), (1e-9, 1e9), (10.0, 100.0), (5.0, 5.1), (1e-90, 1e90)]
        {
            for most in [1, 2, 5] {
                let Ticks { values, labels } = Ticks::log(low, high, most);
                assert!(values.len() >= 2 && values.len() == labels.len(), "{low} {high}: {values:?}");
                assert!(values.iter().all(|&value| is_round(value)), "{values:?}");
                assert!(
                    values[0] <= low * 1.001 && high <= values[values.len() - 1] * 1.001,
                    "{low} {high} {values:?}"
                );
                assert!(values.len() <= most.max(2) + 2, "{low} {high} in {most}: {values:?}");
            }
        }
    }

    #[test]
    fn labels_are_as_short_as_the_step_allows() {
        let labels = |low, high| Ticks::linear(low, high, 4).labels;
        assert_eq!(labels(0.0, 37.0), ["0", "10", "20", "30", "40"]);
        assert_eq!(labels(0.0, 1.0), ["0", "0.5", "1.0"]);
        assert_eq!(labels(0.0, 100_000.0), ["0", "50k", "100k"]);
        assert_eq!(
            labels(123_456.0, 123_456.8),
            ["123456.0", "123456.2", "123456.4", "123456.6", "123456.8"]
        );
        assert_eq!(Ticks::log(0.1, 100.0, 5).labels, ["0.1", "1", "10", "100"]);
        assert_eq!([number(3.0), number(0.125), number(1234.5), number(0.0)], ["3", "0.125", "1234", "0"]);
    }
}
