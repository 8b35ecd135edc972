//! Entropy pruning (Stolcke 1998): n-grams whose loss changes a model least are given up.

use super::trie::Trie;
use super::{BEGIN, END, LmError, NgramLm};

/// How far a model is pruned.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Prune {
    /// An n-gram goes if the model's perplexity grows by less than this share without it, 1e-7 for instance, as with
    /// SRILM's `-prune`.
    Threshold(f64),
    /// So many n-grams of all lengths stay. Those of one unit always do.
    Ngrams(usize),
}

/// A pruned model.
#[derive(Debug, Clone, PartialEq)]
pub struct Pruned {
    /// The model, its back-off weights renormalised.
    pub lm: NgramLm,
    /// N-grams that went.
    pub removed: usize,
    /// The sum of the losses of those that went, in nats a unit. Were losses independent, the perplexity of text like
    /// that of training would grow by the factor exp(`nats`); n-grams of one context share its back-off weight, so
    /// that it grows less where much of a context goes.
    pub nats: f64,
}

impl NgramLm {
    /// Gives up n-grams by how much their loss changes the model.
    ///
    /// Without w after h, the model backs off there too: p'(w|h) = α'(h)·p(w|h'), and α' is renormalised. The loss is
    /// the relative entropy of the two models,
    ///
    /// D = p(h) · { p(w|h)·\[ln p(w|h) − ln p(w|h') − ln α'(h)\] + (1 − Σ p(·|h))·\[ln α(h) − ln α'(h)\] },
    ///
    /// with the sum over all n-grams of h, and p(h) from the model itself. An n-gram stays as long as one that it begins
    /// does. Losses are those in the whole model, each for itself.
    ///
    /// Kneser–Ney's shorter n-grams are made for backing off, and tell p(h) badly: expect a somewhat larger perplexity
    /// than pruned models of other smoothing have.
    ///
    /// # Errors
    /// The threshold is no number of 0 or more; fewer n-grams are to stay than there are units.
    pub fn pruned(&self, how: Prune) -> Result<Pruned, LmError> {
        let config = |setting, value, range| LmError::Config { setting, value, range };
        let unigrams = self.trie.children_of(0).len();
        match how {
            Prune::Threshold(share) if !(share.is_finite() && share >= 0.0) => {
                return Err(config("threshold", share, "0 or more"));
            }
            Prune::Ngrams(count) if count < unigrams => {
                return Err(config("ngrams", count as f64, "as many as the model has units, or more"));
            }
            _ => {}
        }
        let losses = losses(&self.trie);
        // An n-gram goes after all that it begins; children are behind their parents.
        let mut until = losses.clone();
        for parent in (1..until.len()).rev() {
            for child in self.trie.children_of(parent as u32) {
                until[parent] = until[parent].max(until[child as usize]);
            }
        }
        let mut kept = vec![true; until.len()];
        match how {
            Prune::Threshold(share) => {
                for (kept, loss) in kept.iter_mut().zip(&until).skip(1 + unigrams) {
                    *kept = loss.exp_m1() >= share;
                }
            }
            Prune::Ngrams(count) => {
                let mut order: Vec<usize> = (1 + unigrams..until.len()).collect();
                order.sort_unstable_by(|a, b| until[*a].total_cmp(&until[*b]).then(b.cmp(a)));
                order.truncate(self.trie.len().saturating_sub(count));
                order.into_iter().for_each(|node| kept[node] = false);
            }
        }
        let removed = kept.iter().filter(|kept| !**kept).count();
        if removed == 0 {
            return Ok(Pruned { lm: self.clone(), removed, nats: 0.0 });
        }
        let nats = losses.iter().zip(&kept).filter(|(_, kept)| !**kept).map(|(loss, _)| loss).sum();
        let trie = self.trie.retain(&kept);
        let (units, index) = (self.units.clone(), self.index.clone());
        Ok(Pruned { lm: Self { order: self.order, units, index, trie }, removed, nats })
    }
}

