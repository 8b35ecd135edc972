//! Headers that are wrong about the length, ends that are missing, tags: what is there is read, and what is wrong is said.

#![allow(clippy::unwrap_used)] // helpers of tests may fail like tests

mod common;

use std::path::Path;

use auricle_audio::{Audio, AudioError, AudioInfo, Limits, WarningKind, read_bytes, stream_bytes};
use common::fixture;
use common::make::{Flac, Wav, ogg_of, ogg_pages, seal_ogg, sound, with_serial};

fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(fixture("fixtures").join(name)).unwrap()
}

fn read(bytes: &[u8]) -> Result<Audio, AudioError> {
    read_bytes(Path::new("recording"), bytes.to_vec(), &Limits::default())
}

/// What is read, in samples, and what is said.
fn heard(bytes: &[u8]) -> (usize, Vec<WarningKind>) {
    let audio = read(bytes).unwrap();
    (audio.samples.len(), audio.warnings.into_iter().map(|w| w.kind).collect())
}

fn info(bytes: &[u8]) -> AudioInfo {
    stream_bytes(Path::new("recording"), bytes.to_vec(), &Limits::default()).unwrap().info().clone()
}

/// A header never promises exactly what decoding does not give: lists are made from it, and audio is cut to it.
fn assert_header_keeps_its_word(bytes: &[u8], name: &str) {
    if let Some(promised) = info(bytes).exact_num_samples() {
        assert_eq!(promised, read(bytes).unwrap().samples.len() as u64, "{name}");
    }
}

#[test]
fn wav_lengths_that_recorders_leave_behind() {
    let data = sound(16_000);
    let open = [
        0,
        0x7f00_0000,
        0x7fff_0000,
        0x7fff_f000,
        0x7fff_ff00,
        0x7fff_ffff,
        0x7fff_ffdb,
        0x8000_0000,
        0x8000_0024,
        0xffff_f000,
        0xffff_ff00,
        0xffff_ffdb,
        0xffff_fffe,
        u32::MAX,
    ];
    for data_bytes in open {
        for riff_bytes in [0, 36, data_bytes.wrapping_add(36), u32::MAX, 0x7fff_ffff] {
            for before in [vec![], b"LIST\x04\0\0\0INFO".to_vec(), b"junk\x03\0\0\0abc\0".to_vec()] {
                let wav = Wav { riff_bytes, data_bytes, before, ..Wav::of(0) };
                let file = wav.file(&data);
                assert_eq!(heard(&file), (16_000, vec![]), "{data_bytes:#x}, {riff_bytes:#x}");
                assert_eq!(info(&file).exact_num_samples(), Some(16_000));
                // Half a sample more is no sample.
                assert_eq!(heard(&wav.file(&[&data[..], &[1]].concat())), (16_000, vec![]));
            }
        }
        // A tag behind the sound is no sound, and silence is.
        let tagged = [&data[..], b"TAG", &[b'x'; 125]].concat();
        assert_eq!(heard(&Wav { data_bytes, ..Wav::of(0) }.file(&tagged)), (16_000, vec![]));
        assert_eq!(heard(&Wav { data_bytes, ..Wav::of(0) }.file(&[0; 2_000])), (1_000, vec![]));
        // Other codecs have the same lengths: µ-law, float of 64 bits, ADPCM of IMA.
        let wav = |tag, bits| Wav { tag, bits, data_bytes, ..Wav::of(0) };
        assert_eq!(heard(&wav(7, 8).file(&data)).0, 32_000);
        let halves: Vec<u8> = [0.5f64; 100].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(heard(&wav(3, 64).file(&halves)), (100, vec![]));
    }
}

