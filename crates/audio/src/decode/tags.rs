//! Tags that programs put before and behind any kind of audio: they are no sound.
//!
//! | tag | where | how long |
//! |---|---|---|
//! | ID3v2 | before; rarely behind, then with a footer `3DI` | 10 bytes and a size of 28 bits |
//! | ID3v1 | the last 128 bytes, `TAG`; 227 more before them where `TAG+` stands there | fixed |
//! | APE | behind or before, `APETAGEX` | header and footer of 32 bytes say so |
//! | Lyrics3 | behind, before ID3v1 | `LYRICS200` after six digits, or `LYRICSEND` |

use std::io;

use super::input::Input;

/// Tags in a row that are stepped over, before and behind. More are no tags but somebody's game.
const MAX_TAGS: usize = 16;

/// The bytes without the tags before them.
pub(super) fn without_leading(mut input: Input) -> io::Result<Input> {
    for _ in 0..MAX_TAGS {
        let head = input.peek(0, 32)?;
        let len = id3v2_bytes(&head).or_else(|| ape_bytes(&head, true));
        match len {
            Some(len) if len > 0 && len < input.len() => input = input.part(len, input.len()),
            _ => break,
        }
    }
    Ok(input)
}

/// The bytes without the tags behind them.
pub(super) fn without_trailing(mut input: Input) -> io::Result<Input> {
    for _ in 0..MAX_TAGS {
        match trailing_bytes(&input)? {
            Some(len) if len > 0 && len < input.len() => input = input.part(0, input.len() - len),
            _ => break,
        }
    }
    Ok(input)
}

/// The length of the last tag, if there is one.
fn trailing_bytes(input: &Input) -> io::Result<Option<u64>> {
    let from_end = |len: u64| -> io::Result<Vec<u8>> {
        match input.len().checked_sub(len) {
            Some(at) => input.peek(at, len as usize),
            None => Ok(Vec::new()),
        }
    };
    if from_end(128)?.starts_with(b"TAG") {
        let is_enhanced = from_end(128 + 227)?.starts_with(b"TAG+");
        return Ok(Some(if is_enhanced { 128 + 227 } else { 128 }));
    }
    let end = from_end(32)?;
    if let Some(len) = ape_bytes(&end, false) {
        return Ok(Some(len));
    }
    // The footer of ID3v2 is its header with another name.
    if let Some(size) = end.get(22..).filter(|f| f.starts_with(b"3DI")).and_then(id3v2_size) {
        return Ok(Some(20 + size));
    }
    if end.ends_with(b"LYRICS200") {
        let digits = end.get(17..23).and_then(|d| std::str::from_utf8(d).ok());
        let len = digits.and_then(|d| d.parse::<u64>().ok()).map(|size| size + 15);
        return Ok(match len {
            Some(len) if from_end(len)?.starts_with(b"LYRICSBEGIN") => Some(len),
            _ => None,
        });
    }
    if end.ends_with(b"LYRICSEND") {
        // Version 1 has no length, but at most 5,100 bytes.
        let last = from_end(input.len().min(5_120))?;
        let begins = last.windows(11).rposition(|w| w == b"LYRICSBEGIN");
        return Ok(begins.map(|at| (last.len() - at) as u64));
    }
    Ok(None)
}

/// The whole length of an ID3v2 tag, by its header.
fn id3v2_bytes(head: &[u8]) -> Option<u64> {
    let size = Some(head).filter(|h| h.starts_with(b"ID3")).and_then(id3v2_size)?;
    let has_footer = head.get(5).is_some_and(|flags| flags & 0x10 != 0);
    Some(10 + size + if has_footer { 10 } else { 0 })
}

/// Seven bits in each of four bytes.
fn id3v2_size(head: &[u8]) -> Option<u64> {
    let bytes: &[u8; 4] = head.get(6..)?.first_chunk()?;
    let is_valid = bytes.iter().all(|b| b & 0x80 == 0);
    is_valid.then(|| bytes.iter().fold(0, |size, &b| size << 7 | u64::from(b)))
}

/// The whole length of an APE tag, by its header or footer.
fn ape_bytes(block: &[u8], is_header: bool) -> Option<u64> {
    let u32_at = |i: usize| Some(u32::from_le_bytes(*block.get(i..)?.first_chunk()?));
    let size = Some(block).filter(|b| b.starts_with(b"APETAGEX")).and_then(|_| u32_at(12))?;
    // The size counts the items and the footer, not the header.
    let has_header = u32_at(20)? & 0x8000_0000 != 0;
    Some(u64::from(size) + if has_header || is_header { 32 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn ape(items: &[u8], with_header: bool) -> Vec<u8> {
        let block = |flags: u32| {
            let mut block = b"APETAGEX\xd0\x07\0\0".to_vec();
            block.extend((items.len() as u32 + 32).to_le_bytes());
            block.extend(1u32.to_le_bytes());
            block.extend((flags | if with_header { 0x8000_0000 } else { 0 }).to_le_bytes());
            block.extend([0; 8]);
            block
        };
        [if with_header { block(0x2000_0000) } else { Vec::new() }, items.to_vec(), block(0)].concat()
    }

    #[test]
    fn all_tags_behind_and_before_are_stepped_over_in_any_order() {
        let id3v1 = [b"TAG".as_slice(), &[b'x'; 125]].concat();
        let enhanced = [b"TAG+".as_slice(), &[b'y'; 223], &id3v1].concat();
        let lyrics = b"LYRICSBEGINLYR00004abcd000023LYRICS200";
        let lyrics = [&lyrics[..23], format!("{:06}", 23).as_bytes(), b"LYRICS200"].concat();
        let old_lyrics = b"LYRICSBEGINla la laLYRICSEND".to_vec();
        let id3v2 = [b"ID3\x04\0\0\0\0\x01\x02".as_slice(), &[7; 130]].concat();
        let with_footer = [b"ID3\x04\0\x10\0\0\0\x05hello3DI\x04\0\x10\0\0\0\x05".as_slice()].concat();
        let sound = [b"fLaC".as_slice(), &[3; 900]].concat();
        let behind = [
            vec![],
            id3v1.clone(),
            enhanced,
            ape(b"items", false),
            ape(b"items", true),
            [ape(b"i", true), lyrics, id3v1.clone()].concat(),
            [old_lyrics, id3v1].concat(),
            with_footer.clone(),
        ];
        for before in [vec![], id3v2.clone(), [with_footer, id3v2].concat(), ape(b"long", true)] {
            for behind in &behind {
                let file = [&before[..], &sound, behind].concat();
                let input = Input::of_memory(Arc::new(file));
                let input = without_trailing(without_leading(input).unwrap()).unwrap();
                let found = input.peek(0, 10_000).unwrap();
                assert!(found == sound, "{} before, {} behind: {}", before.len(), behind.len(), found.len());
            }
        }
    }

    #[test]
    fn what_only_looks_like_a_tag_stays() {
        for bytes in
            [b"ID3".to_vec(), b"ID3\x04\0\0\xff\0\0\0abc".to_vec(), b"APETAGEX".to_vec(), b"TAG".to_vec()]
        {
            let len = bytes.len() as u64;
            let input = Input::of_memory(Arc::new(bytes));
            assert_eq!(without_trailing(without_leading(input).unwrap()).unwrap().len(), len);
        }
    }
}
