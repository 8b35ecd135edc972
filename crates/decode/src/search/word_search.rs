//! The search, frame by frame.

mod ending;

use super::SearchError;
use super::decoder::WordDecoder;
use super::found_word::FoundWord;
use super::history::{EMPTY, Histories, NO_WORD, Record};
use super::hotwords::{Hotword, Hotwords};
use super::lattice::{Lattice, LatticeArc};
use super::token::{Arrival, Context, FastHasher, LEAST_SCORE, NO_PHONE, Place, SILENCE_NODE, Table, Token};
use super::tree::ROOT;
use auricle_text::lm::{State, UnitId};
use ndarray::ArrayView2;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

/// Frames between two collections of histories.
const COLLECT_EVERY: usize = 50;
/// Answers of the language model that are remembered.
const MAX_REMEMBERED: usize = 1 << 18;

/// The words of an utterance.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// Words in order.
    pub words: Vec<FoundWord>,
    /// Score of the path.
    pub score: f64,
    /// No path was at the end of a word: the words are those of the best path, and the beginning of another word was dropped.
    pub unfinished: bool,
    /// The words with their rivals, where they were asked for and a path was at an end.
    pub lattice: Option<Lattice>,
}

/// The search for the words of one utterance after the other.
///
/// Frames come in pieces of any size; how they are cut changes nothing. With each frame every path is told apart by its node in
/// the lexicon and its state of the language model, and the best one of each is kept.
#[derive(Debug, Clone)]
pub struct WordSearch {
    decoder: Arc<WordDecoder>,
    /// Of each node.
    look_ahead: Arc<Vec<f32>>,
    hotwords: Option<Hotwords>,
    /// Paths after the last frame, those that are given up gone.
    tokens: Vec<Token>,
    next: Table<Place, Token>,
    arrivals: Table<(Context, u16), Arrival>,
    /// Those that were not the best of their state, too, where a lattice is made.
    all_arrivals: Vec<Arrival>,
    histories: Histories,
    /// Scores of tokens are relative to it.
    offset: f64,
    frame: usize,
    remembered: HashMap<(State, UnitId), (f32, State), BuildHasherDefault<FastHasher>>,
}

impl WordSearch {
    /// A search at the beginning of an utterance.
    pub fn new(decoder: Arc<WordDecoder>) -> Self {
        Self {
            look_ahead: Arc::clone(&decoder.look_ahead),
            hotwords: None,
            decoder,
            tokens: Vec::new(),
            next: Table::default(),
            arrivals: Table::default(),
            all_arrivals: Vec::new(),
            histories: Histories::default(),
            offset: 0.0,
            frame: 0,
            remembered: HashMap::default(),
        }
    }

    /// A search that expects some words and phrases: each of their occurrences adds its boost to the score of a path.
    ///
    /// # Errors
    /// A word is not in the decoder's lexicon, or a boost is out of range.
    pub fn with_hotwords(decoder: Arc<WordDecoder>, hotwords: &[Hotword]) -> Result<Self, SearchError> {
        let automaton = Hotwords::new(hotwords, &decoder.tree)?;
        let look_ahead = Arc::new(decoder.look_ahead_with(|word| automaton.next(0, word).0));
        Ok(Self { look_ahead, hotwords: Some(automaton), ..Self::new(decoder) })
    }

    /// Goes on with the scores of frames: outputs of the acoustic model, log-likelihoods up to a constant for each frame,
    /// `[frames, outputs]`.
    ///
    /// # Errors
    /// Frames are of another width, or a score is NaN or +∞. Nothing has been searched then.
    pub fn push(&mut self, scores: ArrayView2<'_, f32>) -> Result<(), SearchError> {
        let needs = self.decoder.outputs.count();
        if scores.ncols() != needs && scores.nrows() > 0 {
            return Err(SearchError::Width { has: scores.ncols(), needs });
        }
        let wrong = scores.indexed_iter().find(|(_, value)| value.is_nan() || **value == f32::INFINITY);
        if let Some(((row, output), &value)) = wrong {
            return Err(SearchError::Score { frame: self.frame + row, output, value });
        }
        let mut row = vec![0.0f32; needs];
        for scores in scores.outer_iter() {
            row.iter_mut().zip(scores).for_each(|(own, score)| *own = score.max(LEAST_SCORE));
            self.step(&row);
        }
        Ok(())
    }