/// The entropy lost with each n-gram of two units and more, in nats; infinity for the others.
fn losses(trie: &Trie) -> Vec<f64> {
    let nodes = trie.len() + 1;
    let mut losses = vec![f64::INFINITY; nodes];
    let ln = |log10: f32| f64::from(log10) * std::f64::consts::LN_10;
    // ln p(h) of every n-gram, of units that follow each other.
    let mut logs = vec![0.0f64; nodes];
    let end = trie.find(0, END).map_or(0.0, |end| ln(trie.log(end)));
    for parent in 0..nodes as u32 {
        let before = logs[parent as usize];
        for child in trie.children_of(parent) {
            // Sentences begin as often as they end; the begin itself has no probability.
            let begins = parent == 0 && trie.unit(child) == BEGIN;
            logs[child as usize] = before + if begins { end } else { ln(trie.log(child)) };
        }
        if parent == 0 || trie.children_of(parent).is_empty() {
            continue;
        }
        let link = trie.link_of(parent);
        let lower = |child| ln(trie.next(link, trie.unit(child)).0);
        let covered: f64 = trie.children_of(parent).map(|child| lower(child).exp()).sum();
        // What shorter n-grams leave for units not seen here, and what this context does.
        let below = (1.0 - covered).max(1e-9);
        let backoff = ln(trie.backoff(parent));
        let unseen = backoff.exp() * below;
        for child in trie.children_of(parent) {
            let (own, lower) = (ln(trie.log(child)), lower(child));
            let without = (unseen + own.exp()).max(f64::MIN_POSITIVE).ln() - (below + lower.exp()).ln();
            losses[child as usize] =
                before.exp() * (own.exp() * (own - lower - without) + unseen * (backoff - without));
        }
    }
    losses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::tests::{assert_sums_to_one, of_sentences, sentences};
    use crate::lm::{LmConfig, Perplexity, State, Unit, UnitId};

    fn outcomes(lm: &NgramLm) -> Vec<UnitId> {
        lm.units().iter().map(|unit| lm.unit(unit)).skip(3).chain([lm.unit("never")]).collect()
    }

    /// Σ_w p(w|h) ln p(w|h)/p'(w|h) of one context.
    fn divergence(p: &NgramLm, other: &NgramLm, contexts: (State, State)) -> f64 {
        let mut sum = 0.0;
        let mut add = |own: f32, other: f32| sum += f64::from(own).exp() * f64::from(own - other);
        for unit in outcomes(p) {
            add(p.score(contexts.0, unit).0, other.score(contexts.1, unit).0);
        }
        add(p.end(contexts.0), other.end(contexts.1));
        sum
    }

    /// The same over all contexts of two units, weighted by their probability.
    fn of_pairs(p: &NgramLm, other: &NgramLm) -> f64 {
        let mut sum = 0.0;
        let firsts = outcomes(p).into_iter().map(|unit| {
            let log = f64::from(p.score(p.middle(), unit).0);
            (log, p.score(p.middle(), unit).1, other.score(other.middle(), unit).1)
        });
        for (log, a, b) in firsts.chain([(f64::from(p.end(p.middle())), p.begin(), other.begin())]) {
            for unit in outcomes(p) {
                let ((second, a), (_, b)) = (p.score(a, unit), other.score(b, unit));
                sum += (log + f64::from(second)).exp() * divergence(p, other, (a, b));
            }
        }
        sum
    }

    fn perplexity(lm: &NgramLm) -> f64 {
        let mut sums = Perplexity::default();
        sentences().iter().for_each(|line| sums += lm.sentence(&Unit::Word.split(line)));
        sums.perplexity()
    }

    #[test]
    fn one_ngram_costs_what_is_foretold() {
        let lm = of_sentences(&LmConfig::default());
        let first = 1 + lm.trie.children_of(0).len();
        let losses = losses(&lm.trie);
        let threes: Vec<usize> =
            (first..losses.len()).filter(|node| lm.trie.children_of(*node as u32).is_empty()).collect();
        // Cheap ones, dear ones; bigrams that begin no trigram change longer contexts, too.
        let longest = lm.trie.levels()[2].logs.len();
        for node in threes.into_iter().filter(|node| *node >= losses.len() - longest).step_by(97) {
            let mut kept = vec![true; losses.len()];
            kept[node] = false;
            let other = NgramLm { trie: lm.trie.retain(&kept), ..lm.clone() };
            let (found, foretold) = (of_pairs(&lm, &other), losses[node]);
            assert!((found - foretold).abs() < 1e-6 + 0.02 * foretold, "{node}: {found}, not {foretold}");
        }
    }

    #[test]
    fn contexts_sum_to_one_and_perplexity_grows_with_what_goes() {
        let lm = of_sentences(&LmConfig { order: 4, ..LmConfig::default() });
        let all = lm.ngram_count();
        let mut last = perplexity(&lm);
        for share in [0.8, 0.5, 0.2] {
            let count = (all as f64 * share) as usize;
            let pruned = lm.pruned(Prune::Ngrams(count)).unwrap();
            assert_eq!((pruned.lm.ngram_count(), pruned.removed), (count, all - count));
            assert_sums_to_one(&pruned.lm);
            let now = perplexity(&pruned.lm);
            assert!(now > last && pruned.nats > 0.0, "{share}: {now} after {last}");
            last = now;
        }
        // Of pairs, losses add up but for the weights that several of one context share.
        let lm = of_sentences(&LmConfig { order: 2, ..LmConfig::default() });
        let pruned = lm.pruned(Prune::Ngrams(lm.ngram_count() - 8)).unwrap();
        let mut found = 0.0;
        for unit in outcomes(&lm) {
            let ((log, a), (_, b)) = (lm.score(lm.middle(), unit), pruned.lm.score(pruned.lm.middle(), unit));
            found += f64::from(log).exp() * divergence(&lm, &pruned.lm, (a, b));
        }
        found += f64::from(lm.end(lm.middle())).exp()
            * divergence(&lm, &pruned.lm, (lm.begin(), pruned.lm.begin()));
        let ratio = found / pruned.nats;
        assert!((0.5..2.0).contains(&ratio), "{found}, not {}", pruned.nats);
    }

    #[test]
    fn limits_of_pruning() {
        let lm = of_sentences(&LmConfig::default());
        assert_eq!(lm.pruned(Prune::Threshold(0.0)).unwrap().removed, 0);
        let unigrams = lm.units().len();
        let least = lm.pruned(Prune::Ngrams(unigrams)).unwrap().lm;
        assert_eq!(least.ngram_count(), unigrams);
        assert_sums_to_one(&least);
        assert_eq!(lm.pruned(Prune::Threshold(1e9)).unwrap().lm, least);
        for how in [Prune::Threshold(-1.0), Prune::Threshold(f64::NAN), Prune::Ngrams(unigrams - 1)] {
            assert!(lm.pruned(how).is_err(), "{how:?}");
        }
    }
}
