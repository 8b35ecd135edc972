//! Line charts, drawn by `plotters` as SVG.
//!
//! Each is drawn twice, for wide and for narrow screens, so that its texts keep their size; the stylesheet shows one.
//! The legend is a list below the drawing: it breaks into lines and meets nothing.

use super::ticks::{Ticks, drawable, number};
use super::{PALETTE, escape};
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::fmt::Write as _;
use std::ops::Range;

/// The backend draws on whole units: with several to a pixel, curves stay smooth.
const UNITS: u32 = 4;
/// Size of texts in pixels.
const FONT: f64 = 12.0;
/// The same as in the stylesheet, which replaces them in the dark.
const GRID: RGBColor = RGBColor(0xd7, 0xdc, 0xe3);
const DIM: RGBColor = RGBColor(0x66, 0x70, 0x85);

/// A drawing's class and its size in pixels.
struct Canvas {
    class: &'static str,
    width: u32,
    height: u32,
}

const CANVASES: [Canvas; 2] =
    [Canvas { class: "wide", width: 760, height: 300 }, Canvas { class: "narrow", width: 310, height: 240 }];

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

    fn shows(&self, value: f64) -> bool {
        drawable(value) && (!self.logarithmic || value > 1e-100)
    }

    fn ticks(&self, (low, high): (f64, f64), most: usize) -> Ticks {
        if self.logarithmic { Ticks::log(low, high, most) } else { Ticks::linear(low, high, most) }
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

/// A line chart in HTML; a sentence with the numbers where no line has two points.
pub(super) fn lines(caption: &str, x: &Axis, y: &Axis, series: &[Series]) -> String {
    let visible: Vec<Series> = series.iter().map(|line| visible(line, x, y)).collect();
    if visible.iter().all(|line| line.points.len() < 2) {
        return format!("<p>{}</p>\n", escape(&sentence(caption, x, &visible)));
    }
    let mut figure = String::from("<figure>");
    for canvas in &CANVASES {
        // Drawing into memory can only fail where `plotters` cannot: the numbers stay readable then.
        match draw(canvas, x, y, &visible) {
            Ok(drawing) => figure.push_str(&framed(canvas, caption, &drawing)),
            Err(_) => figure.push_str(&escape(&sentence(caption, x, &visible))),
        }
    }
    // A single line needs no name beside the caption.
    if visible.len() > 1 {
        figure.push_str("<ul class=\"legend\">");
        for (i, line) in visible.iter().enumerate() {
            let (colour, dashed) = (i % PALETTE.len(), if i < PALETTE.len() { "" } else { " dashed" });
            let empty = if line.points.is_empty() { " (no values)" } else { "" };
            // Writing to a String cannot fail; here and below.
            write!(figure, "<li><i class=\"s{colour}{dashed}\"></i>{}{empty}</li>", escape(&line.name)).ok();
        }
        figure.push_str("</ul>");
    }
    if caption != y.label {
        write!(figure, "<figcaption>{}</figcaption>", escape(caption)).ok();
    }
    figure + "</figure>\n"
}

/// The points that can be drawn.
fn visible(line: &Series, x: &Axis, y: &Axis) -> Series {
    let points = line.points.iter().copied().filter(|&(a, b)| x.shows(a) && y.shows(b));
    Series { name: line.name.clone(), points: points.collect() }
}

/// What there is to say of lines of at most one point.
fn sentence(caption: &str, x: &Axis, series: &[Series]) -> String {
    let points: Vec<String> = series
        .iter()
        .filter_map(|line| {
            let (at, value) = line.points.last()?;
            let name = if series.len() > 1 { format!("{} ", line.name) } else { String::new() };
            Some(format!("{name}{} at {} {}", number(*value), x.label, number(*at)))
        })
        .collect();
    if points.is_empty() {
        return format!("{caption}: no values.");
    }
    format!("{caption}: {}. One measurement makes no curve.", points.join("; "))
}

/// The drawing with a name that screen readers tell, and sized by the page.
fn framed(canvas: &Canvas, caption: &str, drawing: &str) -> String {
    // The backend's own opening tag has a fixed size and no name.
    let shapes = drawing.split_once('>').map_or("", |(_, shapes)| shapes);
    format!(
        "<svg class=\"{}\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">{shapes}",
        canvas.class,
        canvas.width * UNITS,
        canvas.height * UNITS,
        escape(caption)
    )
}

type Failed = Box<dyn std::error::Error>;

fn draw(canvas: &Canvas, x: &Axis, y: &Axis, series: &[Series]) -> Result<String, Failed> {
    let all = || series.iter().flat_map(|line| &line.points);
    let Canvas { width, height, .. } = *canvas;
    let (top, bottom) = (28, 46);
    let y_ticks = y.ticks(range(all().map(|p| p.1)), 5);
    let widest = y_ticks.labels.iter().map(|label| text_width(label)).fold(0.0, f64::max);
    let Beside { ticks: x_ticks, left, right } =
        fitting(x, range(all().map(|p| p.0)), width, (widest as u32 + 14).max(30));
    let plot = width.saturating_sub(left + right);

    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (width * UNITS, height * UNITS)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin_top(top * UNITS)
            .margin_right(right * UNITS)
            .x_label_area_size(bottom * UNITS)
            .y_label_area_size(left * UNITS)
            .build_cartesian_2d(Scale::new(x, &x_ticks), Scale::new(y, &y_ticks))?;
        // The backend takes a font's size by 1.24.
        let text = TextStyle::from(("sans-serif", FONT * 1.24 * f64::from(UNITS))).color(&DIM);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID.stroke_width(UNITS))
            .light_line_style(TRANSPARENT)
            .axis_style(GRID.stroke_width(UNITS))
            .set_all_tick_mark_size(4 * UNITS)
            .label_style(text.clone())
            .draw()?;
        // The name of the upward axis lies above it: turned text is hard to read, and long names have room.
        let unit = |at: u32| (at * UNITS) as i32;
        let (start, end) = (Pos::new(HPos::Left, VPos::Top), Pos::new(HPos::Right, VPos::Bottom));
        let name = cut(&y.label, f64::from(width) - 8.0);
        root.draw_text(&name, &text.pos(start), (unit(4), unit(4)))?;
        let name = cut(&x.label, f64::from(plot));
        root.draw_text(&name, &text.pos(end), (unit(width - right), unit(height) - 2 * UNITS as i32))?;

        let x_scale = Scale::new(x, &x_ticks);
        for (i, line) in series.iter().enumerate() {
            let colour = PALETTE[i % PALETTE.len()];
            let style = colour.stroke_width(2 * UNITS);
            let points = thinned(&line.points, |at| x_scale.part(at), plot);
            if let [point] = points[..] {
                chart.draw_series([Circle::new(point, 4 * UNITS, colour.filled())])?;
            } else if i < PALETTE.len() {
                chart.draw_series(LineSeries::new(points, style))?;
            } else {
                let dash = 3 * UNITS * (1 + i / PALETTE.len()) as u32;
                chart.draw_series(DashedLineSeries::new(points, dash, dash, style))?;
            }
        }
        root.present()?;
    }
    Ok(svg)
}

