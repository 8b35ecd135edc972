//! Graphs of LF-MMI in the form in which kernels run through them.

/// An arc between two states; what it emits belongs to the state that it enters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MmiArc {
    /// State before.
    pub from: u32,
    /// State after.
    pub to: u32,
    /// Probability.
    pub weight: f64,
}

/// A state: every arc into it emits `enter`; it also stays where it is, emitting `stay`, with probability `stay_weight`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MmiState {
    /// Output of every arc into the state.
    pub enter: u32,
    /// Output while it stays.
    pub stay: u32,
    /// Probability of staying, 0 for states that a path only leaves.
    pub stay_weight: f64,
}

/// Why a graph is none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MmiGraphError {
    /// A number that is not below its limit.
    #[error("LF-MMI graph: {what} {index} is not below {limit}")]
    Index {
        /// Of what.
        what: &'static str,
        /// The number.
        index: usize,
        /// Its limit.
        limit: usize,
    },
    /// A weight that is negative or no number.
    #[error("LF-MMI graph: the weight {weight} of {what} is no probability mass")]
    Weight {
        /// Of what.
        what: &'static str,
        /// The weight.
        weight: f64,
    },
    /// A list that has not one value per state, or no state.
    #[error("LF-MMI graph: {states} states and {values} {what}")]
    Length {
        /// What is listed.
        what: &'static str,
        /// States.
        states: usize,
        /// Values.
        values: usize,
    },
}

/// The other end of an arc, in a list of arcs of one state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End<W> {
    pub state: u32,
    pub weight: W,
}

/// Arcs of each state one after the other, by the number of the other end.
#[derive(Debug, Clone)]
pub(crate) struct Arcs<W> {
    /// Where the arcs of each state begin, and where the last end.
    pub starts: Vec<u32>,
    pub ends: Vec<End<W>>,
}

impl<W: Copy> Arcs<W> {
    fn new(states: usize, mut arcs: Vec<(u32, u32, W)>) -> Self {
        arcs.sort_by_key(|&(own, other, _)| (own, other));
        let mut starts = vec![0u32; states + 1];
        for &(own, ..) in &arcs {
            starts[own as usize + 1] += 1;
        }
        for i in 0..states {
            starts[i + 1] += starts[i];
        }
        Self { starts, ends: arcs.into_iter().map(|(_, state, weight)| End { state, weight }).collect() }
    }

    pub fn of(&self, state: usize) -> &[End<W>] {
        &self.ends[self.starts[state] as usize..self.starts[state + 1] as usize]
    }
}

fn index(what: &'static str, index: u32, limit: usize) -> Result<(), MmiGraphError> {
    let index = index as usize;
    if index < limit { Ok(()) } else { Err(MmiGraphError::Index { what, index, limit }) }
}

fn weight(what: &'static str, weight: f64) -> Result<(), MmiGraphError> {
    if weight.is_finite() && weight >= 0.0 { Ok(()) } else { Err(MmiGraphError::Weight { what, weight }) }
}

