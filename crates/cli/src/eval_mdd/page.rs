//! The report page of `auricle eval mdd`.

use auricle_train::report::{Axis, Report, Series};
use serde_json::Value;

/// A page of what [`super::evaluate`] found.
pub fn page(title: &str, scores: &Value) -> Report {
    let number = |pointer: &str| scores.pointer(pointer).and_then(Value::as_f64);
    let percent = |value: Option<f64>| value.map_or("–".to_string(), |x| format!("{:.1} %", 100.0 * x));
    let rows: Vec<Vec<String>> = ["stream", "classifier", "fused"]
        .into_iter()
        .map(|kind| {
            let of = |name: &str| percent(number(&format!("/{kind}/{name}")));
            let interval = scores.pointer(&format!("/{kind}/f1_interval"));
            vec![
                kind.to_string(),
                of("f1"),
                interval.map_or("–".to_string(), interval_of),
                of("precision"),
                of("recall"),
                of("false_rejection_rate"),
                of("false_acceptance_rate"),
            ]
        })
        .collect();
    let phones = number("/phones").unwrap_or(0.0);
    let wrong = number("/mispronounced").unwrap_or(0.0);
    let mut page = Report::new(title)
        .paragraph(&format!(
            "{phones} phones, {wrong} of them mispronounced ({:.1} %): a verdict by lot has that average precision. Intervals are 95 % bootstrap intervals over speakers.",
            100.0 * wrong / phones.max(1.0)
        ))
        .heading("Detection")
        .table(&["verdicts of", "F1", "95 % interval", "precision", "recall", "FRR", "FAR"], &rows)
        .paragraph(&format!(
            "Average precision of the classifier: {}. Expected calibration error: {}.",
            percent(number("/average_precision")),
            percent(number("/calibration_error"))
        ));
    let points = |name: &str, x: &str, y: &str| -> Vec<(f64, f64)> {
        let list = scores.get(name).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|point| Some((point.get(x)?.as_f64()?, point.get(y)?.as_f64()?))).collect()
    };
    let curve =
        Series { name: "classifier".into(), points: points("precision_recall", "recall", "precision") };
    page =
        page.lines("Precision against recall", &Axis::linear("recall"), &Axis::linear("precision"), &[curve]);
    let seen =
        Series { name: "seen".into(), points: points("reliability", "mean_probability", "share_wrong") };
    let ideal = Series { name: "as it should be".into(), points: vec![(0.0, 0.0), (1.0, 1.0)] };
    page = page.lines(
        "Share of mispronounced phones against the probability that the classifier gives",
        &Axis::linear("probability"),
        &Axis::linear("share"),
        &[seen, ideal],
    );
    if let Some(pcc) = number("/phone_pcc") {
        page = page.heading("Scores of phones").paragraph(&format!(
            "Correlation with the annotators' scores: {pcc:.3} ({}); mean squared error {:.3} on the scale of 0 to 2.",
            scores.get("phone_pcc_interval").map_or("–".to_string(), interval_of),
            number("/phone_mse").unwrap_or(f64::NAN)
        ));
    }
    for (name, label) in [("scorer_f", "scorer F"), ("scorer_m", "scorer M")] {
        if scores.get(name).is_some() {
            let of = |field: &str| percent(number(&format!("/{name}/{field}")));
            page = page.paragraph(&format!(
                "Diagnosis, {label}: F1 {}, diagnosis error rate {}, phone error rate {}.",
                of("f1"),
                of("diagnosis_error_rate"),
                of("phone_error_rate")
            ));
        }
    }
    let by_phone: Vec<Vec<String>> = scores
        .get("by_phone")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|row| {
            let of = |name: &str| row.get(name).map_or(String::new(), |v| v.to_string().replace('"', ""));
            vec![of("phone"), of("said"), of("mispronounced"), of("found"), of("false_alarms")]
        })
        .collect();
    page.heading("By canonical phone")
        .paragraph("At the classifier's threshold; phones with most mistakes first.")
        .table(&["phone", "said", "mispronounced", "found", "false alarms"], &by_phone)
}

/// `[low, high]` or `{"low", "high"}` in words.
fn interval_of(value: &Value) -> String {
    let pair = |low: Option<&Value>, high: Option<&Value>| {
        Some(format!("{:.3} to {:.3}", low?.as_f64()?, high?.as_f64()?))
    };
    pair(value.get(0), value.get(1))
        .or_else(|| pair(value.get("low"), value.get("high")))
        .unwrap_or("–".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_of_whatever_there_is() {
        let scores = json!({
            "phones": 10, "mispronounced": 2,
            "classifier": {"f1": 0.5, "f1_interval": {"low": 0.1, "high": 0.9}, "precision": 0.4, "recall": 0.6},
            "precision_recall": [{"recall": 0.5, "precision": 1.0}, {"recall": 1.0, "precision": 0.4}],
            "by_phone": [{"phone": "th", "said": 4, "mispronounced": 2, "found": 1, "false_alarms": 1}],
        });
        let html = page("run", &scores).html();
        for expected in ["20.0 %", "50.0 %", "0.100 to 0.900", "th"] {
            assert!(html.contains(expected), "{expected}");
        }
        assert!(page("empty", &json!({})).html().contains("empty"));
    }
}
