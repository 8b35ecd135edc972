//! Graphones, and how words are cut into them.

use super::{LETTERS, MAX_GRAPHONES};
use crate::phones::Phone;

/// Letters and the phones they stand for: 1 letter with 0–2 phones, or 2 letters with 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Graphone {
    pub letters: Vec<u8>,
    pub phones: Vec<u8>,
}

const PHONES: usize = Phone::COUNT;
/// Ways to sound one letter.
const SOUNDS: usize = 1 + PHONES + PHONES * PHONES;
const SINGLES: usize = LETTERS * SOUNDS;
/// Number of possible graphones.
const POSSIBLE: usize = SINGLES + LETTERS * LETTERS * PHONES;

/// A graphone as a number below [`POSSIBLE`].
fn code(letters: &[u8], phones: &[u8]) -> usize {
    match (letters, phones) {
        ([l], []) => usize::from(*l) * SOUNDS,
        ([l], [p]) => usize::from(*l) * SOUNDS + 1 + usize::from(*p),
        ([l], [p, q, ..]) => {
            usize::from(*l) * SOUNDS + 1 + PHONES + usize::from(*p) * PHONES + usize::from(*q)
        }
        ([l, m, ..], [p, ..]) => {
            SINGLES + (usize::from(*l) * LETTERS + usize::from(*m)) * PHONES + usize::from(*p)
        }
        _ => 0,
    }
}

fn decode(code: usize) -> Graphone {
    if code >= SINGLES {
        let (pair, phone) = ((code - SINGLES) / PHONES, (code - SINGLES) % PHONES);
        return Graphone {
            letters: vec![(pair / LETTERS) as u8, (pair % LETTERS) as u8],
            phones: vec![phone as u8],
        };
    }
    let (letter, sound) = (code / SOUNDS, code % SOUNDS);
    let phones = match sound {
        0 => vec![],
        sound if sound <= PHONES => vec![(sound - 1) as u8],
        sound => vec![((sound - 1 - PHONES) / PHONES) as u8, ((sound - 1 - PHONES) % PHONES) as u8],
    };
    Graphone { letters: vec![letter as u8], phones }
}

/// Numbers of letters and phones of a graphone.
const SHAPES: [(usize, usize); 4] = [(1, 0), (1, 1), (1, 2), (2, 1)];

/// All graphones that end at each point (i letters, j phones) of a pair, as `(from, to, code)` in an
/// order in which every way goes forward; `width` is the number of phones + 1.
fn arcs(letters: &[u8], phones: &[u8], out: &mut Vec<(usize, usize, usize)>) {
    out.clear();
    let width = phones.len() + 1;
    for i in 1..=letters.len() {
        for j in 0..=phones.len() {
            for (l, p) in SHAPES {
                if i >= l && j >= p {
                    let code = code(&letters[i - l..i], &phones[j - p..j]);
                    out.push(((i - l) * width + j - p, i * width + j, code));
                }
            }
        }
    }
}

/// Learns graphones from pairs of letters and phones, and cuts the pairs into them.
///
/// EM for p(g) with p(letters, phones) = Σ over cuts Π p(g), then the best cut of each pair. Pairs
/// that cannot be cut, or only with a graphone seen fewer than `min_count` times, are left out.
/// Returns the graphones and the sequences of their numbers.
pub(super) fn align_all(
    pairs: &[(Vec<u8>, Vec<u8>)],
    rounds: usize,
    min_count: usize,
) -> (Vec<Graphone>, Vec<Vec<u16>>) {
    let mut probabilities = vec![1.0f64; POSSIBLE];
    let mut lattice = Vec::new();
    for _ in 0..rounds {
        let mut counts = vec![0.0f64; POSSIBLE];
        for (letters, phones) in pairs {
            arcs(letters, phones, &mut lattice);
            expect(&lattice, (letters.len() + 1) * (phones.len() + 1), &probabilities, &mut counts);
        }
        let total: f64 = counts.iter().sum();
        if total <= 0.0 {
            return (vec![], vec![]);
        }
        probabilities = counts.into_iter().map(|count| count / total).collect();
    }
    let cuts: Vec<Vec<usize>> = pairs
        .iter()
        .filter_map(|(letters, phones)| {
            arcs(letters, phones, &mut lattice);
            best_cut(&lattice, (letters.len() + 1) * (phones.len() + 1), &probabilities)
        })
        .collect();
    let mut counts = vec![0usize; POSSIBLE];
    for code in cuts.iter().flatten() {
        counts[*code] += 1;
    }
    let mut kept: Vec<usize> = (0..POSSIBLE).filter(|code| counts[*code] >= min_count.max(1)).collect();
    kept.sort_by_key(|code| std::cmp::Reverse(counts[*code]));
    kept.truncate(MAX_GRAPHONES);
    kept.sort_unstable();
    let number = |code: &usize| kept.binary_search(code).ok().map(|number| number as u16);
    let sequences = cuts.iter().filter_map(|cut| cut.iter().map(number).collect()).collect();
    (kept.iter().map(|code| decode(*code)).collect(), sequences)
}

