//! The experts' scores, in either of the two forms that they are published in.

use crate::PrepError;
use crate::annotation::{self, Slot};
use crate::kaldi::lines;
use crate::listing::read_text;
use crate::set::Labels;
use auricle_text::{Perceived, Phone};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Phones below this count as mispronounced.
const MISPRONOUNCED_BELOW: f64 = 0.5;

/// The best score of a phone.
const BEST: f64 = 2.0;

/// What is known of the phones of the corpus.
#[derive(Debug)]
pub(super) enum Scores {
    /// `resource/scores.json`.
    Full { path: PathBuf, utterances: BTreeMap<String, Utterance> },
    /// `resource/phone_scores.csv` and `resource/text-phone`, which may be missing.
    Phones { path: PathBuf, rows: BTreeMap<String, Row>, words: BTreeMap<String, Vec<Vec<Phone>>> },
}

/// An utterance in `scores.json`. Scores may be missing where they are not known.
#[derive(Debug, Deserialize)]
pub(super) struct Utterance {
    accuracy: Option<f64>,
    completeness: Option<f64>,
    fluency: Option<f64>,
    prosodic: Option<f64>,
    total: Option<f64>,
    words: Vec<Word>,
}

#[derive(Debug, Deserialize)]
struct Word {
    #[serde(default)]
    text: String,
    accuracy: Option<f64>,
    stress: Option<f64>,
    total: Option<f64>,
    phones: Phones,
    #[serde(rename = "phones-accuracy")]
    phones_accuracy: Vec<f64>,
    /// Left out, null or empty where there are none.
    mispronunciations: Option<Vec<Mispronunciation>>,
}

/// `["W", "IY0"]` or `"W IY0"`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Phones {
    List(Vec<String>),
    Text(String),
}

#[derive(Debug, Deserialize)]
struct Mispronunciation {
    #[serde(rename = "canonical-phone")]
    canonical: String,
    index: usize,
    #[serde(rename = "pronounced-phone")]
    pronounced: String,
}

/// A row of `phone_scores.csv`.
#[derive(Debug)]
pub(super) struct Row {
    line: usize,
    phones: Vec<Phone>,
    scores: Vec<f64>,
}

impl Scores {
    /// Reads what there is in `resource`; nothing is no error.
    pub fn read(root: &Path) -> Result<Self, PrepError> {
        let resource = root.join("resource");
        let full = resource.join("scores.json");
        if full.is_file() {
            return Self::read_full(&full);
        }
        let path = resource.join("phone_scores.csv");
        let rows = if path.is_file() { read_rows(&path)? } else { BTreeMap::new() };
        let text_phone = resource.join("text-phone");
        let words = if text_phone.is_file() { read_words(&text_phone)? } else { BTreeMap::new() };
        Ok(Self::Phones { path, rows, words })
    }

    /// Reads a file in the form of `scores.json`.
    pub fn read_full(path: &Path) -> Result<Self, PrepError> {
        let utterances = serde_json::from_str(&read_text(path)?).map_err(|e| {
            PrepError::layout(path, format!("not the scores of this corpus: {e}; get the file again"))
        })?;
        Ok(Self::Full { path: path.to_owned(), utterances })
    }

    /// The labels of an utterance: none where nothing is known of it.
    ///
    /// # Errors
    /// Scores or phones that cannot be.
    pub fn of(&self, id: &str, text: &str) -> Result<Labels, PrepError> {
        let num_words = text.split_whitespace().count();
        let (path, labels) = match self {
            Self::Full { path, utterances } => {
                (path, utterances.get(id).map(|utterance| full_labels(utterance, num_words)))
            }
            Self::Phones { path, rows, words } => {
                let (row, words) = (rows.get(id), words.get(id));
                (path, Some(phone_labels(row, words.map(Vec::as_slice), num_words)))
            }
        };
        match labels {
            None => Ok(Labels::default()),
            Some(labels) => labels.map_err(|reason| {
                PrepError::layout(path, format!("utterance {id}: {reason}; correct it or get the file again"))
            }),
        }
    }
}

