//! What a text is made of before it becomes latents: phones, and silence between words.

use auricle_text::phones::Phone;
use auricle_text::{PromptError, Pronouncer};

/// The class of silence; phones are numbered as in [`Phone::ALL`].
pub const SILENCE: u32 = Phone::COUNT as u32;
/// Number of units.
pub const UNITS: usize = Phone::COUNT + 1;

/// The name of a unit.
pub fn name(unit: u32) -> &'static str {
    Phone::from_index(unit as usize).map_or("sil", Phone::name)
}

/// The words of a text as phones.
///
/// # Errors
/// A text that has no words, or is too long.
pub fn words(pronouncer: &Pronouncer, text: &str) -> Result<Vec<Vec<u32>>, PromptError> {
    Ok(spoken(pronouncer, text)?.1)
}

/// A text as it is said ([`auricle_text::spoken`]: numbers, money and abbreviations in words), and its words as phones.
///
/// # Errors
/// As [`words`].
pub fn spoken(pronouncer: &Pronouncer, text: &str) -> Result<(String, Vec<Vec<u32>>), PromptError> {
    let prompt = pronouncer.prompt(&auricle_text::spoken(text))?;
    let said: Vec<&str> = prompt.words.iter().map(|word| word.text.as_str()).collect();
    let phones: Vec<u32> = prompt.phones().iter().map(|phone| phone.index() as u32).collect();
    let words = prompt.boundaries(&[]).into_iter().map(|word| phones[word].to_vec()).collect();
    Ok((said.join(" "), words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_text::Lexicon;

    #[test]
    fn texts_are_read_as_they_are_said() {
        let pronouncer = Pronouncer::new(Lexicon::common(), None);
        let said = |text: &str| spoken(&pronouncer, text).unwrap().0;
        assert_eq!(said("The 22nd, 3.5 or 70?"), "the twenty second three point five or seventy");
        let words =
            "doctor D AA K T ER\ndollars D AA L ER Z\ncents S EH N T S\npercent P ER S EH N T\nlee L IY\n";
        let pronouncer = pronouncer.with_overlay(Lexicon::parse(words, "test").unwrap());
        let said = |text: &str| spoken(&pronouncer, text).unwrap().0;
        assert_eq!(said("Dr. Lee: $3.50, 50%"), "doctor lee three dollars and fifty cents fifty percent");
        assert_eq!(super::words(&pronouncer, "Dr. Lee").unwrap().len(), 2);
    }
}