    /// Number of frames so far.
    pub fn num_frames(&self) -> usize {
        self.frame
    }

    /// Number of paths that are alive.
    pub fn num_active(&self) -> usize {
        self.tokens.len()
    }

    /// Number of words that the paths have, and that not all of them share.
    pub fn num_open_words(&self) -> usize {
        self.histories.num_records()
    }

    /// The complete words of the best path so far.
    pub fn partial(&self) -> Vec<FoundWord> {
        let best = self.best_token().map_or(EMPTY, |token| token.history);
        self.histories.words(best, &self.decoder.tree)
    }

    /// The words that all paths share: whatever comes, they stay.
    pub fn stable(&self) -> Vec<FoundWord> {
        let common = self.histories.common(self.tokens.iter().map(|token| token.history));
        self.histories.words(common, &self.decoder.tree)
    }

    /// The best token; of equal ones the first.
    fn best_token(&self) -> Option<&Token> {
        self.tokens.iter().reduce(|a, b| if b.score > a.score { b } else { a })
    }

    /// Node of a token for the look-ahead: between words it is that of the root.
    fn look_ahead(&self, node: u32) -> f32 {
        self.look_ahead[if node == SILENCE_NODE { ROOT } else { node } as usize]
    }

    /// A token's score without look-ahead.
    fn bare(&self, token: &Token) -> f32 {
        token.score - self.look_ahead(token.place.node)
    }

    /// What a word adds: language model, pronunciation, bonus and hotwords; and the words behind it.
    fn word_score(&mut self, context: Context, word: u32, log_weight: f32) -> (f32, Context) {
        let decoder = &self.decoder;
        let unit = decoder.tree.unit(word);
        if self.remembered.len() >= MAX_REMEMBERED {
            self.remembered.clear();
        }
        let answer = self.remembered.entry((context.lm, unit));
        let (log, lm) =
            *answer.or_insert_with(|| decoder.config.log_probability(&decoder.lm, context.lm, unit));
        let hotwords = self.hotwords.as_ref();
        let (gain, hot) = hotwords.map_or((0.0, 0), |hotwords| hotwords.next(context.hot, word));
        (decoder.weigh(log, log_weight) + gain, Context { lm, hot })
    }

    /// Goes on by a frame.
    fn step(&mut self, row: &[f32]) {
        let shared = Arc::clone(&self.decoder);
        let decoder = &*shared;
        let tokens = std::mem::take(&mut self.tokens);
        self.next.clear();
        self.arrivals.clear();
        self.all_arrivals.clear();
        if self.frame == 0 {
            let start = Arrival {
                state: Context { lm: decoder.lm.begin(), hot: 0 },
                before: NO_PHONE,
                score: self.look_ahead[ROOT as usize],
                history: EMPTY,
                word: None,
            };
            self.arrive(start);
        }
        // The best path goes first, so that most others need not be followed far.
        let first = tokens.iter().enumerate().reduce(|a, b| if b.1.score > a.1.score { b } else { a });
        let first = first.map(|(place, _)| place);
        if let Some(place) = first {
            self.advance(decoder, &tokens[place], row);
        }
        for (place, token) in tokens.iter().enumerate() {
            if Some(place) != first {
                self.advance(decoder, token, row);
            }
        }
        self.enter_words(decoder, row);
        self.prune(tokens);
        self.frame += 1;
        if self.frame.is_multiple_of(COLLECT_EVERY) {
            if let Some(beam) = decoder.config.lattice_beam {
                self.histories.collect_lattice(&mut self.tokens, beam);
            } else {
                self.histories.collect(&mut self.tokens, &decoder.tree);
            }
        }
    }