/// Refuses scores of phones that cannot be.
fn check(scores: &[f64], num_phones: usize) -> Result<(), String> {
    if scores.len() != num_phones {
        return Err(format!("{num_phones} phones but {} scores", scores.len()));
    }
    match scores.iter().position(|score| !(0.0..=BEST).contains(score)) {
        None => Ok(()),
        Some(index) => Err(format!("score {} of its phones is {}, not 0 to 2", index + 1, scores[index])),
    }
}

fn full_labels(utterance: &Utterance, num_words: usize) -> Result<Labels, String> {
    let (mut slots, mut scores, mut word_phones) = (Vec::new(), Vec::new(), Vec::new());
    let mut all_known = true;
    for (index, word) in utterance.words.iter().enumerate() {
        let in_word = |reason: String| format!("word {} (`{}`): {reason}", index + 1, shortened(&word.text));
        let canonical = word.phones.canonical().map_err(in_word)?;
        check(&word.phones_accuracy, canonical.len()).map_err(in_word)?;
        if canonical.is_empty() {
            return Err(in_word("no phones".to_owned()));
        }
        word_phones.push(canonical.len());
        match word.heard(&canonical) {
            Some(heard) => {
                let pairs = canonical.iter().zip(heard);
                slots.extend(pairs.map(|(&canonical, heard)| Slot::new(Perceived::Phone(canonical), heard)));
            }
            None => {
                all_known = false;
                slots.extend(
                    canonical
                        .iter()
                        .map(|&phone| Slot::new(Perceived::Phone(phone), Perceived::Phone(phone))),
                );
            }
        }
        scores.extend_from_slice(&word.phones_accuracy);
    }
    let mut labels = annotation::labels(&slots);
    if !all_known {
        labels.perceived_phones = None;
        labels.extra.remove("phone_errors");
    }
    labels.add("phone_scores", scores);
    let words_fit = word_phones.len() == num_words;
    if words_fit {
        labels.add("word_phones", word_phones);
    }
    let of_words = |score: fn(&Word) -> Option<f64>| -> Option<Vec<f64>> {
        utterance.words.iter().map(score).collect::<Option<_>>().filter(|_| words_fit)
    };
    let word_scores = [
        ("accuracy", of_words(|word| word.accuracy)),
        ("stress", of_words(|word| word.stress)),
        ("total", of_words(|word| word.total)),
    ];
    let utterance_scores = [
        ("accuracy", utterance.accuracy),
        ("completeness", utterance.completeness),
        ("fluency", utterance.fluency),
        ("prosodic", utterance.prosodic),
        ("total", utterance.total),
    ];
    add_known(&mut labels, "word_scores", word_scores);
    add_known(&mut labels, "utterance_scores", utterance_scores);
    Ok(labels)
}

/// Adds an object of those values that are known, if any are.
fn add_known<const N: usize>(labels: &mut Labels, name: &str, values: [(&str, Option<impl Into<Value>>); N]) {
    let known = values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
    let known: Map<String, Value> = known.collect();
    if !known.is_empty() {
        labels.add(name, known);
    }
}

impl Phones {
    fn canonical(&self) -> Result<Vec<Phone>, String> {
        match self {
            Self::List(list) => list.iter().map(|label| known(label.trim())).collect(),
            Self::Text(text) => text.split_whitespace().map(known).collect(),
        }
    }
}

fn known(label: &str) -> Result<Phone, String> {
    Phone::parse(label).ok_or_else(|| format!("`{}` is no phone", shortened(label)))
}

/// For messages.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

impl Word {
    /// What was heard for each phone; nothing where that is not said of every mispronounced one.
    fn heard(&self, canonical: &[Phone]) -> Option<Vec<Perceived>> {
        let mut heard: Vec<_> = canonical.iter().map(|&phone| Perceived::Phone(phone)).collect();
        let mut said = vec![false; canonical.len()];
        for error in self.mispronunciations.iter().flatten() {
            if *canonical.get(error.index)? != Phone::parse(&error.canonical)? {
                return None;
            }
            heard[error.index] = Perceived::from_speechocean(&error.pronounced).ok()?;
            said[error.index] = true;
        }
        let mut phones = self.phones_accuracy.iter().zip(said);
        phones.all(|(&score, said)| said || score >= MISPRONOUNCED_BELOW).then_some(heard)
    }
}

