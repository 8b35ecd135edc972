//! Marks of sentences in texts that others have prepared for training.

use super::{SPECIAL, UNKNOWN};

/// The sentences of a line of text, as lists of units.
///
/// `units` gives those of words without marks. A line is one sentence; `<s>` and `</s>` begin and end one, so that a
/// line may hold several; `<unk>` is the unknown unit. The marks may be in capitals. Sentences without units are left
/// out.
///
/// ```
/// use auricle_text::lm::{Unit, sentences};
/// let words = |text: &str| Ok::<_, std::convert::Infallible>(Unit::Word.split(text));
/// let Ok(found) = sentences("<s> we call <unk> </s> <s> it </s>", words);
/// assert_eq!(found, [vec!["we", "call", "<unk>"], vec!["it"]]);
/// ```
///
/// # Errors
/// Those of `units`.
pub fn sentences<E>(
    line: &str,
    mut units: impl FnMut(&str) -> Result<Vec<String>, E>,
) -> Result<Vec<Vec<String>>, E> {
    let mark_of = |word: &str| SPECIAL.iter().position(|mark| word.eq_ignore_ascii_case(mark));
    if !line.contains('<') {
        let only = units(line)?;
        return Ok(if only.is_empty() { vec![] } else { vec![only] });
    }
    let mut found = vec![Vec::new()];
    let mut words: Vec<&str> = Vec::new();
    for word in line.split_whitespace().map(Some).chain([None]) {
        let mark = word.and_then(mark_of);
        if let (Some(word), None) = (word, mark) {
            words.push(word);
            continue;
        }
        let mut own = units(&words.join(" "))?;
        words.clear();
        let ends = mark.is_some_and(|mark| mark != UNKNOWN as usize);
        if mark == Some(UNKNOWN as usize) {
            own.push(SPECIAL[UNKNOWN as usize].to_owned());
        }
        if let Some(sentence) = found.last_mut() {
            sentence.extend(own);
        }
        if ends {
            found.push(Vec::new());
        }
    }
    found.retain(|sentence| !sentence.is_empty());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::{LmConfig, LmError, NgramLm, Unit};
    use crate::normalise;

    fn of(line: &str) -> Vec<String> {
        let Ok(found) =
            sentences(line, |text| Ok::<_, std::convert::Infallible>(Unit::Word.split(&normalise(text))));
        found.iter().map(|sentence| sentence.join(" ")).collect()
    }

    #[test]
    fn marks_part_sentences_and_are_no_words() {
        assert_eq!(of("We call it."), ["we call it"]);
        assert_eq!(of("<s> We call it. </s>"), ["we call it"]);
        assert_eq!(of("<S> A b </S> <S> c </S>"), ["a b", "c"]);
        assert_eq!(of("a <UNK> b </s>"), ["a <unk> b"]);
        assert_eq!(of("a < b"), ["a b"]);
        assert!(of("<s> </s>").is_empty() && of("").is_empty());
    }

    #[test]
    fn a_marked_text_gives_the_model_of_the_plain_one() {
        let train = |lines: &[&str]| {
            let texts =
                lines.iter().flat_map(|line| of(line)).map(|s| Unit::Word.split(&s)).collect::<Vec<_>>();
            NgramLm::train(texts, &LmConfig::default()).unwrap()
        };
        assert_eq!(train(&["<s> a b </s>", "<s> a c </s>"]), train(&["a b", "a c"]));
        let error = NgramLm::train([vec!["<s>", "a"]], &LmConfig::default()).unwrap_err();
        assert!(matches!(error, LmError::Mark(mark) if mark == "<s>"));
    }
}