    /// Goes on from a token: it stays, goes to the next phones, or ends its word.
    fn advance(&mut self, decoder: &WordDecoder, token: &Token, row: &[f32]) {
        let Place { node, before, is_blank, state } = token.place;
        let blank = decoder.outputs.blank();
        let loops = match (blank.filter(|_| is_blank), decoder.silence.filter(|_| node == SILENCE_NODE)) {
            (Some(blank), _) => blank,
            (None, Some(silence)) => decoder.outputs.of(Some(before).filter(|p| *p != NO_PHONE), silence)[1],
            (None, None) => decoder.outputs_of(node, before)[1],
        };
        self.offer(Token { score: token.score + decoder.stay + row[loops as usize], ..*token });
        if node == SILENCE_NODE {
            let before = decoder.silence.unwrap_or(NO_PHONE);
            let score = token.score + decoder.leave;
            self.arrive(Arrival { state, before, score, history: token.history, word: None });
            return;
        }
        if node == ROOT {
            let between = Arrival { state, before, score: token.score, history: token.history, word: None };
            self.enter_tree(decoder, &between, true, row);
            self.enter_silence(decoder, &between, row);
            return;
        }
        let children = decoder.tree.children(node);
        let phone = decoder.tree.phone(node);
        if let Some(blank) = blank.filter(|_| !is_blank && !children.is_empty()) {
            let place = Place { node, before: NO_PHONE, is_blank: true, state };
            self.offer(Token { place, score: token.score + row[blank as usize], ..*token });
        }
        let bare = token.score - self.look_ahead[node as usize] + decoder.leave;
        for child in children {
            if blank.is_some() && !is_blank && decoder.tree.phone(child) == phone {
                continue;
            }
            let place = Place { node: child, before: NO_PHONE, is_blank: false, state };
            let enter = row[decoder.outputs_of(child, NO_PHONE)[0] as usize];
            let score = bare + self.look_ahead[child as usize] + enter;
            self.offer(Token { place, score, ..*token });
        }
        if is_blank {
            return;
        }
        for end in decoder.tree.ends(node) {
            let (lm_score, state) = self.word_score(state, end.word, end.log_weight);
            self.arrive(Arrival {
                state,
                before: phone,
                score: bare + lm_score + self.look_ahead[ROOT as usize],
                history: token.history,
                word: Some((end.word, token.start, lm_score)),
            });
        }
    }

    /// Begins words and silence where words have ended: once for each state of the language model, however many words led to it.
    fn enter_words(&mut self, decoder: &WordDecoder, row: &[f32]) {
        let arrivals = std::mem::take(&mut self.arrivals);
        let least = arrivals.best() - decoder.config.word_end_beam;
        let root_look_ahead = self.look_ahead[ROOT as usize];
        let blank = decoder.outputs.blank();
        let makes_lattice = decoder.config.lattice_beam.is_some() && self.frame > 0;
        let mut numbers = vec![EMPTY; if makes_lattice { arrivals.values().len() } else { 0 }];
        for (place, arrival) in arrivals.values().iter().enumerate() {
            if arrival.score < least {
                continue;
            }
            let mut arrival = *arrival;
            // A lattice has nodes behind silence, too.
            let silence = (NO_WORD, self.frame as u32, 0.0);
            if let Some((word, start, lm_score)) = arrival.word.or(makes_lattice.then_some(silence)) {
                arrival.history = self.histories.push(Record {
                    before: arrival.history,
                    word,
                    start,
                    end: self.frame as u32,
                    lm_score,
                    total: self.offset + f64::from(arrival.score - root_look_ahead),
                });
                if let Some(number) = numbers.get_mut(place) {
                    *number = arrival.history;
                }
            }
            self.enter_tree(decoder, &arrival, false, row);
            self.enter_silence(decoder, &arrival, row);
            if let Some(blank) = blank {
                // What came before a blank matters where outputs depend on it, and silence does not follow silence.
                let is_silence = Some(arrival.before) == decoder.silence;
                let before = if is_silence { arrival.before } else { decoder.context(arrival.before) };
                let place = Place { node: ROOT, before, is_blank: true, state: arrival.state };
                let score = arrival.score + row[blank as usize];
                self.offer(Token { place, score, history: arrival.history, start: self.frame as u32 });
            }
        }
        if let Some(beam) = decoder.config.lattice_beam.filter(|_| makes_lattice) {
            self.push_arcs(&arrivals, &numbers, beam);
        }
        self.arrivals = arrivals;
    }

