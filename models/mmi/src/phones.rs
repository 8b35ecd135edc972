//! Pronunciations of texts, and the graphs over them.

use crate::MmiConfig;
use auricle_decode::graph::{
    Arc as GraphArc, Denominator, Graph, GraphError, Numerator, Outputs, Transcript,
};
use auricle_rng::{Key, Purpose};
use auricle_tensor::ops::{DenGraph, MmiArc, MmiGraphError, MmiState, NumGraph};
use auricle_text::phone_lm::PhoneLm;
use auricle_text::units::{UNITS, units_of};
use auricle_text::{G2p, Lexicon, PromptError, PromptWord, Pronouncer, Pronunciation};
use auricle_train::TrainError;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Words of a text with their pronunciations.
pub struct Pronunciations {
    pronouncer: Pronouncer,
    hash: String,
}

impl Pronunciations {
    /// The dictionaries and the letter-to-sound model that a configuration names.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(config: &MmiConfig) -> Result<Self, TrainError> {
        let fail = |e: &dyn std::fmt::Display| TrainError::Recipe(e.to_string());
        let model = config.g2p.as_deref().map(G2p::load).transpose();
        let model = model.map_err(|e| fail(&format_args!("model.g2p: {e}")))?;
        let mut lexicon = if config.lexicon.is_empty() { Lexicon::common() } else { Lexicon::default() };
        for path in &config.lexicon {
            let read = Lexicon::read(path).map_err(|e| fail(&format_args!("model.lexicon: {e}")))?;
            lexicon.overlay(&read);
        }
        if lexicon.is_empty() && model.is_none() {
            return Err(fail(&"model.lexicon: the dictionaries hold no word, and there is no model.g2p"));
        }
        Ok(Self::new(lexicon, model))
    }

    /// Pronunciations from a dictionary, then from a letter-to-sound model.
    pub fn new(lexicon: Lexicon, model: Option<G2p>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for (word, pronunciations) in lexicon.iter() {
            hasher.update(word.as_bytes());
            for pronunciation in pronunciations {
                hasher.update(b" ");
                units_of(pronunciation).for_each(|unit| {
                    hasher.update(&unit.to_le_bytes());
                });
            }
            hasher.update(b"\n");
        }
        let mut pronouncer = Pronouncer::new(lexicon, model);
        // Transcripts are longer than prompts for learners; what the model is less sure of may be right.
        (pronouncer.max_words, pronouncer.max_characters) = (10_000, 100_000);
        pronouncer.letter_to_sound_best = 2;
        Self { pronouncer, hash: hasher.finalize().to_hex().to_string() }
    }

    /// Identifies the dictionary.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The words of a text.
    ///
    /// # Errors
    /// A word that cannot be pronounced, or no word.
    pub fn words(&self, text: &str) -> Result<Vec<PromptWord>, PromptError> {
        Ok(self.pronouncer.prompt(text)?.words)
    }
}

fn pairs(words: &[PromptWord]) -> Vec<(&str, &[Pronunciation])> {
    words.iter().map(|word| (word.text.as_str(), word.pronunciations.as_slice())).collect()
}

/// What an acoustic model of phones is about: its outputs, its phone language model and the graph of that.
pub struct System {
    /// The network's outputs.
    pub outputs: Outputs,
    /// The phone language model.
    pub lm: PhoneLm,
    /// Its graph.
    pub denominator: Denominator,
    /// The same for the loss.
    pub den: Arc<DenGraph>,
}

impl System {
    /// The system of a phone language model.
    ///
    /// # Errors
    /// Numbers that do not fit.
    pub fn new(lm: PhoneLm, outputs: Outputs) -> Result<Self, MmiGraphError> {
        let denominator = Denominator::new(&lm, &outputs);
        let (states, arcs) = pieces(&denominator.graph);
        let den = DenGraph::new(
            outputs.count(),
            &states,
            &arcs,
            &denominator.start(),
            &denominator.occupancy,
            &denominator.graph.finals,
        )?;
        Ok(Self { outputs, lm, denominator, den: Arc::new(den) })
    }

