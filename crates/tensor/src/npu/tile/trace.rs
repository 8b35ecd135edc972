//! Timelines as Chrome traces (open in `chrome://tracing` or Perfetto).

use std::fmt::Write as _;

use super::ir::Program;
use super::time::Timeline;
use crate::npu::Basis;
use crate::npu::spec::DeviceSpec;

/// JSON of the events of `timeline`: a process for every core, a thread for every pipe, microseconds.
pub fn chrome(program: &Program, timeline: &Timeline, spec: &DeviceSpec) -> String {
    let micros = |cycles: f64| spec.secs_from_cycles(cycles) * 1e6;
    let mut json = format!(
        "{{\"otherData\":{{\"program\":{:?},\"device\":{:?},\"basis\":\"{}\"}},\"traceEvents\":[",
        program.name,
        spec.name,
        Basis::Modelled
    );
    let mut separator = "";
    for (index, core) in program.cores.iter().enumerate() {
        let name = format!("{:?} core {index}", core.kind);
        // Writing to a String cannot fail; here and below.
        write!(
            json,
            "{separator}\n{{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":{index},\"args\":{{\"name\":{name:?}}}}}"
        )
        .ok();
        separator = ",";
    }
    for event in &timeline.events {
        write!(
            json,
            "{separator}\n{{\"ph\":\"X\",\"name\":\"{}\",\"pid\":{},\"tid\":\"{}\",\"ts\":{:.4},\"dur\":{:.4}}}",
            event.name,
            event.core,
            event.pipe.name(),
            micros(event.start),
            micros(event.end - event.start)
        )
        .ok();
        separator = ",";
    }
    json.push_str("\n]}\n");
    json
}
