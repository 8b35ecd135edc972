//! Timelines as Chrome traces (open in `chrome://tracing` or Perfetto).

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::cycles::Timeline;
use super::ir::{CoreKind, Pipe, Program};
use crate::npu::Basis;
use crate::npu::spec::DeviceSpec;

/// The process that holds one bar for every program.
const PROGRAMS: usize = 0;

/// A trace that is being written: programs one after another, a process for every core, a thread for every pipe, times
/// in microseconds.
pub struct Trace<'a, W: Write> {
    out: W,
    spec: &'a DeviceSpec,
    /// Cycles of the programs so far.
    now: f64,
    /// Processes of the cores of each kind, by their number among those.
    processes: BTreeMap<(CoreKind, usize), usize>,
}

impl<'a, W: Write> Trace<'a, W> {
    /// A trace of programs on a device.
    ///
    /// # Errors
    /// As of the writer; so are those of the other functions.
    pub fn begin(mut out: W, spec: &'a DeviceSpec) -> io::Result<Self> {
        let basis = Basis::Modelled;
        write!(
            out,
            "{{\"otherData\":{{\"device\":{:?},\"basis\":\"{basis}\"}},\"traceEvents\":[\n\
             {{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":{PROGRAMS},\"args\":{{\"name\":\"programs ({basis})\"}}}}",
            spec.name
        )?;
        Ok(Self { out, spec, now: 0.0, processes: BTreeMap::new() })
    }

    /// Appends a program: its start, then the events of its timeline, which must have been asked for.
    pub fn add(&mut self, program: &Program, timeline: &Timeline) -> io::Result<()> {
        self.bar(&program.name, PROGRAMS, 0, [self.now, self.now + timeline.cycles])?;
        let mut numbers: BTreeMap<CoreKind, usize> = BTreeMap::new();
        let mut processes = Vec::with_capacity(program.cores.len());
        for core in &program.cores {
            let number = numbers.entry(core.kind).or_default();
            processes.push(self.process(core.kind, *number)?);
            *number += 1;
        }
        let begun = self.now + timeline.launch;
        for event in &timeline.events {
            let span = [begun + event.start, begun + event.end];
            self.bar(event.name, processes[event.core], event.pipe as usize, span)?;
        }
        self.now += timeline.cycles;
        Ok(())
    }

    /// Closes the trace; the writer.
    pub fn end(mut self) -> io::Result<W> {
        self.out.write_all(b"\n]}\n")?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// The process of a core, named when it is first met.
    fn process(&mut self, kind: CoreKind, number: usize) -> io::Result<usize> {
        if let Some(&process) = self.processes.get(&(kind, number)) {
            return Ok(process);
        }
        let process = PROGRAMS + 1 + self.processes.len();
        self.processes.insert((kind, number), process);
        write!(
            self.out,
            ",\n{{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":{process},\"args\":{{\"name\":\"{kind:?} core {number}\"}}}}"
        )?;
        for (thread, pipe) in Pipe::ALL.iter().enumerate() {
            let name = pipe.name();
            write!(
                self.out,
                ",\n{{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":{process},\"tid\":{thread},\"args\":{{\"name\":\"{name}\"}}}}"
            )?;
        }
        Ok(process)
    }

    fn bar(&mut self, name: &str, process: usize, thread: usize, [start, end]: [f64; 2]) -> io::Result<()> {
        let micros = |cycles: f64| 1e6 * self.spec.secs_from_cycles(cycles);
        write!(
            self.out,
            ",\n{{\"ph\":\"X\",\"name\":{name:?},\"pid\":{process},\"tid\":{thread},\"ts\":{:.4},\"dur\":{:.4}}}",
            micros(start),
            micros(end - start)
        )
    }
}