/// Checks every number, so that kernels need not.
fn check(
    outputs: usize,
    states: &[MmiState],
    arcs: &[MmiArc],
    per_state: &[(&'static str, &[f64])],
) -> Result<(), MmiGraphError> {
    let count = states.len();
    if count == 0 || count >= u32::MAX as usize || arcs.len() >= u32::MAX as usize {
        return Err(MmiGraphError::Length { what: "arcs", states: count, values: arcs.len() });
    }
    for state in states {
        index("output", state.enter, outputs)?;
        index("output", state.stay, outputs)?;
        weight("a loop", state.stay_weight)?;
    }
    for arc in arcs {
        index("state", arc.from, count)?;
        index("state", arc.to, count)?;
        weight("an arc", arc.weight)?;
    }
    for &(what, values) in per_state {
        if values.len() != count {
            return Err(MmiGraphError::Length { what, states: count, values: values.len() });
        }
        values.iter().try_for_each(|&value| weight(what, value))?;
    }
    Ok(())
}

/// The denominator: all sequences that the phone language model allows.
#[derive(Debug, Clone)]
pub struct DenGraph {
    pub(crate) outputs: usize,
    /// Output on entering and while staying.
    pub(crate) emitted: Vec<[u32; 2]>,
    pub(crate) stay_weights: Vec<f32>,
    pub(crate) incoming: Arcs<f32>,
    pub(crate) outgoing: Arcs<f32>,
    pub(crate) initial: Vec<f32>,
    pub(crate) leak: Vec<f32>,
    pub(crate) finals: Vec<f32>,
}

impl DenGraph {
    /// A graph over `outputs` outputs: `initial` is where paths begin, `leak` the distribution that every state leaks to
    /// in every frame, `finals` the weight of ending in a state.
    ///
    /// # Errors
    /// A number or weight out of its domain.
    pub fn new(
        outputs: usize,
        states: &[MmiState],
        arcs: &[MmiArc],
        initial: &[f64],
        leak: &[f64],
        finals: &[f64],
    ) -> Result<Self, MmiGraphError> {
        let lists = [("initial weights", initial), ("leak weights", leak), ("final weights", finals)];
        check(outputs, states, arcs, &lists)?;
        let single = |values: &[f64]| values.iter().map(|&value| value as f32).collect();
        let into = arcs.iter().map(|arc| (arc.to, arc.from, arc.weight as f32)).collect();
        let out_of = arcs.iter().map(|arc| (arc.from, arc.to, arc.weight as f32)).collect();
        Ok(Self {
            outputs,
            emitted: states.iter().map(|state| [state.enter, state.stay]).collect(),
            stay_weights: states.iter().map(|state| state.stay_weight as f32).collect(),
            incoming: Arcs::new(states.len(), into),
            outgoing: Arcs::new(states.len(), out_of),
            initial: single(initial),
            leak: single(leak),
            finals: single(finals),
        })
    }

    /// Number of outputs of the network.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Number of states.
    pub fn num_states(&self) -> usize {
        self.emitted.len()
    }

    /// Number of arcs, loops included.
    pub fn num_arcs(&self) -> usize {
        self.incoming.ends.len() + self.stay_weights.iter().filter(|&&weight| weight > 0.0).count()
    }
}

/// A numerator: the ways to say one transcript.
#[derive(Debug, Clone)]
pub struct NumGraph {
    pub(crate) outputs: usize,
    /// The outputs that it uses.
    pub(crate) used: Vec<u32>,
    /// Places in `used` of the output on entering and while staying.
    pub(crate) emitted: Vec<[u32; 2]>,
    pub(crate) stay_weights: Vec<f64>,
    pub(crate) incoming: Arcs<f64>,
    pub(crate) outgoing: Arcs<f64>,
    pub(crate) initial: Vec<f64>,
    pub(crate) finals: Vec<f64>,
    /// Least number of frames from each state to an end; the largest number where there is none.
    pub(crate) remaining: Vec<u32>,
    min_frames: usize,
}

impl NumGraph {
    /// A graph over `outputs` outputs; see [`DenGraph::new`].
    ///
    /// # Errors
    /// A number or weight out of its domain.
    pub fn new(
        outputs: usize,
        states: &[MmiState],
        arcs: &[MmiArc],
        initial: &[f64],
        finals: &[f64],
    ) -> Result<Self, MmiGraphError> {
        check(outputs, states, arcs, &[("initial weights", initial), ("final weights", finals)])?;
        let mut used: Vec<u32> = states.iter().flat_map(|state| [state.enter, state.stay]).collect();
        used.sort_unstable();
        used.dedup();
        let place = |output: u32| used.partition_point(|&other| other < output) as u32;
        let emitted = states.iter().map(|state| [place(state.enter), place(state.stay)]).collect();
        let into = arcs.iter().map(|arc| (arc.to, arc.from, arc.weight)).collect();
        let out_of = arcs.iter().map(|arc| (arc.from, arc.to, arc.weight)).collect();
        let incoming: Arcs<f64> = Arcs::new(states.len(), into);
        let remaining = remaining(&incoming, finals);
        let starts = initial.iter().zip(&remaining).filter(|(weight, _)| **weight > 0.0);
        let min_frames = starts.map(|(_, &frames)| frames as usize).min().unwrap_or(u32::MAX as usize);
        Ok(Self {
            outputs,
            emitted,
            stay_weights: states.iter().map(|state| state.stay_weight).collect(),
            incoming,
            outgoing: Arcs::new(states.len(), out_of),
            initial: initial.to_vec(),
            finals: finals.to_vec(),
            remaining,
            min_frames,
            used,
        })
    }

    /// Frames of the shortest path.
    pub fn min_frames(&self) -> usize {
        self.min_frames
    }

    /// Number of states.
    pub fn num_states(&self) -> usize {
        self.emitted.len()
    }

    /// Number of arcs, loops included.
    pub fn num_arcs(&self) -> usize {
        self.incoming.ends.len() + self.stay_weights.iter().filter(|&&weight| weight > 0.0).count()
    }
}

/// Breadth first from the ends.
fn remaining(incoming: &Arcs<f64>, finals: &[f64]) -> Vec<u32> {
    let mut frames = vec![u32::MAX; finals.len()];
    let mut found: Vec<usize> = (0..finals.len()).filter(|&state| finals[state] > 0.0).collect();
    found.iter().for_each(|&state| frames[state] = 0);
    let mut next = 0;
    while let Some(&state) = found.get(next) {
        next += 1;
        for end in incoming.of(state).iter().filter(|end| end.weight > 0.0) {
            let before = end.state as usize;
            if frames[before] == u32::MAX {
                frames[before] = frames[state] + 1;
                found.push(before);
            }
        }
    }
    frames
}