#[test]
fn wav_lengths_against_both_sides() {
    let data = sound(16_000);
    let at = |data_bytes: u32| Wav { data_bytes, ..Wav::of(0) }.file(&data);
    // More than there is.
    for (data_bytes, expected) in [(40_000, 20_000), (64_001, 32_000), (0x00ff_ffff, 0x007f_ffff)] {
        let truncated = WarningKind::Truncated {
            position_samples: 16_000,
            expected_samples: Some(expected),
            sample_rate: 16_000,
        };
        assert_eq!(heard(&at(data_bytes)), (16_000, vec![truncated]));
    }
    // A part of one sample is no loss.
    assert_eq!(heard(&at(32_001)), (16_000, vec![]));
    // Less than there is.
    for data_bytes in [2u32, 36, 44, 1_001, 16_000] {
        let (position_samples, expected_samples, sample_rate) = (16_000, u64::from(data_bytes / 2), 16_000);
        let longer = WarningKind::LongerThanHeader { position_samples, expected_samples, sample_rate };
        assert_eq!(heard(&at(data_bytes)), (16_000, vec![longer]), "{data_bytes}");
    }
    // What is behind the sound by right is none.
    let behind: [&[u8]; 7] = [
        b"LIST\x04\0\0\0INFO",
        b"id3 \x03\0\0\0abc\0LIST\x04\0\0\0INFO",
        b"LIST\x03\0\0\0abc",
        &[0; 5_000],
        &[b"TAG".as_slice(), &[7; 125]].concat(),
        b"ID3\x04\0\0\0\0\0\x05hello",
        b"",
    ];
    for rest in behind {
        let file = [&Wav::of(data.len()).file(&data)[..], rest].concat();
        assert_eq!(heard(&file), (16_000, vec![]), "{rest:?}");
        let odd = [&Wav { bits: 8, ..Wav::of(999) }.file(&data[..999])[..], &[0], rest].concat();
        assert_eq!(heard(&odd), (999, vec![]), "{rest:?}");
    }
    let file = [&Wav::of(data.len()).file(&data)[..], b"some words"].concat();
    assert_eq!(heard(&file), (16_000, vec![WarningKind::SkippedAfterSound { bytes: 10 }]));
    // An empty recording with other chunks stays empty.
    let empty = Wav::of(0).file(b"LIST\x04\0\0\0INFO");
    assert!(matches!(read(&empty), Err(AudioError::Empty { .. })));
}

