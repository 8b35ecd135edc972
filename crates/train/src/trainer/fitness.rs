//! Which utterances a task can be trained on: asked before hours of training come to one that it cannot.

use crate::selection::LeftOut;
use crate::{Recipe, TaskKind, TrainError};
use auricle_data::Utterance;
use std::path::Path;

/// Most utterances that a message lists.
const SHOWN: usize = 5;
/// A share of a list from which on the list, and not single utterances, is what does not fit.
const WHOLE: f64 = 0.05;

/// Asks of every utterance whether the task can use it.
pub(super) fn check(
    recipe: &Recipe,
    train: &[Utterance],
    validation: &[Utterance],
    usable: impl Fn(&Utterance) -> Result<(), String>,
) -> Result<(), TrainError> {
    let find = |set: &'static str, utterances: &[Utterance]| -> Vec<String> {
        let bad = |u: &Utterance| usable(u).err().map(|reason| format!("{set} utterance {}: {reason}", u.id));
        utterances.iter().filter_map(bad).collect()
    };
    let mut found = find("training", train);
    found.extend(find("validation", validation));
    if found.is_empty() {
        return Ok(());
    }
    let all = train.len() + validation.len();
    // Only then: the advice is for vocabularies that lack the letters of a language.
    let route = if recipe.task == TaskKind::Ctc && found.len() as f64 > WHOLE * all as f64 && found.len() > 1
    {
        "; where a whole language cannot be written, `auricle tokenizer train` makes a vocabulary of its own for \
         `--set model.tokenizer=FILE`"
    } else {
        ""
    };
    Err(TrainError::Data(format!(
        "{} utterances cannot be used; {} writes lists without them{route}:{}",
        found.len(),
        mend(recipe),
        listed(&found)
    )))
}

/// The command that drops what cannot be used.
fn mend(recipe: &Recipe) -> String {
    let lists: Vec<String> = recipe.data.train.iter().chain(&recipe.data.validation).map(quoted).collect();
    // What can be spelled and aligned is known of recognisers only.
    let of_recipe = if recipe.task == TaskKind::Ctc { " --recipe RECIPE" } else { "" };
    format!("`auricle data check {} --needs-text{of_recipe} --fix FOLDER`", lists.join(" "))
}

/// A path as a shell takes it.
fn quoted(path: impl AsRef<Path>) -> String {
    let text = path.as_ref().display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Lines of the first ones, and how many more there are.
fn listed(found: &[String]) -> String {
    let shown = found.iter().take(SHOWN).map(|line| format!("\n  {line}")).collect::<String>();
    match found.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{shown}\n  and {more} more"),
        _ => shown,
    }
}

/// The utterances that the task can align, and of the others why it cannot.
pub(super) fn aligned(
    utterances: Vec<Utterance>,
    fault: impl Fn(&Utterance) -> Option<String>,
) -> (Vec<Utterance>, Vec<String>) {
    let mut reasons = Vec::new();
    let kept = utterances.into_iter().filter(|utterance| match fault(utterance) {
        Some(reason) => {
            reasons.push(format!("{}: {reason}", utterance.id));
            false
        }
        None => true,
    });
    (kept.collect(), reasons)
}

/// What the user should know of utterances that do not count.
pub(super) fn warnings(
    recipe: &Recipe,
    left_out: LeftOut,
    training: &[String],
    validation: &[String],
) -> Vec<String> {
    let mut warnings = Vec::new();
    if left_out.long > 0 {
        warnings.push(format!(
            "{} training utterances are longer than data.max_secs = {}; they are left out",
            left_out.long, recipe.data.max_secs
        ));
    }
    if !training.is_empty() {
        warnings.push(format!(
            "{} training utterances cannot be aligned: their text is too long for their sound. They are left out; \
             correct the text or the duration:{}",
            training.len(),
            listed(training)
        ));
    }
    if !validation.is_empty() {
        warnings.push(format!(
            "{} validation utterances cannot be aligned: they count in error rates, and not in the loss:{}",
            validation.len(),
            listed(validation)
        ));
    }
    warnings
}

/// Nothing to train on, and why.
pub(super) fn nothing_left(left_out: LeftOut, cannot_align: &[String]) -> TrainError {
    let LeftOut { short, long, beyond } = left_out;
    TrainError::Data(format!(
        "no training utterance is left: {short} are shorter than data.min_secs, {long} longer than data.max_secs, \
         {beyond} have no room in data.subset_minutes, {} cannot be aligned{}",
        cannot_align.len(),
        listed(cannot_align)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(task: &str) -> Recipe {
        let text = format!(
            "task = '{task}'\ndata = {{ train = ['a.jsonl', 'my data/b.jsonl'] }}\n\
             schedule = {{ kind = 'constant' }}\ntrain = {{ steps = 1 }}\n"
        );
        toml::from_str(&text).unwrap()
    }

    fn utterances(count: usize) -> Vec<Utterance> {
        (0..count).map(|i| Utterance::new(format!("u{i}"), "x.wav", 1.0)).collect()
    }

    #[test]
    fn the_command_names_the_lists_and_what_decides() {
        let refuse = |task: &str, bad: usize, all: usize| {
            let usable = |u: &Utterance| {
                let number: usize = u.id[1..].parse().unwrap();
                if number < bad { Err("no token spells `é`".to_string()) } else { Ok(()) }
            };
            check(&recipe(task), &utterances(all), &[], usable).unwrap_err().to_string()
        };
        let one = refuse("ctc", 1, 100);
        let command =
            "`auricle data check a.jsonl 'my data/b.jsonl' --needs-text --recipe RECIPE --fix FOLDER`";
        assert!(one.contains(command), "{one}");
        assert!(!one.contains("tokenizer train"), "{one}");
        let all = refuse("ctc", 50, 100);
        assert!(all.contains("tokenizer train") && all.contains("and 45 more"), "{all}");
        assert!(!refuse("cca_mdd", 1, 1).contains("--recipe"));
        assert!(check(&recipe("ctc"), &utterances(3), &[], |_| Ok(())).is_ok());
    }

    #[test]
    fn what_cannot_be_aligned_is_left_out_and_listed() {
        let fault =
            |u: &Utterance| (u.id != "u1").then(|| "1 output frames, needs 9 for 9 tokens".to_string());
        let (kept, reasons) = aligned(utterances(9), fault);
        assert_eq!((kept.len(), kept[0].id.as_str(), reasons.len()), (1, "u1", 8));
        let told = warnings(&recipe("ctc"), LeftOut { long: 3, ..LeftOut::default() }, &reasons, &[]);
        assert!(told[0].contains("data.max_secs = 30"), "{told:?}");
        assert!(told[1].contains("u0: 1 output frames") && told[1].contains("and 3 more"), "{told:?}");
        let nothing = nothing_left(LeftOut { short: 2, ..LeftOut::default() }, &reasons).to_string();
        assert!(nothing.contains("2 are shorter") && nothing.contains("8 cannot be aligned"), "{nothing}");
    }
}
