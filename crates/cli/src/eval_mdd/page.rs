//! The report page of `auricle eval mdd`.

use auricle_train::report::{Axis, Report, Series};
use serde_json::Value;

/// A page of what [`super::evaluate`] found.
pub fn page(title: &str, scores: &Value) -> Report {
    let number = |pointer: &str| scores.pointer(pointer).and_then(Value::as_f64);
    let percent = |value: Option<f64>| value.map_or("–".to_string(), |x| format!("{:.1} %", 100.0 * x));
    let count = |pointer: &str| number(pointer).map_or("–".to_string(), |x| x.to_string());
    let rows: Vec<Vec<String>> = ["stream", "provisional", "classifier", "fused"]
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
                of("detection_accuracy"),
                of("average_precision"),
                count(&format!("/{kind}/true_acceptances")),
                count(&format!("/{kind}/false_rejections")),
                count(&format!("/{kind}/false_acceptances")),
                count(&format!("/{kind}/true_rejections")),
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
        .table(
            &[
                "verdicts of", "F1", "95 % interval", "precision", "recall", "FRR", "FAR", "accuracy",
                "average precision", "TA", "FR", "FA", "TR",
            ],
            &rows,
        )
        .paragraph(&format!(
            "Average precision of the classifier: {} ({}). Expected calibration error: {}.",
            percent(number("/average_precision")),
            scores.get("average_precision_interval").map_or("–".to_string(), interval_of),
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
    let labels = [
        ("scorer_f", "decoder, scorer F"),
        ("scorer_m", "decoder, scorer M"),
        ("fused_scorer_f", "fused, scorer F"),
        ("fused_scorer_m", "fused, scorer M"),
    ];
    let diagnoses: Vec<Vec<String>> = labels
        .into_iter()
        .filter(|(name, _)| scores.get(name).is_some())
        .map(|(name, label)| {
            let of = |field: &str| percent(number(&format!("/{name}/{field}")));
            let fields = ["f1", "precision", "recall", "false_rejection_rate", "false_acceptance_rate"];
            let more = ["diagnosis_error_rate", "phone_error_rate"];
            [label.to_string()].into_iter().chain(fields.into_iter().chain(more).map(of)).collect()
        })
        .collect();
    if !diagnoses.is_empty() {
        page = page.heading("Diagnosis").table(
            &["verdicts of", "F1", "precision", "recall", "FRR", "FAR", "DER", "phone error rate"],
            &diagnoses,
        );
    }
    if let Some(simulated) = scores.get("simulated") {
        let of = |name: &str| percent(simulated.get(name).and_then(Value::as_f64));
        page = page.paragraph(&format!(
            "Simulated mistakes: {} phones replaced, {} of them found, {} of these named; {} heard by the decoder; {} of the good phones rejected.",
            simulated.get("substituted").unwrap_or(&Value::Null),
            of("found"),
            of("named_of_found"),
            of("heard"),
            of("false_alarms")
        ));
    }
    let list = |name: &str| scores.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let text =
        |row: &Value, name: &str| row.get(name).map_or(String::new(), |v| v.to_string().replace('"', ""));
    let groups: Vec<Vec<String>> = list("by_group")
        .iter()
        .map(|row| {
            let of = |name: &str| percent(row.get(name).and_then(Value::as_f64));
            let counts = ["true_acceptances", "false_rejections", "false_acceptances", "true_rejections"];
            let rates = ["f1", "false_rejection_rate", "false_acceptance_rate", "diagnosis_error_rate"];
            let counts = counts.into_iter().map(|name| text(row, name));
            [text(row, "group")].into_iter().chain(counts).chain(rates.into_iter().map(of)).collect()
        })
        .collect();
    if !groups.is_empty() {
        page = page
            .heading("By first language")
            .paragraph("Fused verdicts, scorer M.")
            .table(&["first language", "TA", "FR", "FA", "TR", "F1", "FRR", "FAR", "DER"], &groups);
    }
    let by_phone: Vec<Vec<String>> = list("by_phone")
        .iter()
        .map(|row| {
            let counts = ["phone", "said", "mispronounced", "found", "false_alarms"];
            let others = ["perceived", "model_says"].map(|name| confusions(row.get(name)));
            counts.into_iter().map(|name| text(row, name)).chain(others).collect()
        })
        .collect();
    page.heading("By canonical phone")
        .paragraph("At the classifier's threshold; phones with most mistakes first. Behind them, where perceived phones are known, what annotators heard in their place and what the fused verdicts say was said.")
        .table(
            &["phone", "said", "mispronounced", "found", "false alarms", "annotators heard", "the model says"],
            &by_phone,
        )
}

/// The five most frequent others of a phone.
fn confusions(others: Option<&Value>) -> String {
    let others = others.and_then(Value::as_array).into_iter().flatten().take(5);
    let one = |other: &Value| Some(format!("{} ({})", other.get("phone")?.as_str()?, other.get("count")?));
    others.filter_map(one).collect::<Vec<_>>().join(", ")
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
            "fused_scorer_m": {"f1": 0.7, "diagnosis_error_rate": 0.25},
            "by_group": [{"group": "Hindi", "f1": 0.3, "true_rejections": 7}],
            "by_phone": [{"phone": "th", "said": 4, "mispronounced": 2, "found": 1, "false_alarms": 1,
                "perceived": [{"phone": "s", "count": 2}], "model_says": [{"phone": "f", "count": 1}, {"phone": "t", "count": 1}]}],
        });
        let html = page("run", &scores).html();
        for expected in
            ["20.0 %", "50.0 %", "0.100 to 0.900", "th", "25.0 %", "Hindi", "s (2)", "f (1), t (1)"]
        {
            assert!(html.contains(expected), "{expected}");
        }
        assert!(page("empty", &json!({})).html().contains("empty"));
    }
}
