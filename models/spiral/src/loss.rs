//! The contrastive objective (SPIRAL §7).
//!
//! With predictions `p_i` and targets `t_i` over all valid positions of a batch, N(i) the drawn
//! negatives of position i, and temperature τ:
//!
//! `L = −mean_i log( exp(cos(p_i, t_i)/τ) / Σ_{j ∈ {i} ∪ N(i)} exp(cos(p_i, t_j)/τ) )`
//!
//! A negative whose vector equals the positive's exactly is left out. The gradient flows through
//! the predictions only.

use auricle_rng::Stream;

/// Draws `count` negatives for every position: uniformly, with replacement, from the *other*
/// positions of the same utterance. Indices point into the positions of all utterances in a row.
///
/// An utterance with a single position has nothing to contrast with: its entries are the position
/// itself, which the loss leaves out as equal to the target.
pub fn draw_negatives(lengths: &[usize], count: usize, stream: &mut Stream) -> Vec<u32> {
    let mut negatives = Vec::with_capacity(lengths.iter().sum::<usize>() * count);
    let mut first = 0;
    for &length in lengths {
        for position in 0..length {
            for _ in 0..count {
                let other = stream.below(length.saturating_sub(1));
                let other = if length > 1 && other >= position { other + 1 } else { other };
                negatives.push((first + other) as u32);
            }
        }
        first += length;
    }
    negatives
}

#[cfg(test)]
mod tests {
    use super::*;
    use auricle_rng::{Key, Purpose};

    #[test]
    fn negatives_are_other_positions_of_the_same_utterance() {
        let lengths = [5, 1, 2, 30];
        let mut stream = Key::new(1).stream(Purpose::Negatives);
        let negatives = draw_negatives(&lengths, 100, &mut stream);
        let mut row = 0;
        let mut first = 0u32;
        for &length in &lengths {
            for position in 0..length as u32 {
                let mut seen = vec![0; length];
                for &n in &negatives[row * 100..(row + 1) * 100] {
                    assert!((first..first + length as u32).contains(&n));
                    assert!(length == 1 || n != first + position);
                    seen[(n - first) as usize] += 1;
                }
                if length == 5 {
                    // 25 expected of each of the four others.
                    assert!(
                        seen.iter().enumerate().all(|(i, &c)| i as u32 == position || (8..=45).contains(&c)),
                        "{seen:?}"
                    );
                }
                row += 1;
            }
            first += length as u32;
        }
        assert_eq!(negatives.len(), 38 * 100);
    }
}
