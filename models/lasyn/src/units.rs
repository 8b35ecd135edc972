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

/// A text as it is said, numbers in words, and its words as phones.
///
/// # Errors
/// As [`words`].
pub fn spoken(pronouncer: &Pronouncer, text: &str) -> Result<(String, Vec<Vec<u32>>), PromptError> {
    let prompt = pronouncer.prompt(text)?;
    let said: Vec<&str> = prompt.words.iter().map(|word| word.text.as_str()).collect();
    let phones: Vec<u32> = prompt.phones().iter().map(|phone| phone.index() as u32).collect();
    let words = prompt.boundaries(&[]).into_iter().map(|word| phones[word].to_vec()).collect();
    Ok((said.join(" "), words))
}
