//! Self-contained HTML reports: no script, no external file, charts as inline SVG.

mod bars;
mod chart;
mod section;
mod ticks;
mod timeline;

use plotters::style::RGBColor;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

pub use chart::{Axis, Series};
pub use section::{Cell, Section, Word, WordError};
pub use timeline::Span;

const STYLE: &str = include_str!("report/style.css");

/// Colours of lines and bars: `--s0` to `--s7` of the stylesheet.
const PALETTE: [RGBColor; 8] = [
    RGBColor(0x25, 0x63, 0xeb),
    RGBColor(0xd9, 0x48, 0x0f),
    RGBColor(0x0f, 0x8a, 0x5f),
    RGBColor(0x8b, 0x3f, 0xd1),
    RGBColor(0xb3, 0x86, 0x00),
    RGBColor(0xc2, 0x25, 0x5c),
    RGBColor(0x0b, 0x8d, 0xb0),
    RGBColor(0x6b, 0x5a, 0x48),
];

/// Builds one page from top to bottom; the same calls give the same bytes.
#[derive(Debug, Default)]
pub struct Report {
    title: String,
    body: String,
}

impl Report {
    /// An empty page.
    pub fn new(title: &str) -> Self {
        Self { title: title.to_string(), body: String::new() }
    }

    /// A section heading.
    #[must_use]
    pub fn heading(mut self, text: &str) -> Self {
        self.push(format_args!("<h2>{}</h2>\n", escape(text)));
        self
    }

    /// A paragraph of plain text.
    #[must_use]
    pub fn paragraph(mut self, text: &str) -> Self {
        self.push(format_args!("<p>{}</p>\n", escape(text)));
        self
    }

    /// Text as it is, in a fixed-width font: a command, an alignment.
    #[must_use]
    pub fn code(mut self, text: &str) -> Self {
        self.push(format_args!("<pre>{}</pre>\n", escape(text)));
        self
    }

    /// A table; columns of numbers stand on the right.
    #[must_use]
    pub fn table(self, header: &[&str], rows: &[Vec<String>]) -> Self {
        let cells = |row: &Vec<String>| row.iter().cloned().map(Cell::from).collect();
        self.cells(header, &rows.iter().map(cells).collect::<Vec<_>>())
    }

    fn cells(mut self, header: &[&str], rows: &[Vec<Cell>]) -> Self {
        self.body.push_str("<div class=\"scroll\"><table><thead><tr>");
        let class = |column: usize| if is_numeric(rows, column) { " class=\"n\"" } else { "" };
        let classes: Vec<&str> = (0..header.len()).map(class).collect();
        for (cell, class) in header.iter().zip(&classes) {
            self.push(format_args!("<th scope=\"col\"{class}>{}</th>", escape(cell)));
        }
        self.body.push_str("</tr></thead><tbody>\n");
        for row in rows {
            self.body.push_str("<tr>");
            for (i, cell) in row.iter().enumerate() {
                let class = classes.get(i).copied().unwrap_or_default();
                self.push(format_args!("<td{class}>{}</td>", cell.html()));
            }
            self.body.push_str("</tr>\n");
        }
        self.body.push_str("</tbody></table></div>\n");
        self
    }

    /// A section of a task.
    #[must_use]
    pub fn section(self, section: &Section) -> Self {
        let page = self.heading(&section.heading).paragraph(&section.text);
        if section.rows.is_empty() {
            return page;
        }
        page.cells(&section.header.iter().map(String::as_str).collect::<Vec<_>>(), &section.rows)
    }

    /// A line chart; a sentence with the numbers where no line has two points.
    #[must_use]
    pub fn lines(mut self, caption: &str, x: &Axis, y: &Axis, series: &[Series]) -> Self {
        self.body.push_str(&chart::lines(caption, x, y, series));
        self
    }

    /// A horizontal bar chart of non-negative values.
    #[must_use]
    pub fn bars(mut self, caption: &str, unit: &str, values: &[(String, f64)]) -> Self {
        self.body.push_str(&bars::bars(caption, unit, values));
        self
    }

    /// A heat map of counts: `values[row][column]`.
    #[must_use]
    pub fn matrix(mut self, caption: &str, rows: &[String], columns: &[String], values: &[Vec<f64>]) -> Self {
        self.body.push_str(&bars::matrix(caption, rows, columns, values));
        self
    }

    /// Bars on lanes along an axis of time.
    #[must_use]
    pub fn timeline(mut self, caption: &str, unit: &str, lanes: &[String], spans: &[Span]) -> Self {
        self.body.push_str(&timeline::timeline(caption, unit, lanes, spans));
        self
    }

    /// The page.
    pub fn html(&self) -> String {
        let title = escape(&self.title);
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{title}</title><style>{STYLE}</style></head>\n<body><main><h1>{title}</h1>\n{}</main></body></html>\n",
            self.body
        )
    }

    /// Writes the page, atomically.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        auricle_io::atomic_write(path, self.html().as_bytes())
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        self.body.write_fmt(text).ok();
    }
}

/// Whether a column holds numbers, or dashes where there are none.
fn is_numeric(rows: &[Vec<Cell>], column: usize) -> bool {
    let cells = || rows.iter().filter_map(|row| row.get(column));
    cells().any(Cell::is_number) && cells().all(|cell| cell.is_number() || cell.is_missing())
}

/// Text in HTML and SVG.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_out_and_the_page_needs_nothing_else() {
        let series = [Series { name: "a<b".into(), points: vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)] }];
        let html = Report::new("<script>alert(1)</script>")
            .paragraph("\"x\" & y")
            .table(&["<th>"], &[vec!["</table>".into()]])
            .lines("loss", &Axis::linear("step"), &Axis::log("loss"), &series)
            .bars("wer", "%", &[("one".into(), 2.0)])
            .timeline(
                "course",
                "us",
                &["<lane>".into()],
                &[Span { lane: 0, start: 0.0, end: f64::NAN, label: "a".into() }],
            )
            .matrix("confusion", &["a".into()], &["b".into()], &[vec![3.0]])
            .html();
        assert!(
            !html.contains("<script")
                && !html.contains("</table>\"")
                && !html.contains("http://www.w3.org/1999")
        );
        assert!(!html.contains("NaN"), "a missing point must not reach the drawing");
        // The chart for wide and for narrow screens, and a lane of the timeline.
        assert_eq!(html.matches("<svg").count(), 3);
        assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    }

    #[test]
    fn columns_of_numbers_stand_on_the_right() {
        let row = |cells: [&str; 4]| cells.map(String::from).to_vec();
        let rows = [row(["a", "1.5 %", "0.1", "–"]), row(["2 b", "–", "one", "–"])];
        let html = Report::new("t").table(&["name", "WER", "mixed", "none"], &rows).html();
        assert_eq!(
            (html.matches("<th scope=\"col\" class=\"n\">WER").count(), html.matches("class=\"n\"").count()),
            (1, 3)
        );
    }

    #[test]
    fn the_dark_page_knows_every_colour_of_the_charts() {
        for (i, RGBColor(r, g, b)) in PALETTE.iter().enumerate() {
            let hex = format!("#{r:02X}{g:02X}{b:02X}");
            assert!(STYLE.contains(&format!("--s{i}: {};", hex.to_lowercase())), "{hex}");
            for property in ["stroke", "fill"] {
                let rule = format!("svg [{property}=\"{hex}\"] {{ {property}: var(--s{i}); }}");
                assert!(STYLE.contains(&rule), "{rule}");
            }
            assert_eq!(STYLE.matches(&format!("--s{i}: ")).count(), 2, "light and dark");
        }
    }
}