/// Adds the expected number of uses of each graphone in one pair.
fn expect(lattice: &[(usize, usize, usize)], points: usize, probabilities: &[f64], counts: &mut [f64]) {
    let (mut forward, mut backward) = (vec![0.0f64; points], vec![0.0f64; points]);
    forward[0] = 1.0;
    backward[points - 1] = 1.0;
    for (from, to, code) in lattice {
        forward[*to] += forward[*from] * probabilities[*code];
    }
    let total = forward[points - 1];
    // Words of up to 64 letters stay far above the smallest double once EM has begun; at its
    // uniform start the weights are 1.
    if total <= 0.0 || !total.is_finite() {
        return;
    }
    for (from, to, code) in lattice.iter().rev() {
        let ahead = backward[*to] * probabilities[*code];
        backward[*from] += ahead;
        counts[*code] += forward[*from] * ahead / total;
    }
}

/// Codes of the most probable cut; `None` if there is none.
fn best_cut(lattice: &[(usize, usize, usize)], points: usize, probabilities: &[f64]) -> Option<Vec<usize>> {
    let mut best: Vec<(f64, usize, usize)> = vec![(0.0, 0, 0); points];
    best[0].0 = 1.0;
    for (from, to, code) in lattice {
        let score = best[*from].0 * probabilities[*code];
        if score > best[*to].0 {
            best[*to] = (score, *from, *code);
        }
    }
    if best[points - 1].0 <= 0.0 {
        return None;
    }
    let (mut at, mut cut) = (points - 1, Vec::new());
    while at != 0 {
        cut.push(best[at].2);
        at = best[at].1;
    }
    cut.reverse();
    Some(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back() {
        for number in 0..POSSIBLE {
            let graphone = decode(number);
            assert_eq!(code(&graphone.letters, &graphone.phones), number);
        }
    }

    #[test]
    fn em_finds_who_sounds_what() {
        // x sounds as two phones, ch as one, e is silent: only the words together tell.
        let word = |letters: &str, phones: &[u8]| {
            (letters.bytes().map(|byte| byte - b'a').collect::<Vec<u8>>(), phones.to_vec())
        };
        let pairs = [
            word("bax", &[1, 2, 3, 4]),
            word("abe", &[2, 1]),
            word("ab", &[2, 1]),
            word("cha", &[5, 2]),
            word("bach", &[1, 2, 5]),
            word("ach", &[2, 5]),
            word("axe", &[2, 3, 4]),
        ];
        let (graphones, sequences) = align_all(&pairs, 20, 1);
        assert_eq!(sequences.len(), pairs.len());
        let read = |i: usize| -> Vec<(Vec<u8>, Vec<u8>)> {
            let pieces = sequences[i].iter().map(|number| &graphones[usize::from(*number)]);
            pieces.map(|graphone| (graphone.letters.clone(), graphone.phones.clone())).collect()
        };
        assert_eq!(read(0), [(vec![1], vec![1]), (vec![0], vec![2]), (vec![23], vec![3, 4])]);
        assert_eq!(read(4).last(), Some(&(vec![2, 7], vec![5])));
        // Whatever the cut, it spells the pair.
        for (i, (letters, phones)) in pairs.iter().enumerate() {
            let pieces = read(i);
            assert_eq!(&pieces.iter().flat_map(|piece| piece.0.clone()).collect::<Vec<_>>(), letters);
            assert_eq!(&pieces.iter().flat_map(|piece| piece.1.clone()).collect::<Vec<_>>(), phones);
        }
        // More than two phones a letter cannot be.
        assert!(align_all(&[word("w", &[1, 2, 3, 4])], 3, 1).1.is_empty());
    }
}
