//! Charts as SVG text.

use super::escape;
use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 44.0;
const COLOURS: usize = 6;

/// An axis: its label and whether it is logarithmic.
#[derive(Debug, Clone)]
pub struct Axis {
    label: String,
    logarithmic: bool,
}

impl Axis {
    /// A linear axis.
    pub fn linear(label: &str) -> Self {
        Self { label: label.to_string(), logarithmic: false }
    }

    /// A logarithmic axis; values that are not positive are left out.
    pub fn log(label: &str) -> Self {
        Self { label: label.to_string(), logarithmic: true }
    }

    fn scale(&self, value: f64) -> f64 {
        if self.logarithmic { value.log10() } else { value }
    }

    fn unscale(&self, value: f64) -> f64 {
        if self.logarithmic { 10f64.powf(value) } else { value }
    }

    fn shows(&self, value: f64) -> bool {
        value.is_finite() && (!self.logarithmic || value > 0.0)
    }
}

/// A named line.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// (x, y)
    pub points: Vec<(f64, f64)>,
}

/// A line chart.
pub(super) fn lines(caption: &str, x: &Axis, y: &Axis, series: &[Series]) -> String {
    let visible = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
        points
            .iter()
            .filter(|(a, b)| x.shows(*a) && y.shows(*b))
            .map(|&(a, b)| (x.scale(a), y.scale(b)))
            .collect()
    };
    let all: Vec<(f64, f64)> = series.iter().flat_map(|s| visible(&s.points)).collect();
    let (x_low, x_high) = range(all.iter().map(|p| p.0));
    let (y_low, y_high) = range(all.iter().map(|p| p.1));
    let px = |v: f64| LEFT + (v - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT);
    let py = |v: f64| HEIGHT - BOTTOM - (v - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM);
    let mut svg = open(caption, HEIGHT);
    for i in 0..=4 {
        let part = f64::from(i) / 4.0;
        let (xv, yv) = (x_low + part * (x_high - x_low), y_low + part * (y_high - y_low));
        let (gx, gy) = (px(xv), py(yv));
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        draw(
            &mut svg,
            format_args!("<line class=\"grid\" x1=\"{LEFT}\" y1=\"{gy:.1}\" x2=\"{right}\" y2=\"{gy:.1}\"/>"),
        );
        draw(
            &mut svg,
            format_args!(
                "<text class=\"dim\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                gy + 4.0,
                number(y.unscale(yv))
            ),
        );
        draw(
            &mut svg,
            format_args!(
                "<text class=\"dim\" x=\"{gx:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 16.0,
                number(x.unscale(xv))
            ),
        );
    }
    for (i, line) in series.iter().enumerate() {
        let points = visible(&line.points);
        let path: Vec<String> = points.iter().map(|&(a, b)| format!("{:.1},{:.1}", px(a), py(b))).collect();
        let colour = i % COLOURS;
        draw(
            &mut svg,
            format_args!(
                "<polyline fill=\"none\" stroke=\"var(--s{colour})\" stroke-width=\"1.8\" points=\"{}\"><title>{}</title></polyline>",
                path.join(" "),
                escape(&line.name)
            ),
        );
        if let [(a, b)] = points[..] {
            draw(
                &mut svg,
                format_args!(
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"var(--s{colour})\"/>",
                    px(a),
                    py(b)
                ),
            );
        }
        let at = LEFT + 150.0 * i as f64;
        draw(
            &mut svg,
            format_args!(
                "<rect x=\"{at:.1}\" y=\"6\" width=\"12\" height=\"12\" rx=\"2\" fill=\"var(--s{colour})\"/><text x=\"{:.1}\" y=\"16\">{}</text>",
                at + 17.0,
                escape(&line.name)
            ),
        );
    }
    draw(
        &mut svg,
        format_args!(
            "<text class=\"dim\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 8.0,
            escape(&x.label)
        ),
    );
    draw(
        &mut svg,
        format_args!(
            "<text class=\"dim\" transform=\"translate(14,{:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            HEIGHT / 2.0,
            escape(&y.label)
        ),
    );
    svg + "</svg>"
}

/// A horizontal bar chart.
pub(super) fn bars(caption: &str, unit: &str, values: &[(String, f64)]) -> String {
    let largest = values.iter().map(|(_, v)| *v).filter(|v| v.is_finite()).fold(0.0f64, f64::max).max(1e-12);
    let height = 30.0 * values.len() as f64 + 8.0;
    let mut svg = open(caption, height);
    for (i, (name, value)) in values.iter().enumerate().filter(|(_, (_, v))| v.is_finite()) {
        let y = 30.0 * i as f64 + 4.0;
        let width = value.max(0.0) / largest * (WIDTH - 330.0);
        draw(
            &mut svg,
            format_args!("<text x=\"210\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", y + 15.0, escape(name)),
        );
        draw(
            &mut svg,
            format_args!(
                "<rect x=\"220\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"20\" rx=\"3\" fill=\"var(--s{})\"/>",
                i % COLOURS
            ),
        );
        draw(
            &mut svg,
            format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\">{} {}</text>",
                228.0 + width,
                y + 15.0,
                number(*value),
                escape(unit)
            ),
        );
    }
    svg + "</svg>"
}

/// A heat map; darker is more.
pub(super) fn matrix(caption: &str, rows: &[String], columns: &[String], values: &[Vec<f64>]) -> String {
    let largest =
        values.iter().flatten().copied().filter(|v| v.is_finite()).fold(0.0f64, f64::max).max(1e-12);
    let cell = ((WIDTH - 100.0) / columns.len().max(1) as f64).min(36.0);
    let height = cell * rows.len() as f64 + 44.0;
    let mut svg = open(caption, height);
    for (c, name) in columns.iter().enumerate() {
        draw(
            &mut svg,
            format_args!(
                "<text x=\"{:.1}\" y=\"30\" text-anchor=\"middle\">{}</text>",
                90.0 + cell * (c as f64 + 0.5),
                escape(name)
            ),
        );
    }
    for (r, name) in rows.iter().enumerate() {
        let y = 38.0 + cell * r as f64;
        draw(
            &mut svg,
            format_args!(
                "<text x=\"82\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                y + cell / 2.0 + 4.0,
                escape(name)
            ),
        );
        for (c, value) in values.get(r).into_iter().flatten().enumerate().filter(|(_, v)| v.is_finite()) {
            let opacity = (value / largest).clamp(0.0, 1.0);
            let title = format!("{name} → {}: {}", columns.get(c).map_or("", String::as_str), number(*value));
            draw(
                &mut svg,
                format_args!(
                    "<rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{cell:.1}\" height=\"{cell:.1}\" fill=\"var(--s0)\" fill-opacity=\"{opacity:.3}\"><title>{}</title></rect>",
                    90.0 + cell * c as f64,
                    escape(&title)
                ),
            );
        }
    }
    svg + "</svg>"
}

fn open(caption: &str, height: f64) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{}\">", escape(caption))
}

fn draw(svg: &mut String, shape: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    svg.write_fmt(shape).ok();
}

/// The values' range, never empty.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    match high - low {
        span if span > 0.0 => (low, high),
        _ if low.is_finite() => (low - 0.5, high + 0.5),
        _ => (0.0, 1.0),
    }
}

/// A number at a readable length.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if !(1e-3..1e6).contains(&size) => format!("{value:.1e}"),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
