//! Bars on lanes along one axis of time, as SVG text.

use super::escape;
use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 90.0;
const LANE: f64 = 26.0;

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
    let finite = |span: &&Span| span.start.is_finite() && span.end.is_finite() && span.lane < lanes.len();
    let last = spans.iter().filter(finite).map(|span| span.end).fold(1e-12, f64::max);
    let height = LANE * lanes.len() as f64 + 30.0;
    let x = |at: f64| LEFT + at / last * (WIDTH - LEFT - 10.0);
    let mut svg =
        format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">", escape(caption));
    // Writing to a String cannot fail; here and below.
    for (i, lane) in lanes.iter().enumerate() {
        let y = LANE * (i as f64 + 0.65);
        write!(svg, "<text x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>", LEFT - 6.0, escape(lane))
            .ok();
    }
    for span in spans.iter().filter(finite) {
        let (from, to) = (x(span.start), x(span.end));
        write!(
            svg,
            "<rect x=\"{from:.2}\" y=\"{:.1}\" width=\"{:.2}\" height=\"{:.1}\" fill=\"var(--s{})\"><title>{}</title></rect>",
            LANE * span.lane as f64 + 3.0,
            (to - from).max(0.3),
            LANE - 6.0,
            span.lane % 6,
            escape(&span.label)
        )
        .ok();
    }
    for tick in 0..=4 {
        let at = last * f64::from(tick) / 4.0;
        write!(
            svg,
            "<text class=\"dim\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.0} {}</text>",
            x(at).min(WIDTH - 30.0),
            height - 8.0,
            at,
            escape(unit)
        )
        .ok();
    }
    svg + "</svg>"
}
