//! The report page of `auricle eval mdd`.

use auricle_cca_mdd::evaluation::{Detected, Diagnosed, Evaluation, GroupScores, Other, PhoneScores};
use auricle_text::mdd::Interval;
use auricle_train::report::{Axis, Report, Series};

/// A page of what was found.
pub fn page(title: &str, scores: &Evaluation) -> Report {
    let (phones, wrong) = (scores.phones, scores.mispronounced);
    let page = Report::new(title)
        .paragraph(&format!(
            "{phones} phones, {wrong} of them mispronounced ({:.1} %): a verdict by lot has that average precision. Intervals are 95 % bootstrap intervals over speakers.",
            100.0 * wrong as f64 / phones.max(1) as f64
        ));
    let page = detection(page, scores);
    let page = graded(page, scores);
    let page = diagnosis(page, scores);
    let page = groups(page, &scores.by_group);
    by_phone(page, &scores.by_phone)
}

fn detection(page: Report, scores: &Evaluation) -> Report {
    let row = |(name, kind): (&str, &Detected)| {
        let rates = &kind.rates;
        vec![
            name.to_string(),
            percent(rates.f1),
            interval(kind.f1_interval),
            percent(rates.precision),
            percent(rates.recall),
            percent(rates.false_rejection_rate),
            percent(rates.false_acceptance_rate),
            percent(rates.detection_accuracy),
            percent(kind.average_precision),
            rates.true_acceptances.to_string(),
            rates.false_rejections.to_string(),
            rates.false_acceptances.to_string(),
            rates.true_rejections.to_string(),
        ]
    };
    let kinds = [
        ("stream", &scores.stream),
        ("provisional", &scores.provisional),
        ("classifier", &scores.classifier),
        ("fused", &scores.fused),
    ];
    let head = [
        "verdicts of",
        "F1",
        "95 % interval",
        "precision",
        "recall",
        "FRR",
        "FAR",
        "accuracy",
        "average precision",
        "TA",
        "FR",
        "FA",
        "TR",
    ];
    let curve = scores.precision_recall.iter().map(|point| (point.recall, point.precision));
    let curve = Series { name: "classifier".into(), points: curve.collect() };
    let seen = scores.reliability.iter().map(|bin| (bin.mean_probability, bin.share_wrong));
    let seen = Series { name: "seen".into(), points: seen.collect() };
    let ideal = Series { name: "as it should be".into(), points: vec![(0.0, 0.0), (1.0, 1.0)] };
    page.heading("Detection")
        .table(&head, &kinds.map(row))
        .paragraph(&format!(
            "Average precision of the classifier: {} ({}). Expected calibration error: {}.",
            percent(scores.average_precision),
            interval(scores.average_precision_interval),
            percent(scores.calibration_error)
        ))
        .lines("Precision against recall", &Axis::linear("recall"), &Axis::linear("precision"), &[curve])
        .lines(
            "Share of mispronounced phones against the probability that the classifier gives",
            &Axis::linear("probability"),
            &Axis::linear("share"),
            &[seen, ideal],
        )
}

fn graded(page: Report, scores: &Evaluation) -> Report {
    let Some(graded) = &scores.graded else { return page };
    let number = |value: Option<f64>| value.map_or("–".to_string(), |x| format!("{x:.3}"));
    page.heading("Scores of phones").paragraph(&format!(
        "Correlation with the annotators' scores: {} ({}); mean squared error {} on the scale of 0 to 2.",
        number(graded.phone_pcc),
        interval(graded.phone_pcc_interval),
        number(graded.phone_mse)
    ))
}

fn diagnosis(mut page: Report, scores: &Evaluation) -> Report {
    let row = |(label, scores): (&str, &Diagnosed)| {
        vec![
            label.to_string(),
            percent(scores.rates.f1),
            percent(scores.rates.precision),
            percent(scores.rates.recall),
            percent(scores.rates.false_rejection_rate),
            percent(scores.rates.false_acceptance_rate),
            percent(scores.diagnosis_error_rate),
            percent(Some(scores.phone_error_rate)),
        ]
    };
    let kinds = [
        ("decoder, scorer F", &scores.scorer_f),
        ("decoder, scorer M", &scores.scorer_m),
        ("fused, scorer F", &scores.fused_scorer_f),
        ("fused, scorer M", &scores.fused_scorer_m),
    ];
    let known = kinds.into_iter().filter_map(|(label, scores)| Some((label, scores.as_ref()?)));
    let rows: Vec<Vec<String>> = known.map(row).collect();
    if !rows.is_empty() {
        let head = ["verdicts of", "F1", "precision", "recall", "FRR", "FAR", "DER", "phone error rate"];
        page = page.heading("Diagnosis").table(&head, &rows);
    }
    if let Some(simulated) = &scores.simulated {
        page = page.paragraph(&format!(
            "Simulated mistakes: {} phones replaced, {} of them found, {} of these named; {} heard by the decoder; {} of the good phones rejected.",
            simulated.substituted,
            percent(simulated.found),
            percent(simulated.named_of_found),
            percent(simulated.heard),
            percent(simulated.false_alarms)
        ));
    }
    page
}

