//! The mask of dropout, a pure function of a seed.

/// Which elements are dropped: each with probability `p`, decided by [`Dropout::keeps`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Probability of dropping an element, in [0, 1].
    pub p: f64,
    /// Names the mask: equal seeds drop equal elements.
    pub seed: u64,
}

/// Elements of one block of an element-wise dropout mask.
pub(crate) const BLOCK: usize = 4096;

impl Dropout {
    /// What kept elements are multiplied by: `1 / (1 − p)`.
    pub fn scale(&self) -> f64 {
        if self.p < 1.0 { 1.0 / (1.0 - self.p.max(0.0)) } else { 0.0 }
    }

    /// Whether element `lane` of block `block` is kept.
    ///
    /// Two rounds of a 32-bit mixer over the lane, keyed by a 64-bit mix of seed and block. There is
    /// no state, so a backward pass recomputes the mask instead of storing it, and any number of
    /// threads or vector lanes agree on it. A block is a row of attention probabilities, or 4,096
    /// consecutive elements.
    pub fn keeps(&self, block: u64, lane: u32) -> bool {
        bits(block_key(self.seed, block), lane) >= self.threshold()
    }

    /// Random words below this are dropped.
    pub(crate) fn threshold(&self) -> u32 {
        // Saturates at the ends: p ≤ 0 keeps all; at p ≥ 1 the scale is zero.
        (self.p * 4_294_967_296.0) as u32
    }
}

/// The key of one block: SplitMix64's finaliser over seed and block.
pub(crate) fn block_key(seed: u64, block: u64) -> u64 {
    let mix = |z: u64| {
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    mix(mix(seed).wrapping_add(block.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// What lanes are multiplied by before they meet the key.
pub(crate) const LANE: u32 = 0x9e37_79b9;

/// The factors of the two rounds of a lane's mixer.
pub(crate) const MIX: [u32; 2] = [0x21f0_aaad, 0xd35a_2d97];

/// The random word of one lane (the `lowbias32` mixer, keyed before and between its rounds).
#[inline(always)]
pub(crate) fn bits(key: u64, lane: u32) -> u32 {
    let x = lane.wrapping_mul(LANE) ^ key as u32;
    let x = (x ^ (x >> 16)).wrapping_mul(MIX[0]);
    let x = (x ^ (x >> 15)).wrapping_add((key >> 32) as u32).wrapping_mul(MIX[1]);
    x ^ (x >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_pinned_and_fair() {
        // A changed bit here means that every saved run resumes differently.
        let pinned: Vec<u32> = (0..4).map(|lane| bits(block_key(7, 3), lane)).collect();
        assert_eq!(pinned, [259691931, 3751883817, 469855079, 2203636264]);
        for p in [0.05, 0.1, 0.5, 0.9] {
            let mask = Dropout { p, seed: 11 };
            let (mut kept, mut pairs, n) = (0u32, 0u32, 1u32 << 20);
            for i in 0..n {
                let keeps = |i: u32| mask.keeps(u64::from(i / 4096), i % 4096);
                kept += u32::from(keeps(i));
                // Neighbours in a row and across blocks are independent.
                pairs += u32::from(keeps(i) && keeps(i + 1)) + u32::from(keeps(i) && keeps(i + 4096));
            }
            let (n, q) = (f64::from(n), 1.0 - p);
            let sigma = (p * q / n).sqrt();
            assert!((f64::from(kept) / n - q).abs() < 4.0 * sigma, "p {p}: kept {kept}");
            assert!((f64::from(pairs) / (2.0 * n) - q * q).abs() < 6.0 * sigma, "p {p}: pairs {pairs}");
        }
    }

    #[test]
    fn seeds_and_blocks_give_unrelated_masks() {
        let agree = |a: Dropout, b: Dropout, shift: u64| {
            (0..10_000).filter(|&i| a.keeps(0, i) == b.keeps(shift, i)).count()
        };
        let a = Dropout { p: 0.5, seed: 1 };
        for (b, shift) in
            [(Dropout { p: 0.5, seed: 2 }, 0), (a, 1), (Dropout { p: 0.5, seed: 1 << 32 | 1 }, 0)]
        {
            assert!((4_800..5_200).contains(&agree(a, b, shift)));
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        assert!((0..1000).all(|i| Dropout { p: 0.0, seed: 5 }.keeps(0, i)));
        assert_eq!(Dropout { p: 0.0, seed: 5 }.scale(), 1.0);
        assert_eq!(Dropout { p: 1.0, seed: 5 }.scale(), 0.0);
    }
}