/// Marks along the width, and the margins on both sides.
struct Beside {
    ticks: Ticks,
    left: u32,
    right: u32,
}

/// As many marks as have room beside each other, the outer ones within the drawing.
fn fitting(axis: &Axis, ends: (f64, f64), width: u32, left: u32) -> Beside {
    let beside = |most: usize| {
        let ticks = axis.ticks(ends, most);
        let half = |label: Option<&String>| label.map_or(0.0, |label| text_width(label) / 2.0).ceil() as u32;
        let (first, last) = (half(ticks.labels.first()), half(ticks.labels.last()));
        Beside { left: left.max(first + 2), right: last + 4, ticks }
    };
    let fits = |Beside { ticks, left, right }: &Beside| {
        let (scale, room) = (Scale::new(axis, ticks), f64::from(width.saturating_sub(left + right)));
        let places = ticks.values.iter().zip(&ticks.labels);
        let places: Vec<(f64, f64)> =
            places.map(|(&value, label)| (room * scale.part(value), text_width(label))).collect();
        places.windows(2).all(|two| two[1].0 - two[0].0 > f64::midpoint(two[0].1, two[1].1) + 8.0)
    };
    (3..=8).rev().map(beside).find(fits).unwrap_or_else(|| beside(2))
}

/// An axis with its marks, as `plotters` asks for it.
struct Scale {
    axis: Axis,
    ticks: Ticks,
}

impl Scale {
    fn new(axis: &Axis, ticks: &Ticks) -> Self {
        Self { axis: axis.clone(), ticks: ticks.clone() }
    }

    /// Where a value lies: 0 at the low end, 1 at the high end.
    fn part(&self, value: f64) -> f64 {
        let (low, high) = self.ticks.ends();
        let [low, high, value] = [low, high, value].map(|value| self.axis.scale(value));
        (value - low) / (high - low)
    }
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        from + (f64::from(to - from) * self.part(*value)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.values.clone() }
    }

    fn range(&self) -> Range<f64> {
        let (low, high) = self.ticks.ends();
        low..high
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, value: &f64) -> String {
        let mark = self.ticks.values.iter().position(|mark| mark == value);
        mark.and_then(|mark| self.ticks.labels.get(mark)).cloned().unwrap_or_default()
    }
}

/// A line that looks the same at this width: of neighbours in one column of pixels, the first, last, lowest and highest.
fn thinned(points: &[(f64, f64)], part: impl Fn(f64) -> f64, columns: u32) -> Vec<(f64, f64)> {
    let column = |&(at, _): &(f64, f64)| (part(at) * f64::from(columns)) as u32;
    let mut kept = Vec::new();
    for group in points.chunk_by(|a, b| column(a) == column(b)) {
        let by_height = |a: &usize, b: &usize| group[*a].1.total_cmp(&group[*b].1);
        let all = || 0..group.len();
        let mut chosen: Vec<usize> =
            [Some(0), all().min_by(by_height), all().max_by(by_height), all().last()]
                .into_iter()
                .flatten()
                .collect();
        chosen.sort_unstable();
        chosen.dedup();
        kept.extend(chosen.into_iter().map(|i| group[i]));
    }
    kept
}

/// Lowest and highest.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

/// About the width of a text in pixels; rather too much.
fn text_width(text: &str) -> f64 {
    text.chars().map(|c| if c.is_ascii() { 0.6 * FONT } else { FONT }).sum()
}

/// A text that fits.
fn cut(text: &str, room: f64) -> String {
    if text_width(text) <= room {
        return text.to_string();
    }
    let mut kept = String::new();
    for c in text.chars() {
        if text_width(&kept) + 3.0 * FONT > room {
            break;
        }
        kept.push(c);
    }
    kept + "…"
}

#[cfg(test)]
mod tests;