fn groups(page: Report, groups: &[GroupScores]) -> Report {
    if groups.is_empty() {
        return page;
    }
    let row = |GroupScores { rates, group, diagnosis_error_rate }: &GroupScores| {
        vec![
            group.clone(),
            rates.true_acceptances.to_string(),
            rates.false_rejections.to_string(),
            rates.false_acceptances.to_string(),
            rates.true_rejections.to_string(),
            percent(rates.f1),
            percent(rates.false_rejection_rate),
            percent(rates.false_acceptance_rate),
            percent(*diagnosis_error_rate),
        ]
    };
    let rows: Vec<Vec<String>> = groups.iter().map(row).collect();
    page.heading("By first language")
        .paragraph("Fused verdicts, scorer M.")
        .table(&["first language", "TA", "FR", "FA", "TR", "F1", "FRR", "FAR", "DER"], &rows)
}

fn by_phone(page: Report, phones: &[PhoneScores]) -> Report {
    let row = |row: &PhoneScores| {
        vec![
            row.phone.clone(),
            row.said.to_string(),
            row.mispronounced.to_string(),
            row.found.to_string(),
            row.false_alarms.to_string(),
            others(&row.perceived),
            others(&row.model_says),
        ]
    };
    let rows: Vec<Vec<String>> = phones.iter().map(row).collect();
    page.heading("By canonical phone")
        .paragraph("At the classifier's threshold; phones with most mistakes first. Behind them, where perceived phones are known, what annotators heard in their place and what the fused verdicts say was said.")
        .table(
            &["phone", "said", "mispronounced", "found", "false alarms", "annotators heard", "the model says"],
            &rows,
        )
}

/// The five most frequent others of a phone.
fn others(others: &[Other]) -> String {
    let one = |other: &Other| format!("{} ({})", other.phone, other.count);
    others.iter().take(5).map(one).collect::<Vec<_>>().join(", ")
}

fn percent(value: Option<f64>) -> String {
    value.map_or("–".to_string(), |x| format!("{:.1} %", 100.0 * x))
}

fn interval(value: Option<Interval>) -> String {
    value.map_or("–".into(), |interval| format!("{:.3} to {:.3}", interval.low, interval.high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_of_whatever_there_is() {
        let rates = json!({"true_acceptances": 6, "false_rejections": 2, "false_acceptances": 1, "true_rejections": 1,
            "precision": 0.4, "recall": 0.6, "f1": 0.5, "false_rejection_rate": null,
            "false_acceptance_rate": null, "detection_accuracy": null});
        let with = |more: serde_json::Value| {
            let mut all = rates.clone();
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let detected =
            with(json!({"f1_interval": {"low": 0.1, "high": 0.9}, "detection_accuracy_interval": null,
            "average_precision": null}));
        let waits = json!({"p50": null, "p99": null, "phones": 0});
        let mut scores = json!({
            "phones": 10, "mispronounced": 2, "provisional": detected, "stream": detected, "classifier": detected,
            "fused": detected, "average_precision": null, "average_precision_interval": null,
            "best_on_this_set": null, "calibration_error": null, "reliability": [],
            "precision_recall": [{"threshold": 0.5, "recall": 0.5, "precision": 1.0, "true_rejections": 1,
                "false_rejections": 0}],
            "decoder_wait_secs": waits, "word_wait_secs": waits, "audio_secs": 1.0, "real_time_factor": 0.1,
            "wall_secs": 1.0,
            "fused_scorer_m": with(json!({"correct_diagnoses": 3, "diagnosis_errors": 1, "diagnosis_error_rate": 0.25,
                "f1_interval": null, "phone_error_rate": 0.125,
                "phone_error_rate_interval": {"low": 0.0, "high": 1.0}})),
            "by_group": [with(json!({"group": "Hindi", "diagnosis_error_rate": null}))],
            "by_phone": [{"phone": "th", "said": 4, "mispronounced": 2, "found": 1, "false_alarms": 1,
                "perceived": [{"phone": "s", "count": 2}],
                "model_says": [{"phone": "f", "count": 1}, {"phone": "t", "count": 1}]}],
        });
        let whole: Evaluation = serde_json::from_value(scores.clone()).unwrap();
        let html = page("run", &whole).html();
        for expected in
            ["20.0 %", "50.0 %", "0.100 to 0.900", "th", "25.0 %", "12.5 %", "Hindi", "s (2)", "f (1), t (1)"]
        {
            assert!(html.contains(expected), "{expected}");
        }
        assert!(whole.graded.is_none() && !html.contains("Scores of phones"));
        // What is written reads back, and a renamed number is an error and no 0 %.
        assert_eq!(
            serde_json::from_value::<Evaluation>(serde_json::to_value(&whole).unwrap()).unwrap(),
            whole
        );
        let fused = scores["fused"].as_object_mut().unwrap();
        let count = fused.remove("true_rejections").unwrap();
        fused.insert("rejections".into(), count);
        assert!(serde_json::from_value::<Evaluation>(scores).is_err());
    }
}
