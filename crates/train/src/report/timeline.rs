//! Bars on lanes along one axis of time.

use super::ticks::{Ticks, drawable};
use super::{PALETTE, escape};
use std::fmt::Write as _;

/// The width of a lane in its own units: the page stretches it.
const WIDTH: f64 = 10_000.0;

/// A bar of a timeline.
#[derive(Debug, Clone)]
pub struct Span {
    /// Index of its lane.
    pub lane: usize,
    /// Where it begins.
    pub start: f64,
    /// Where it ends.
    pub end: f64,
    /// Text shown for it.
    pub label: String,
}

/// Draws `spans` on `lanes` from 0 to the latest end.
pub(super) fn timeline(caption: &str, unit: &str, lanes: &[String], spans: &[Span]) -> String {
    let finite = |span: &&Span| drawable(span.start) && drawable(span.end);
    let last = spans.iter().filter(finite).map(|span| span.end).fold(0.0, f64::max);
    let ticks = Ticks::linear(0.0, if last > 0.0 { last } else { 1.0 }, 4);
    let (_, end) = ticks.ends();
    let mut figure = String::from("<figure><div class=\"timeline\">\n");
    // Writing to a String cannot fail; here and below.
    for (i, lane) in lanes.iter().enumerate() {
        write!(
            figure,
            "<span>{}</span><div class=\"lane s{}\"><svg viewBox=\"0 0 {WIDTH} 1\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
            escape(lane),
            i % PALETTE.len(),
            escape(lane)
        )
        .ok();
        for span in spans.iter().filter(finite).filter(|span| span.lane == i) {
            let (from, to) = (span.start / end * WIDTH, span.end / end * WIDTH);
            write!(
                figure,
                "<rect x=\"{from:.1}\" y=\"0\" width=\"{:.1}\" height=\"1\"><title>{}</title></rect>",
                (to - from).max(WIDTH / 3000.0),
                escape(&span.label)
            )
            .ok();
        }
        figure.push_str("</svg></div>\n");
    }
    figure.push_str("<div class=\"axis\">");
    for (value, label) in ticks.values.iter().zip(&ticks.labels) {
        write!(figure, "<span style=\"left:{:.2}%\">{label}</span>", 100.0 * value / end).ok();
    }
    let caption =
        if unit.is_empty() { escape(caption) } else { format!("{} ({})", escape(caption), escape(unit)) };
    writeln!(figure, "</div></div><figcaption>{caption}</figcaption></figure>").ok();
    figure
}