    /// Remembers all words that ended, not only the best of each state. `numbers` are the histories of those.
    fn push_arcs(&mut self, arrivals: &Table<(Context, u16), Arrival>, numbers: &[u32], beam: f32) {
        let root_look_ahead = self.look_ahead[ROOT as usize];
        let mut arcs = Vec::with_capacity(self.all_arrivals.len());
        for arrival in &self.all_arrivals {
            let Some(place) = arrivals.place(&(arrival.state, arrival.before)) else { continue };
            let is_good = arrival.score >= arrivals.values()[place].score - beam;
            let Some(&to) = numbers.get(place).filter(|to| **to != EMPTY && is_good) else { continue };
            let total = self.offset + f64::from(arrival.score - root_look_ahead);
            arcs.push(LatticeArc {
                from: arrival.history,
                to,
                word: arrival.word.map(|(word, ..)| word),
                start_frame: arrival.word.map_or(self.frame as u32, |(_, start, _)| start),
                score: total - self.histories.total(arrival.history),
                lm_score: arrival.word.map_or(0.0, |(.., lm_score)| lm_score),
            });
        }
        // Equal words between the same nodes are ways to pronounce them: the best stays.
        let key = |arc: &LatticeArc| (arc.to, arc.from, arc.word);
        arcs.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| b.score.total_cmp(&a.score)));
        arcs.dedup_by_key(|arc| key(arc));
        arcs.into_iter().for_each(|arc| self.histories.push_arc(arc));
    }

    fn enter_tree(&mut self, decoder: &WordDecoder, arrival: &Arrival, is_blank: bool, row: &[f32]) {
        let is_silence = Some(arrival.before) == decoder.silence;
        let silence = if is_silence { 0.0 } else { decoder.without_silence };
        let bare = arrival.score + silence - self.look_ahead[ROOT as usize];
        let before = decoder.context(arrival.before);
        let must_part = decoder.outputs.blank().is_some() && !is_blank;
        for child in decoder.tree.children(ROOT) {
            if must_part && decoder.tree.phone(child) == arrival.before {
                continue;
            }
            let place = Place { node: child, before, is_blank: false, state: arrival.state };
            let enter = row[decoder.outputs_of(child, before)[0] as usize];
            let score = bare + self.look_ahead[child as usize] + enter;
            self.offer(Token { place, score, history: arrival.history, start: self.frame as u32 });
        }
    }

    fn enter_silence(&mut self, decoder: &WordDecoder, arrival: &Arrival, row: &[f32]) {
        let Some(silence) = decoder.silence.filter(|&silence| silence != arrival.before) else { return };
        let before = decoder.context(arrival.before);
        let place = Place { node: SILENCE_NODE, before, is_blank: false, state: arrival.state };
        let enter = decoder.outputs.of(Some(before).filter(|p| *p != NO_PHONE), silence)[0];
        let score = arrival.score + decoder.with_silence + row[enter as usize];
        self.offer(Token { place, score, history: arrival.history, start: self.frame as u32 });
    }

    /// Keeps an end of a word if it is the best of its state.
    fn arrive(&mut self, arrival: Arrival) {
        let before = self.decoder.context_between(arrival.before);
        let arrival = Arrival { before, ..arrival };
        if self.decoder.config.lattice_beam.is_some() {
            self.all_arrivals.push(arrival);
        }
        self.arrivals.offer((arrival.state, before), arrival.score, arrival, |own| own.score);
    }

    /// Keeps a token if it is the best of its place and not hopeless already.
    fn offer(&mut self, token: Token) {
        if token.score >= self.next.best() - self.decoder.config.beam {
            self.next.offer(token.place, token.score, token, |own| own.score);
        }
    }

    /// Makes those tokens that go on the current ones, with scores relative to the best. `tokens` lends its memory.
    fn prune(&mut self, mut tokens: Vec<Token>) {
        let config = &self.decoder.config;
        let best = self.next.best();
        let mut least = best - config.beam;
        let reached = self.next.values();
        if reached.len() > config.max_active {
            let mut scores: Vec<f32> = reached.iter().map(|token| token.score).collect();
            let (_, worst_kept, _) =
                scores.select_nth_unstable_by(config.max_active - 1, |a, b| b.total_cmp(a));
            least = least.max(*worst_kept);
        }
        tokens.clear();
        let kept = reached.iter().filter(|token| token.score >= least);
        tokens.extend(kept.map(|token| Token { score: token.score - best, ..*token }));
        self.tokens = tokens;
        self.offset += f64::from(best);
    }
}