fn phone_labels(row: Option<&Row>, words: Option<&[Vec<Phone>]>, num_words: usize) -> Result<Labels, String> {
    let mut labels = Labels::default();
    let of_words = words.map(|words| words.concat());
    if let (Some(row), Some(of_words)) = (row, &of_words)
        && row.phones != *of_words
    {
        let (line, own) = (row.line, row.phones.len());
        return Err(format!("line {line}: {own} phones, which are not the {} of text-phone", of_words.len()));
    }
    let phones = row.map(|row| &row.phones).or(of_words.as_ref());
    labels.phones = phones.map(|phones| phones.iter().map(|phone| phone.symbol()).collect());
    if let Some(row) = row {
        labels.add("phone_scores", row.scores.clone());
    }
    if let Some(words) = words.filter(|words| words.len() == num_words) {
        labels.add("word_phones", words.iter().map(Vec::len).collect::<Vec<_>>());
    }
    Ok(labels)
}

/// `file_name,transcription,p_scores`, the phones and scores separated by blanks.
fn read_rows(path: &Path) -> Result<BTreeMap<String, Row>, PrepError> {
    let content = read_text(path)?;
    let mut rows = BTreeMap::new();
    for (line, row) in lines(path, &content)? {
        let failed = |id: &str, reason: &str| {
            let reason =
                format!("line {line}: {}: {reason}; correct it or get the file again", shortened(id));
            PrepError::layout(path, reason)
        };
        let mut parts = row.split(',').map(|part| part.trim().trim_matches('"'));
        let (Some(name), Some(phones), Some(scores), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(failed(row, "not `file_name,transcription,p_scores`"));
        };
        if line == 1 && name == "file_name" {
            continue;
        }
        let id = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let phones: Vec<_> =
            phones.split_whitespace().map(known).collect::<Result<_, _>>().map_err(|e| failed(id, &e))?;
        let number = |score: &str| {
            score.parse().map_err(|_| failed(id, &format!("the score `{}` is no number", shortened(score))))
        };
        let scores: Vec<f64> = scores.split_whitespace().map(number).collect::<Result<_, _>>()?;
        check(&scores, phones.len()).map_err(|e| failed(id, &e))?;
        if phones.is_empty() {
            return Err(failed(id, "no phones"));
        }
        if rows.insert(id.to_owned(), Row { line, phones, scores }).is_some() {
            return Err(failed(id, "comes twice"));
        }
    }
    Ok(rows)
}