#[test]
fn long_wav_files_say_their_length_elsewhere() {
    let data = sound(500);
    for (long, warns) in [(1_000u64, false), (u64::MAX, false), (u64::from(u32::MAX), false), (3_000, true)] {
        let sizes = [&(long.wrapping_add(80)).to_le_bytes()[..], &long.to_le_bytes(), &[0; 12]].concat();
        let before = [b"ds64\x1c\0\0\0".as_slice(), &sizes].concat();
        for magic in [b"RF64", b"BW64"] {
            let wav = Wav {
                magic,
                riff_bytes: u32::MAX,
                data_bytes: u32::MAX,
                before: before.clone(),
                ..Wav::of(0)
            };
            let (samples, said) = heard(&wav.file(&data));
            assert_eq!((samples, said.is_empty()), (500, !warns), "{long}");
        }
    }
    let error = read(&[b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb".as_slice(), &[0; 100]].concat()).unwrap_err();
    assert!(error.to_string().contains("Sony Wave64") && error.to_string().contains("convert"), "{error}");
}

/// Frames of a FLAC file of one second.
fn flac(total: u64, min_block: u16, max_block: u16) -> Vec<u8> {
    let flac = Flac { rate: 16_000, channels: 2, min_block, max_block, total, md5: [0; 16] };
    flac.file((0..15).map(|n| (1_000, n * 100)).chain([(999, 7)]))
}

const FLAC_SAMPLES: usize = 15_999;

#[test]
fn flac_whose_header_says_other_sizes() {
    for total in [0, FLAC_SAMPLES as u64] {
        for (min_block, max_block) in
            [(1_000, 1_000), (0, 1_000), (0, 0), (16, 4_608), (1_000, 16), (7, 65_535)]
        {
            let file = flac(total, min_block, max_block);
            assert_eq!(heard(&file), (FLAC_SAMPLES, vec![]), "{total}, {min_block}, {max_block}");
            assert_header_keeps_its_word(&file, "flac");
        }
    }
}

#[test]
fn flac_whose_total_is_wrong() {
    let (position_samples, sample_rate) = (FLAC_SAMPLES as u64, 16_000);
    for expected_samples in [1, 999, 15_000, 15_998] {
        let file = flac(expected_samples, 1_000, 1_000);
        let longer = WarningKind::LongerThanHeader { position_samples, expected_samples, sample_rate };
        assert_eq!(heard(&file), (FLAC_SAMPLES, vec![longer]));
        assert_eq!(info(&file).exact_num_samples(), None);
    }
    for expected in [16_000, 40_000, (1 << 36) - 1] {
        let file = flac(expected, 1_000, 1_000);
        let expected_samples = Some(expected);
        let truncated = WarningKind::Truncated { position_samples, expected_samples, sample_rate };
        assert_eq!(heard(&file), (FLAC_SAMPLES, vec![truncated]));
        assert_eq!(info(&file).exact_num_samples(), None);
    }
    // Bits of the total in a real file, whose checksum proves that nothing is missing.
    let original = bytes_of("mono.flac");
    for bit in 0..36 {
        let mut file = original.clone();
        file[25 - bit / 8] ^= 1 << (bit % 8);
        let (samples, said) = heard(&file);
        assert_eq!(samples, 9_600);
        let is_named = matches!(
            said[..],
            [WarningKind::LongerThanHeader { .. } | WarningKind::ShorterThanHeader { .. }] | []
        );
        // A total of 0 is "unknown".
        assert!(is_named && (said.is_empty() == (info(&file).num_samples.is_none())), "{bit}: {said:?}");
        assert_header_keeps_its_word(&file, "flac");
    }
    // A checksum that is wrong itself is said, not believed.
    let mut file = original;
    file[30] ^= 1;
    assert_eq!(heard(&file), (9_600, vec![WarningKind::ChecksumMismatch]));
}

#[test]
fn tags_before_and_behind_every_format() {
    let id3v1 = [b"TAG".as_slice(), &[b'x'; 125]].concat();
    let ape = [
        b"APETAGEX\xd0\x07\0\0".as_slice(),
        &40u32.to_le_bytes(),
        &[1, 0, 0, 0],
        &[0; 12],
        b"8 bytes.",
        b"APETAGEX\xd0\x07\0\0",
        &40u32.to_le_bytes(),
        &[1, 0, 0, 0],
        &0x8000_0000u32.to_le_bytes(),
        &[0; 8],
    ];
    // The header in front says that it is one.
    let mut ape = ape.concat();
    ape[20..24].copy_from_slice(&0xa000_0000u32.to_le_bytes());
    let id3v2 = [b"ID3\x04\0\0\0\0\x02\x00".as_slice(), &[0xff; 256]].concat();
    let lyrics = b"LYRICSBEGININD0000200000021LYRICS200".to_vec();
    let last = [&lyrics[..], &id3v1].concat();
    let samples = |name: &str| heard(&bytes_of(name)).0;
    for name in ["mono.flac", "stereo.flac", "mono.ogg", "mono.mp3"] {
        let bytes = bytes_of(name);
        for before in [&[][..], &id3v2, &id3v2.repeat(2)] {
            for behind in [&[][..], &id3v1, &ape, &last, &[&ape[..], &id3v1].concat()] {
                let file = [before, &bytes, behind].concat();
                assert_eq!(heard(&file), (samples(name), vec![]), "{name}");
                assert_header_keeps_its_word(&file, name);
            }
        }
    }
    // Bytes that are no tag are left out, too, and said; also where the header does not know the total.
    for total in [0, FLAC_SAMPLES as u64] {
        let file = [&flac(total, 1_000, 1_000)[..], &[0x41; 3_000]].concat();
        assert_eq!(heard(&file), (FLAC_SAMPLES, vec![WarningKind::SkippedAfterSound { bytes: 3_000 }]));
    }
    let file = [&[0x55; 300][..], &bytes_of("mono.mp3")[45..]].concat();
    let (_, said) = heard(&file);
    assert!(matches!(said[..], [WarningKind::SkippedBeforeSound { .. }]), "{said:?}");
}

#[test]
fn half_a_file_gives_half_its_sound() {
    let wav = Wav::of(19_200).file(&sound(9_600));
    for (name, bytes, header) in [
        ("wav", wav, 44),
        ("flac without total", flac(0, 1_000, 1_000), 42),
        ("flac", flac(FLAC_SAMPLES as u64, 1_000, 1_000), 42),
        ("mono.flac", bytes_of("mono.flac"), 8_400),
        ("stereo.flac", bytes_of("stereo.flac"), 8_400),
        ("mono.ogg", bytes_of("mono.ogg"), 3_500),
        ("mono.mp3", bytes_of("mono.mp3"), 600),
    ] {
        let whole = read(&bytes).unwrap().samples;
        for percent in [5, 20, 35, 50, 65, 80, 95, 99] {
            let len = header + (bytes.len() - header) * percent / 100;
            let cut = &bytes[..len];
            match read(cut) {
                Ok(audio) => {
                    assert!(audio.samples.len() < whole.len(), "{name} at {percent} %");
                    // Lossy formats may end their last block in another way.
                    let same =
                        audio.samples.len().saturating_sub(if name.contains("mono.") { 1_200 } else { 0 });
                    assert!(audio.samples[..same] == whole[..same], "{name} at {percent} %");
                    let said: Vec<_> = audio.warnings.into_iter().map(|w| w.kind).collect();
                    // Without a total, a file that ends between two frames is whole for all that can be known.
                    let unknown = name == "flac without total" && said.is_empty() && (len - 42) % 16 == 0;
                    let is_said = matches!(said[..], [WarningKind::Truncated { .. }]) || unknown;
                    assert!(is_said, "{name} at {percent} %: {said:?}");
                    assert_header_keeps_its_word(cut, name);
                }
                // Before the first frame is whole, there is nothing.
                Err(AudioError::Truncated { position_samples: 0, .. }) => {
                    assert!(percent <= 35 || name == "mono.ogg", "{name} at {percent} %");
                }
                Err(e) => panic!("{name} at {percent} %: {e}"),
            }
        }
    }
}

#[test]
fn half_an_mp4_has_no_index_or_half_its_sound() {
    let bytes = bytes_of("mono.m4a");
    let error = read(&bytes[..bytes.len() / 2]).unwrap_err().to_string();
    assert!(error.contains("index") && error.contains("fetch it again"), "{error}");
    // The same file with the index in front, as for the web: places move by the length of the index.
    let moov = bytes.windows(4).position(|w| w == b"moov").unwrap() - 4;
    let mdat = bytes.windows(4).position(|w| w == b"mdat").unwrap() - 4;
    assert!(mdat < moov);
    let mut index = bytes[moov..].to_vec();
    let by = index.len() as u32;
    let stco = index.windows(4).position(|w| w == b"stco").unwrap();
    let count = u32::from_be_bytes(*index[stco + 8..].first_chunk().unwrap()) as usize;
    for place in index[stco + 12..].as_chunks_mut::<4>().0.iter_mut().take(count) {
        *place = (u32::from_be_bytes(*place) + by).to_be_bytes();
    }
    let front = [&bytes[..mdat], &index, &bytes[mdat..moov]].concat();
    let whole = read(&front).unwrap().samples;
    assert_eq!(whole, read(&bytes).unwrap().samples);
    for percent in [60, 80, 95] {
        let cut = &front[..front.len() * percent / 100];
        let audio = read(cut).unwrap();
        assert!(audio.samples.len() < whole.len() && audio.samples[..] == whole[..audio.samples.len()]);
        let [warning] = &audio.warnings[..] else { panic!("{:?}", audio.warnings) };
        assert!(matches!(warning.kind, WarningKind::Truncated { .. }));
        assert!(
            warning.to_string().starts_with("recording: the end of the recording is missing"),
            "{warning}"
        );
        assert_header_keeps_its_word(cut, "m4a");
    }
}

#[test]
fn chained_ogg_is_one_recording() {
    let one = bytes_of("mono.ogg");
    let samples = read(&one).unwrap().samples;
    // With different numbers as the standard wants, and with the same as `cat` makes it.
    for file in [[&one[..], &with_serial(&one, 99)].concat(), one.repeat(2)] {
        let audio = read(&file).unwrap();
        assert_eq!(audio.warnings, []);
        assert_eq!(audio.samples, samples.repeat(2));
        assert_eq!(info(&file).exact_num_samples(), None);
        // Its second half cut.
        let (len, said) = heard(&file[..file.len() - 500]);
        assert!(len > samples.len() && len < 2 * samples.len(), "{len}, {said:?}");
        assert!(matches!(said[..], [WarningKind::Truncated { .. }]), "{said:?}");
        // Without any of its sound, the second one is missed all the same.
        let (len, said) = heard(&file[..file.len() - 1_200]);
        assert_eq!(len, samples.len());
        assert!(matches!(said[..], [WarningKind::Truncated { .. }]), "{said:?}");
    }
}

#[test]
fn a_hole_in_the_middle_is_an_error() {
    let ogg = bytes_of("mono.ogg");
    let pages = ogg_pages(&ogg);
    println!("{} pages", pages.len());
    // Cut into more pages, so that one can be missing: the file is joined from its own parts.
    let flac = flac(FLAC_SAMPLES as u64, 1_000, 1_000);
    let mut damaged = flac.clone();
    let middle = 42 + (flac.len() - 42) / 2;
    damaged[middle] ^= 4;
    assert!(matches!(read(&damaged), Err(AudioError::Corrupt { .. })));
    let mut missing = flac.clone();
    missing.drain(middle..middle + 20);
    assert!(matches!(read(&missing), Err(AudioError::Corrupt { .. })));
    if let [.., third, second, _] = pages[..] {
        let mut damaged = ogg.clone();
        damaged[third + 60] ^= 1;
        assert!(read(&damaged).is_err());
        let mut missing = ogg;
        missing.drain(third..second);
        seal_ogg(&mut missing);
        assert!(read(&missing).is_err());
    }
}

#[test]
fn codecs_that_cannot_be_decoded_are_named() {
    for (packet, name) in [
        (&b"OpusHead\x01\x01"[..], "Opus in an Ogg file"),
        (b"Speex   1.2", "Speex in an Ogg file"),
        (b"\x80theora", "Theora video in an Ogg file"),
        (b"whatever", "an unknown codec in an Ogg file"),
    ] {
        let error = read(&ogg_of(packet)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("convert it to FLAC or WAV"), "{error}");
    }
    for (tag, name) in [(0x31, "GSM 6.10"), (0x55, "MP3"), (0x161, "Windows Media"), (0x1234, "codec 0x1234")]
    {
        let error = read(&Wav { tag, ..Wav::of(100) }.file(&sound(50))).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("in a WAV file"), "{error}");
    }
    let mut alac = bytes_of("mono.m4a");
    let stsd = alac.windows(4).position(|w| w == b"stsd").unwrap();
    alac[stsd + 16..stsd + 20].copy_from_slice(b"alac");
    let esds = alac.windows(4).position(|w| w == b"esds").unwrap();
    alac[esds..esds + 4].copy_from_slice(b"free");
    let error = read(&alac).unwrap_err().to_string();
    assert!(error.contains("Apple Lossless in an MP4 file"), "{error}");
}

#[test]
fn a_broken_magic_number_is_no_other_format() {
    for name in ["mono.flac", "stereo.flac", "mono.ogg", "mono.m4a"] {
        let bytes = bytes_of(name);
        let at = if name == "mono.m4a" { 4 } else { 0 };
        for byte in at..at + 4 {
            for value in [0, 0x20, 0x7f, 0xff] {
                let mut broken = bytes.clone();
                broken[byte] ^= value | 1;
                let error = read(&broken).unwrap_err();
                assert!(
                    matches!(error, AudioError::UnknownFormat { .. } | AudioError::UnsupportedFormat { .. }),
                    "{name}: {error}"
                );
            }
        }
    }
    let error = read(&Wav { magic: b"RIFG", ..Wav::of(100) }.file(&sound(50))).unwrap_err().to_string();
    assert!(error.contains("almost those of a WAV file"), "{error}");
}

#[test]
fn rates_and_channels_out_of_range_are_named() {
    for rate in [1, 8, 999, 768_001, u32::MAX] {
        let error = read(&Wav { rate, ..Wav::of(100) }.file(&sound(50))).unwrap_err();
        assert!(
            matches!(error, AudioError::SampleRate { sample_rate, .. } if sample_rate == rate),
            "{error}"
        );
    }
    for (rate, channels) in [(0, 1), (16_000, 0)] {
        let error = read(&Wav { rate, channels, ..Wav::of(100) }.file(&sound(50))).unwrap_err();
        assert!(matches!(error, AudioError::BadHeader { .. }), "{error}");
    }
    let error = read(&Wav { channels: 33, ..Wav::of(100) }.file(&sound(50))).unwrap_err();
    assert!(matches!(error, AudioError::TooManyChannels { channels: 33, limit: 32, .. }), "{error}");
    // A FLAC header that its frames deny.
    let mut file = flac(0, 1_000, 1_000);
    file[20] ^= 2; // channels
    assert!(read(&file).is_err());
}