    /// Estimated on transcripts, each drawn several times: ids and texts.
    ///
    /// # Errors
    /// A word that cannot be pronounced (with the utterance), or no text.
    pub fn estimate<'a>(
        config: &MmiConfig,
        pronunciations: &Pronunciations,
        transcripts: impl IntoIterator<Item = (&'a str, &'a str)>,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let mut texts = Vec::new();
        for (id, text) in transcripts {
            let words = pronunciations.words(text);
            let words = words.map_err(|e| TrainError::Data(format!("utterance {id}: {e}")))?;
            let choices: Vec<&[Pronunciation]> =
                words.iter().map(|word| word.pronunciations.as_slice()).collect();
            for draw in 0..config.draws {
                let key = Key::new(seed).epoch(draw as u64).utterance(id);
                texts.push(config.silence.draw(&choices, &mut key.stream(Purpose::Pronunciation)));
            }
        }
        let texts = || texts.iter().map(Vec::as_slice);
        let lm = PhoneLm::estimate(texts(), UNITS, config.phone_lm)
            .map_err(|e| TrainError::Data(e.to_string()))?;
        let outputs = match config.left_context_min_count {
            Some(count) => Outputs::left(config.topology, UNITS, texts(), count.saturating_mul(config.draws)),
            None => Outputs::mono(config.topology, UNITS),
        };
        Self::new(lm, outputs).map_err(|e| TrainError::Data(e.to_string()))
    }

    /// The ways to say words.
    ///
    /// # Errors
    /// There is none in the language model, or there are too many.
    pub fn numerator(&self, words: &[PromptWord]) -> Result<Numerator, GraphError> {
        Numerator::new(&Transcript::new(&pairs(words), true)?, &self.denominator)
    }

    /// A numerator for the loss.
    ///
    /// # Errors
    /// Numbers that do not fit.
    pub fn num(&self, graph: &Graph) -> Result<NumGraph, MmiGraphError> {
        let (states, arcs) = pieces(graph);
        let mut start = vec![0.0; states.len()];
        if let Some(first) = start.first_mut() {
            *first = 1.0;
        }
        NumGraph::new(self.outputs.count(), &states, &arcs, &start, &graph.finals)
    }

    /// A numerator without any path, whose utterance has no gradient.
    fn nothing(&self) -> Result<NumGraph, MmiGraphError> {
        let state = MmiState { enter: 0, stay: 0, stay_weight: 0.0 };
        NumGraph::new(self.outputs.count(), &[state], &[], &[1.0], &[0.0])
    }
}

fn pieces(graph: &Graph) -> (Vec<MmiState>, Vec<MmiArc>) {
    let state = |state: &auricle_decode::graph::State| MmiState {
        enter: state.enter,
        stay: state.stay,
        stay_weight: state.stay_weight,
    };
    let arc = |arc: &GraphArc| MmiArc { from: arc.from, to: arc.to, weight: arc.weight };
    (graph.states.iter().map(state).collect(), graph.arcs.iter().map(arc).collect())
}

/// What is said in an utterance.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its numerator; one without any path where the language model knows none.
    pub num: Arc<NumGraph>,
    /// Units of the first pronunciations, without silence.
    pub reference: Vec<u16>,
}

/// Texts that have been seen, with their graphs.
pub struct Transcripts {
    /// The system.
    pub system: Arc<System>,
    pronunciations: Pronunciations,
    said: Mutex<BTreeMap<String, Said>>,
    nothing: Arc<NumGraph>,
}

impl Transcripts {
    pub fn new(system: Arc<System>, pronunciations: Pronunciations) -> Result<Self, TrainError> {
        let nothing = system.nothing().map_err(|e| TrainError::Data(e.to_string()))?;
        Ok(Self { system, pronunciations, said: Mutex::default(), nothing: Arc::new(nothing) })
    }

    pub fn lexicon_hash(&self) -> &str {
        self.pronunciations.hash()
    }

    /// The graph and the reference of a text, made once.
    ///
    /// # Errors
    /// A word that cannot be pronounced, or too many ways to say the text, in words.
    pub fn get(&self, text: &str) -> Result<Said, String> {
        let lock = || self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(said) = lock().get(text) {
            return Ok(said.clone());
        }
        let words = self.pronunciations.words(text).map_err(|e| e.to_string())?;
        let num = match self.system.numerator(&words) {
            Ok(numerator) => Arc::new(self.system.num(&numerator.graph).map_err(|e| e.to_string())?),
            Err(GraphError::Impossible) => self.nothing.clone(),
            Err(error) => return Err(error.to_string()),
        };
        let first = words.iter().filter_map(|word| word.pronunciations.first());
        let reference = first.flat_map(|pronunciation| units_of(pronunciation)).collect();
        let said = Said { num, reference };
        lock().insert(text.to_string(), said.clone());
        Ok(said)
    }
}
