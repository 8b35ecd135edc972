//! Self-contained HTML reports: no script, no external file, charts as inline SVG.

mod chart;
mod timeline;

use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::io;
use std::path::Path;

pub use chart::{Axis, Series};
pub use timeline::Span;

/// A part of a report: a heading, a sentence, a table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Heading.
    pub heading: String,
    /// What is to be seen, in a sentence.
    pub text: String,
    /// Names of the columns; none where there is no table.
    pub header: Vec<String>,
    /// Cells, row by row.
    pub rows: Vec<Vec<String>>,
}

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

    /// A table; columns whose cells are numbers align right.
    #[must_use]
    pub fn table(mut self, header: &[&str], rows: &[Vec<String>]) -> Self {
        self.body.push_str("<table><thead><tr>");
        for cell in header {
            self.push(format_args!("<th scope=\"col\">{}</th>", escape(cell)));
        }
        self.body.push_str("</tr></thead><tbody>\n");
        for row in rows {
            self.body.push_str("<tr>");
            for cell in row {
                let class = if cell.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+') {
                    " class=\"n\""
                } else {
                    ""
                };
                self.push(format_args!("<td{class}>{}</td>", escape(cell)));
            }
            self.body.push_str("</tr>\n");
        }
        self.body.push_str("</tbody></table>\n");
        self
    }

    /// A section of a task.
    #[must_use]
    pub fn section(self, section: &Section) -> Self {
        let page = self.heading(&section.heading).paragraph(&section.text);
        if section.rows.is_empty() {
            return page;
        }
        page.table(&section.header.iter().map(String::as_str).collect::<Vec<_>>(), &section.rows)
    }

    /// A line chart.
    #[must_use]
    pub fn lines(mut self, caption: &str, x: &Axis, y: &Axis, series: &[Series]) -> Self {
        self.push(format_args!(
            "<figure>{}<figcaption>{}</figcaption></figure>\n",
            chart::lines(caption, x, y, series),
            escape(caption)
        ));
        self
    }

    /// A horizontal bar chart of non-negative values.
    #[must_use]
    pub fn bars(mut self, caption: &str, unit: &str, values: &[(String, f64)]) -> Self {
        self.push(format_args!(
            "<figure>{}<figcaption>{}</figcaption></figure>\n",
            chart::bars(caption, unit, values),
            escape(caption)
        ));
        self
    }

    /// A heat map of counts: `values[row][column]`.
    #[must_use]
    pub fn matrix(mut self, caption: &str, rows: &[String], columns: &[String], values: &[Vec<f64>]) -> Self {
        self.push(format_args!(
            "<figure>{}<figcaption>{}</figcaption></figure>\n",
            chart::matrix(caption, rows, columns, values),
            escape(caption)
        ));
        self
    }

    /// Bars on lanes along an axis of time.
    #[must_use]
    pub fn timeline(mut self, caption: &str, unit: &str, lanes: &[String], spans: &[Span]) -> Self {
        self.push(format_args!(
            "<figure>{}<figcaption>{}</figcaption></figure>\n",
            timeline::timeline(caption, unit, lanes, spans),
            escape(caption)
        ));
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

const STYLE: &str = "\
:root{--bg:#fff;--fg:#1c2330;--dim:#667085;--line:#d7dce3;--s0:#2563eb;--s1:#d9480f;--s2:#0f8a5f;--s3:#8b3fd1;--s4:#b38600;--s5:#c2255c}\
@media(prefers-color-scheme:dark){:root{--bg:#12161d;--fg:#e6e9ef;--dim:#98a2b3;--line:#333b48;--s0:#7aa2ff;--s1:#ff9a62;--s2:#4cc79a;--s3:#c08bff;--s4:#e3b93c;--s5:#ff7ba5}}\
body{background:var(--bg);color:var(--fg);font:16px/1.55 system-ui,sans-serif;margin:0}main{max-width:56rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}table{border-collapse:collapse;margin:1rem 0;width:100%}\
th,td{border-bottom:1px solid var(--line);padding:.35rem .6rem;text-align:left}td.n{text-align:right;font-variant-numeric:tabular-nums}\
figure{margin:1.5rem 0}figcaption{color:var(--dim);font-size:.9rem}svg{width:100%;height:auto}\
pre{background:color-mix(in srgb,var(--fg) 6%,var(--bg));padding:.8rem;overflow-x:auto;border-radius:6px}\
svg text{fill:var(--fg);font:12px system-ui,sans-serif}svg .dim{fill:var(--dim)}svg .grid{stroke:var(--line)}";

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
        assert_eq!(html.matches("<svg").count(), 4);
        assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    }
}