/// `UTTERANCE.k  W_B IY0_E`, the phones of the k-th word from 0, to the words of each utterance.
fn read_words(path: &Path) -> Result<BTreeMap<String, Vec<Vec<Phone>>>, PrepError> {
    let content = read_text(path)?;
    let mut words: BTreeMap<String, Vec<Vec<Phone>>> = BTreeMap::new();
    for (line, row) in lines(path, &content)? {
        let failed = |reason: String| {
            PrepError::layout(path, format!("line {line}: {reason}; correct it or get the file again"))
        };
        let (key, phones) = row.split_once(char::is_whitespace).unwrap_or((row, ""));
        let split = key.rsplit_once('.').and_then(|(id, number)| Some((id, number.parse::<usize>().ok()?)));
        let Some((id, number)) = split else {
            return Err(failed(format!("`{}` is no utterance and number of a word", shortened(key))));
        };
        let bare = |label: &str| known(label.split_once('_').map_or(label, |(phone, _)| phone));
        let phones: Vec<_> = phones.split_whitespace().map(bare).collect::<Result<_, _>>().map_err(failed)?;
        let of_utterance = words.entry(id.to_owned()).or_default();
        if number != of_utterance.len() || phones.is_empty() {
            return Err(failed(format!(
                "`{}`: word {} of the utterance, with some phones, was expected",
                shortened(key),
                of_utterance.len()
            )));
        }
        of_utterance.push(phones);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn utterance(value: Value) -> Result<Labels, String> {
        full_labels(&serde_json::from_value(value).unwrap(), 1)
    }

    fn word(mispronunciations: Value) -> Value {
        json!({"words": [{"text": "THREE", "phones": ["TH", "R", "IY0"], "phones-accuracy": [0, 2, 0.4],
            "mispronunciations": mispronunciations}]})
    }

    #[test]
    fn what_was_heard_is_known_where_every_low_score_has_its_entry() {
        let entry = |index: usize, canonical: &str, pronounced: &str| json!({"canonical-phone": canonical, "index": index, "pronounced-phone": pronounced});
        let both = utterance(word(json!([entry(2, "IY", "IH*"), entry(0, "TH", "<DEL>")]))).unwrap();
        assert_eq!(both.perceived_phones.unwrap(), ["R", "IH"]);
        assert_eq!(
            both.extra["phone_errors"],
            json!([{"at": 0, "canonical": "TH", "perceived": null},
                   {"at": 2, "canonical": "IY", "perceived": "IH*"}])
        );
        assert_eq!(both.extra["phone_scores"], json!([0.0, 2.0, 0.4]));
        for unknown in [
            json!(null),
            json!([]),
            json!([entry(2, "IY", "IH")]),
            json!([entry(2, "IY", "IH"), entry(0, "S", "T")]),
            json!([entry(2, "IY", "IH"), entry(9, "TH", "T")]),
            json!([entry(2, "IY", "IH"), entry(0, "TH", "?")]),
        ] {
            let labels = utterance(word(unknown.clone())).unwrap();
            assert_eq!(labels.phones.as_ref().unwrap(), &["TH", "R", "IY"]);
            assert_eq!(
                (labels.perceived_phones, labels.extra.get("phone_errors")),
                (None, None),
                "{unknown}"
            );
        }
        let unk = utterance(word(json!([entry(2, "IY", "<unk>"), entry(0, "TH", "S")]))).unwrap();
        assert_eq!(unk.perceived_phones.unwrap(), ["S", "R", "err"]);
    }

    #[test]
    fn phones_are_a_list_or_a_string_and_missing_scores_are_left_out() {
        let text = json!({"total": 7, "words": [
            {"text": "WE", "phones": "W IY0", "phones-accuracy": [2, 1.8], "accuracy": 10, "total": 9.5}]});
        let labels = utterance(text).unwrap();
        assert_eq!(labels.phones.as_ref().unwrap(), &["W", "IY"]);
        assert_eq!(labels.phones, labels.perceived_phones);
        let expected = json!({"phone_scores": [2.0, 1.8], "word_phones": [2], "utterance_scores": {"total": 7.0},
            "word_scores": {"accuracy": [10.0], "total": [9.5]}});
        assert_eq!(Value::from(labels.extra), expected);
        let two = json!({"words": [{"phones": "W IY", "phones-accuracy": [2, 2]},
            {"phones": "AH", "phones-accuracy": [2]}]});
        assert_eq!(
            utterance(two).unwrap().extra.get("word_phones"),
            None,
            "the text has another number of words"
        );
    }

    #[test]
    fn impossible_scores_are_named() {
        let message = |phones: Value, scores: Value| {
            utterance(json!({"words": [{"text": "X", "phones": phones, "phones-accuracy": scores}]}))
                .unwrap_err()
        };
        assert!(message(json!(["W", "IY"]), json!([2])).contains("word 1 (`X`): 2 phones but 1 scores"));
        assert!(message(json!(["W"]), json!([2.5])).contains("is 2.5, not 0 to 2"));
        assert!(message(json!(["W"]), json!([-1])).contains("is -1, not 0 to 2"));
        assert!(message(json!(["QQ"]), json!([2])).contains("`QQ` is no phone"));
        assert!(message(json!([]), json!([])).contains("no phones"));
    }
}
