//! MD5 (RFC 1321): the check sums that OpenSLR publishes. It tells damage; against forgery stands HTTPS.

use std::io::{self, Read};

/// Rotations of the four rounds.
const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// The digest of all that a reader gives, in lower-case hexadecimal.
pub(super) fn md5(mut reader: impl Read) -> io::Result<String> {
    // ⌊2³² · |sin(i + 1)|⌋
    let constants: [u32; 64] =
        std::array::from_fn(|i| (((i + 1) as f64).sin().abs() * 4_294_967_296.0) as u32);
    let mut state = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let mut total = 0u64;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let filled = fill(&mut reader, &mut buffer)?;
        total = total.wrapping_add(filled as u64);
        let (blocks, rest) = buffer[..filled].as_chunks::<64>();
        blocks.iter().for_each(|block| compress(&mut state, block, &constants));
        if filled < buffer.len() {
            // A one, zeros, and the length in bits at the end of a block.
            let mut end = rest.to_vec();
            end.push(0x80);
            end.resize((end.len() + 8).next_multiple_of(64) - 8, 0);
            end.extend(total.wrapping_mul(8).to_le_bytes());
            end.as_chunks::<64>().0.iter().for_each(|block| compress(&mut state, block, &constants));
            break;
        }
    }
    Ok(state.iter().flat_map(|word| word.to_le_bytes()).map(|byte| format!("{byte:02x}")).collect())
}

/// Reads until the buffer is full or nothing is left.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

fn compress(state: &mut [u32; 4], block: &[u8; 64], constants: &[u32; 64]) {
    let words = block.as_chunks::<4>().0;
    let [mut a, mut b, mut c, mut d] = *state;
    for i in 0..64 {
        let (mix, word) = match i / 16 {
            0 => ((b & c) | (!b & d), i),
            1 => ((d & b) | (!d & c), (5 * i + 1) % 16),
            2 => (b ^ c ^ d, (3 * i + 5) % 16),
            _ => (c ^ (b | !d), (7 * i) % 16),
        };
        let sum =
            mix.wrapping_add(a).wrapping_add(constants[i]).wrapping_add(u32::from_le_bytes(words[word]));
        (a, d, c) = (d, c, b);
        b = b.wrapping_add(sum.rotate_left(SHIFTS[i / 16][i % 4]));
    }
    for (sum, part) in state.iter_mut().zip([a, b, c, d]) {
        *sum = sum.wrapping_add(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standard() {
        for (text, expected) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ] {
            assert_eq!(md5(text.as_bytes()).unwrap(), expected, "{text}");
        }
        // Over the ends of buffers and blocks: a million times the letter a.
        assert_eq!(md5(io::repeat(b'a').take(1_000_000)).unwrap(), "7707d6ae4e027c70eea2a935c2296f21");
    }
}
