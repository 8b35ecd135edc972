//! Bar charts and heat maps: tables whose cells are coloured, which break and scroll as tables do.

use super::ticks::number;
use super::{PALETTE, escape};
use std::fmt::Write as _;

/// A horizontal bar chart of what is finite.
pub(super) fn bars(caption: &str, unit: &str, values: &[(String, f64)]) -> String {
    let finite = || values.iter().enumerate().filter(|(_, (_, value))| value.is_finite());
    let largest = finite().map(|(_, (_, value))| *value).fold(0.0f64, f64::max);
    let mut figure = String::from("<figure><table class=\"bars\"><tbody>\n");
    for (i, (name, value)) in finite() {
        let share = if largest > 0.0 { 100.0 * value.max(0.0) / largest } else { 0.0 };
        // Writing to a String cannot fail; here and below.
        writeln!(
            figure,
            "<tr><th scope=\"row\">{}</th><td><i class=\"s{}\" style=\"width:{share:.1}%\"></i></td><td class=\"n\">{} {}</td></tr>",
            escape(name),
            i % PALETTE.len(),
            number(*value),
            escape(unit)
        )
        .ok();
    }
    writeln!(figure, "</tbody></table><figcaption>{}</figcaption></figure>", escape(caption)).ok();
    figure
}

/// A heat map; more colour is more. Cells that are zero stay empty.
pub(super) fn matrix(caption: &str, rows: &[String], columns: &[String], values: &[Vec<f64>]) -> String {
    let finite = values.iter().flatten().copied().filter(|value| value.is_finite());
    let largest = finite.fold(0.0f64, f64::max);
    let mut figure =
        String::from("<figure><div class=\"scroll\"><table class=\"matrix\"><thead><tr><td></td>");
    for name in columns {
        write!(figure, "<th scope=\"col\">{}</th>", escape(name)).ok();
    }
    figure.push_str("</tr></thead><tbody>\n");
    for (name, values) in rows.iter().zip(values) {
        write!(figure, "<tr><th scope=\"row\">{}</th>", escape(name)).ok();
        for (value, column) in values.iter().zip(columns) {
            let (text, share) = if value.is_finite() && *value != 0.0 {
                (number(*value), 60.0 * (value / largest.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0))
            } else {
                (String::new(), 0.0)
            };
            let title = escape(&format!("{name} → {column}"));
            write!(figure, "<td style=\"--share:{share:.0}%\" title=\"{title}\">{text}</td>").ok();
        }
        figure.push_str("</tr>\n");
    }
    writeln!(figure, "</tbody></table></div><figcaption>{}</figcaption></figure>", escape(caption)).ok();
    figure
}
