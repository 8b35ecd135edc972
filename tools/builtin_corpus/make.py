"""Makes crates/data/builtin/corpus.tar: a small synthetic speech corpus with known phone errors.

    apt-get install espeak-ng sox vorbis-tools && pip install numpy
    python3 tools/builtin_corpus/make.py crates/data/builtin/corpus.tar

Needed only to change the corpus. Every sound is asked of espeak-ng phone by phone, never by
spelling, so the recorded phones are what was synthesised. Before an utterance is accepted:

* espeak-ng's report of what it will say, mapped back to ARPAbet, equals `perceived_phones`;
* each phone error on its own moves the log-mel spectrogram by at least `MIN_ERROR_DB`;
* the speech begins within 0.15 s, nothing clips, and the decoded length is the manifest's.

The same versions of the tools give the same bytes.
"""

import hashlib
import io
import json
import random
import re
import subprocess
import sys
import tarfile
import tempfile
import wave
from collections import Counter
from pathlib import Path

import numpy as np

SEED = 20
RATE = 16_000
VORBIS_QUALITY = "2"
UTTERANCES_PER_SPEAKER = {"train": 12, "dev": 15, "test": 15}
# The same words 5 % faster and a little higher come to 2.9-4.3 dB (5th-95th percentile).
MIN_ERROR_DB = 6.5
LEAD_SECS, TAIL_SECS = 0.06, 0.10

# split -> espeak-ng voice variant -> words per minute, pitch 0-99
SPEAKERS = {
    "train": {
        "m1": (160, 45), "m3": (150, 55), "m4": (170, 40), "m5": (165, 50), "m7": (165, 60), "m8": (155, 35),
        "Alex": (170, 50), "Andy": (160, 45), "Michael": (150, 55), "Mike": (165, 60), "edward": (155, 45),
        "robert": (160, 50), "f1": (155, 50), "f2": (165, 60), "f4": (160, 40), "f5": (170, 55), "Andrea": (150, 45),
        "Annie": (160, 50), "grandma": (165, 50), "steph": (160, 45),
    },
    "dev": {"m2": (160, 50), "Denis": (155, 50), "f3": (165, 50)},
    "test": {"m6": (155, 45), "Gene": (165, 55), "linda": (160, 55)},
}  # fmt: skip

# ARPAbet with stress (1 stressed, 0 not), as in a pronouncing dictionary.
LEXICON = {
    word: pronunciation.split()
    for word, pronunciation in (
        line.split(None, 1)
        for line in """
        zero Z IY1 R OW0
        one W AH1 N
        two T UW1
        three TH R IY1
        four F AO1 R
        five F AY1 V
        six S IH1 K S
        seven S EH1 V AH0 N
        eight EY1 T
        nine N AY1 N
        ten T EH1 N
        red R EH1 D
        blue B L UW1
        green G R IY1 N
        white W AY1 T
        black B L AE1 K
        yellow Y EH1 L OW0
        brown B R AW1 N
        orange AO1 R IH0 N JH
        open OW1 P AH0 N
        close K L OW1 Z
        stop S T AA1 P
        start S T AA1 R T
        play P L EY1
        turn T ER1 N
        move M UW1 V
        give G IH1 V
        take T EY1 K
        bring B R IH1 NG
        push P UH1 SH
        wash W AA1 SH
        watch W AA1 CH
        choose CH UW1 Z
        on AA1 N
        off AO1 F
        up AH1 P
        down D AW1 N
        left L EH1 F T
        right R AY1 T
        now N AW1
        please P L IY1 Z
        again AH0 G EH1 N
        thank TH AE1 NG K
        you Y UW0
        the DH AH0
        this DH IH1 S
        my M AY0
        light L AY1 T
        door D AO1 R
        window W IH1 N D OW0
        box B AA1 K S
        chair CH EH1 R
        cup K AH1 P
        fish F IH1 SH
        ship SH IH1 P
        toy T OY1
        van V AE1 N
        jacket JH AE1 K IH0 T
        music M Y UW1 Z IH0 K
        water W AO1 T ER0
        house HH AW1 S
        book B UH1 K
        room R UW1 M
        song S AO1 NG
        bath B AE1 TH
        """.strip().splitlines()
    )
}

NUMBERS = "zero one two three four five six seven eight nine ten".split()
COLOURS = "red blue green white black yellow brown orange".split()
NOUNS = "light door window box chair cup fish ship toy van jacket music water house book room song bath".split()
ACTIONS = "open close stop start play move give take bring push wash watch choose".split()
DETERMINERS = "the this my".split()
DIRECTIONS = "on off up down left right".split()
ENDINGS = "please;now;again;thank you".split(";")

# Sentence shapes; a name stands for one of its words, `E` for an ending.
SHAPES = [
    "A D N",
    "A D N E",
    "A D C N",
    "A N K",
    "A D N K",
    "D C N",
    "D C N E",
    "turn D N P",
    "turn N K P",
    "turn P E",
    "move P E",
    "A K C N",
    "K C N",
    "K K K",
    "K K K K",
    "N K E",
    "P P K",
]
SLOTS = {"A": ACTIONS, "D": DETERMINERS, "N": NOUNS, "C": COLOURS, "K": NUMBERS, "P": DIRECTIONS, "E": ENDINGS}

VOWELS = {
    "AA": "0", "AE": "a", "AH": "V", "AO": "O:", "AW": "aU", "AY": "aI", "EH": "E", "ER": "3:", "EY": "eI",
    "IH": "I", "IY": "i:", "OW": "oU", "OY": "OI", "UH": "U", "UW": "u:",
}  # fmt: skip
UNSTRESSED = VOWELS | {"AH": "@", "ER": "3"}
RHOTIC = {("AA", "R"): "A@", ("AO", "R"): "o@", ("EH", "R"): "e@"}
CONSONANTS = {
    "B": "b", "CH": "tS", "D": "d", "DH": "D", "F": "f", "G": "g", "HH": "h", "JH": "dZ", "K": "k", "L": "l", "M": "m",
    "N": "n", "NG": "N", "P": "p", "R": "r", "S": "s", "SH": "S", "T": "t", "TH": "T", "V": "v", "W": "w", "Y": "j",
    "Z": "z", "ZH": "Z",
}  # fmt: skip
# What espeak-ng may report instead of what it was asked: its allophones.
REPORTED = (
    {symbol: [phone] for phone, symbol in (*VOWELS.items(), *UNSTRESSED.items(), *CONSONANTS.items())}
    | {symbol: list(pair) for pair, symbol in RHOTIC.items()}
    | {"t#": ["T"], "t2": ["T"], "I2": ["IH"], "@2": ["AH"], "a#": ["AH"], "O2": ["AO"], "A:": ["AA"], "i": ["IY"]}
    | {";": [], "u": ["UW"], "aa": ["AE"], "n-": ["AH", "N"], "l#": ["L"], "r-": ["R"], "V2": ["AH"], "k#": ["K"]}
)

# What learners of English say instead, by place in the word.
SUBSTITUTIONS_ANYWHERE = {
    "TH": ["S", "T", "F"], "DH": ["D", "Z"], "V": ["W", "F", "B"], "W": ["V"], "SH": ["S"], "CH": ["SH"], "JH": ["CH"],
    "IH": ["IY"], "IY": ["IH"], "UH": ["UW"], "UW": ["UH"], "AE": ["AA"], "EH": ["IH"], "AO": ["OW"], "OW": ["AO"],
    "EY": ["EH"], "ER": ["AA"],
}  # fmt: skip
SUBSTITUTIONS_BEFORE_VOWEL = {"R": ["L"], "L": ["R"], "F": ["P"], "P": ["B"], "Y": ["JH"]}
SUBSTITUTIONS_FINAL = {"D": ["T"], "Z": ["S"], "V": ["F"]}
DELETED_WHEN_FINAL = {"T", "D", "K", "P", "S", "Z", "V", "N", "TH", "SH", "F"}
DELETED_WHEN_INITIAL = {"HH", "Y", "W"}


def base(phone):
    return phone.rstrip("01")


def is_vowel(phone):
    return base(phone) in VOWELS


class Draw:
    """Draws that stay the same from one Python to the next."""

    def __init__(self, seed):
        self.random = random.Random(seed).random

    def choice(self, items):
        return items[int(self.random() * len(items))]

    def between(self, low, high):
        return low + (high - low) * self.random()

    def shuffled(self, items):
        return [item for _, item in sorted(((self.random(), item) for item in items), key=lambda pair: pair[0])]


def sentences(count, draw):
    """Different sentences; of several drafts the one with the rarest words wins."""
    seen, uses, result = set(), Counter(), []
    while len(result) < count:
        drafts = []
        for _ in range(24):
            words = [draw.choice(SLOTS[part]) if part in SLOTS else part for part in draw.choice(SHAPES).split()]
            text = " ".join(words)
            split = text.split()
            if text not in seen and 2 <= len(split) <= 5 and all(a != b for a, b in zip(split, split[1:])):
                drafts.append((sum(uses[word] for word in split) / len(split), text))
        text = min(drafts)[1]
        seen.add(text)
        uses.update(text.split())
        result.append(text)
    missing = set(LEXICON) - set(uses)
    assert not missing, f"never said: {missing}"
    return result


def errors_possible(words):
    """Every single error: (kind, word, first phone, phones replaced, replacement)."""
    found = []
    for w, phones in enumerate(words):
        after_word = base(words[w + 1][0]) if w + 1 < len(words) else None
        for i, phone in enumerate(phones):
            name, stress = base(phone), phone[len(base(phone)) :]
            final = i == len(phones) - 1
            before_vowel = not final and is_vowel(phones[i + 1])
            substitutes = list(SUBSTITUTIONS_ANYWHERE.get(name, []))
            substitutes += SUBSTITUTIONS_BEFORE_VOWEL.get(name, []) if before_vowel else []
            substitutes += SUBSTITUTIONS_FINAL.get(name, []) if final else []
            if not final and base(phones[i + 1]) == "R":
                substitutes = [] if is_vowel(phone) else substitutes  # the vowel and R are one sound
            found += [("substitution", w, i, 1, [new + stress]) for new in substitutes]
            if final and len(phones) > 2 and name in DELETED_WHEN_FINAL and name != after_word:
                found.append(("deletion", w, i, 1, []))
            if i == 0 and name in DELETED_WHEN_INITIAL and before_vowel:
                found.append(("deletion", w, i, 1, []))
            if i == 0 and name == "S" and not before_vowel:
                found.append(("insertion", w, i, 0, ["EH0"]))
            if i == 1 and name in {"L", "R"} and not is_vowel(phones[0]):
                found.append(("insertion", w, i, 0, ["AH0"]))
            if final and name in {"D", "T", "K", "P", "CH", "SH", "JH"}:
                found.append(("insertion", w, i + 1, 0, ["AH0"]))
    return found


def with_error(words, error):
    _, w, i, removed, new = error
    changed = [list(word) for word in words]
    changed[w][i : i + removed] = new
    return changed


def espeak_input(words):
    """ARPAbet to espeak-ng phoneme input."""
    phones = [(phone, i == 0) for word in words for i, phone in enumerate(word)]
    following = [base(phone) for phone, _ in phones[1:]] + [None, None]
    out, skip = "", False
    for i, (phone, starts_word) in enumerate(phones):
        if skip:
            skip = False
            continue
        name = base(phone)
        out += " " if starts_word else "|"
        out += "'" if phone.endswith("1") else ""
        same_word = i + 1 < len(phones) and not phones[i + 1][1]
        ends_there = i + 2 >= len(phones) or phones[i + 2][1] or not is_vowel(following[i + 1])
        if (name, following[i]) in RHOTIC and same_word and ends_there:
            out += RHOTIC[name, following[i]]
            skip = True
        elif phone == "AH0" and following[i] == "R":
            out += "@2"  # with plain @ espeak-ng says ER here
        else:
            out += ((UNSTRESSED if phone.endswith("0") else VOWELS) | CONSONANTS)[name]
    return f"[[{out.strip()}]]"


def run(*command, data=None):
    return subprocess.run(command, input=data, check=True, capture_output=True).stdout


class SaidOtherwise(Exception):
    """espeak-ng changes some phones by their surroundings, such as a final IH to IY."""


def reported_phones(voice, spoken):
    """The phones that espeak-ng says it will say."""
    text = run("espeak-ng", "-q", "-x", "--sep=_", "-v", voice, spoken).decode()
    symbols = [symbol for symbol in re.split(r"[\s_]+", re.sub("[',=%]", "", text)) if symbol]
    return [phone for symbol in symbols for phone in REPORTED[symbol]]


def synthesise(speaker, words):
    """16 kHz samples in [-1, 1], speech trimmed out; with a check of what was said."""
    variant, speed, pitch = speaker
    voice, spoken = f"en-us+{variant}", espeak_input(words)
    wanted = [base(phone) for word in words for phone in word]
    reported = reported_phones(voice, spoken)
    # The R at the end of a word is reported again as the link to a vowel.
    one_r = lambda phones: re.sub(r"\b(E?R) R\b", r"\1", " ".join(phones))
    if one_r(reported) != one_r(wanted):
        raise SaidOtherwise(f"asked for {wanted}, espeak-ng says {reported}")
    # Amplitude 60: the loudest voices clip at the default of 100.
    wav = run("espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "-a", "60", "--stdout", spoken)
    # espeak-ng does not know the length when it writes the header: sox reads to the end.
    raw = run("sox", "--ignore-length", "-t", "wav", "-", "-t", "raw", "-e", "floating-point", "-b", "32", "-",
              "rate", "-h", str(RATE), data=wav)  # fmt: skip
    samples = np.frombuffer(raw, dtype="<f4").astype(np.float64)
    assert np.abs(samples).max() < 0.99, "clipped in the synthesiser"
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    lead, tail = int(LEAD_SECS * RATE), int(TAIL_SECS * RATE)
    padded = np.concatenate([np.zeros(lead), samples, np.zeros(tail + 160)])
    start, end = loud[0], loud[-1] + lead + tail
    return padded[start : end + (start - end) % 160]  # whole frames of 10 ms


def log_mel(samples):
    """[frames, 40] in dB, floored 60 dB under the peak; 25 ms windows every 10 ms."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 400)[::160] * np.hanning(400)
    power = np.abs(np.fft.rfft(frames, 512)) ** 2
    mel = lambda hz: 2595 * np.log10(1 + hz / 700)
    points = np.linspace(mel(60), mel(7800), 42)
    position = np.interp(mel(np.arange(257) * RATE / 512), points, np.arange(42))
    bank = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(1, 41)))
    energy = power @ bank
    return 10 * np.log10(np.maximum(energy, energy.max() * 1e-6))


def error_db(a, b):
    """Largest mean difference over 50 ms along the best alignment in time, in dB."""
    a, b = log_mel(a), log_mel(b)
    local = np.abs(a[:, None] - b[None]).mean(axis=2)
    total = np.full((len(a) + 1, len(b) + 1), np.inf)
    total[0, 0] = 0
    for i in range(len(a)):
        for j in range(len(b)):
            total[i + 1, j + 1] = local[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    i, j, path = len(a), len(b), []
    while i and j:
        path.append(local[i - 1, j - 1])
        i, j = min([(i - 1, j - 1), (i - 1, j), (i, j - 1)], key=lambda cell: total[cell])
    return np.convolve(path, np.ones(5) / 5, "valid").max()


def draw_errors(words, speaker, draw):
    """One to three audible errors in different words."""
    wanted = min(len(words), [1, 1, 1, 2, 2, 3][int(draw.random() * 6)])
    canonical = synthesise(speaker, words)
    chosen = []
    # First the kind, so that the many substitutions do not crowd out the rest.
    kinds = {"substitution": 0.6, "deletion": 0.25, "insertion": 0.15}
    candidates = errors_possible(words)
    while candidates and len(chosen) < wanted:
        left = {kind: weight for kind, weight in kinds.items() if any(c[0] == kind for c in candidates)}
        at = draw.random() * sum(left.values())
        for kind, weight in left.items():
            at -= weight
            if at < 0:
                break
        error = draw.choice([c for c in candidates if c[0] == kind])
        try:
            distance = error_db(canonical, synthesise(speaker, with_error(words, error)))
        except SaidOtherwise:
            distance = 0.0
        if distance < MIN_ERROR_DB:
            candidates.remove(error)
            continue
        chosen.append((error, distance))
        candidates = [c for c in candidates if c[1] != error[1]]
    return chosen


def encode(samples, folder, serial):
    """Ogg Vorbis bytes, checked by decoding."""
    pcm = np.round(samples * 32767).astype("<i2")
    wav, ogg = folder / "a.wav", folder / "a.ogg"
    with wave.open(str(wav), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(RATE)
        file.writeframes(pcm.tobytes())
    run("oggenc", "-Q", "-q", VORBIS_QUALITY, "-s", str(serial), "-o", str(ogg), str(wav))
    decoded = np.frombuffer(run("oggdec", "-Q", "-R", "-o", "-", str(ogg)), dtype="<i2") / 32768
    assert len(decoded) == len(pcm), f"{len(pcm)} samples became {len(decoded)}"
    assert np.abs(decoded).max() < 0.98, "clipped"
    assert np.flatnonzero(np.abs(decoded) > 0.02 * np.abs(decoded).max())[0] < 0.15 * RATE, "silence first"
    return ogg.read_bytes()


def main(target):
    draw = Draw(SEED)
    speakers = [(split, variant, *rest) for split, group in SPEAKERS.items() for variant, rest in group.items()]
    texts = iter(sentences(sum(UTTERANCES_PER_SPEAKER[speaker[0]] for speaker in speakers), draw))
    manifest, audio, distances, kinds, serial = [], {}, [], Counter(), 0
    for split, variant, speed, pitch in speakers:
        count, name = UTTERANCES_PER_SPEAKER[split], variant.lower()
        erroneous = set(draw.shuffled(range(count))[: count // 3])
        for number in range(count):
            text = next(texts)
            speaker = (variant, round(speed * draw.between(0.92, 1.08)), round(pitch + draw.between(-5, 5)))
            words = [LEXICON[word] for word in text.split()]
            spoken = words
            if number in erroneous:
                errors = draw_errors(words, speaker, draw)
                assert errors, f"no audible error is possible in `{text}`"
                # From the end, so that earlier positions stay what they are.
                for error, distance in sorted(errors, key=lambda pair: pair[0][1], reverse=True):
                    spoken = with_error(spoken, error)
                    distances.append(distance)
                    kinds[error[0]] += 1
            samples = synthesise(speaker, spoken)
            # -23 dBFS give or take 3, as far as the peaks allow.
            gain = 10 ** (draw.between(-26, -20) / 20) / np.sqrt(np.mean(samples**2))
            samples = samples * min(gain, 0.85 / np.abs(samples).max())
            serial += 1
            identifier = f"{name}-{number:02}"
            with tempfile.TemporaryDirectory() as folder:
                audio[identifier] = encode(samples, Path(folder), serial)
            manifest.append(
                {
                    "id": identifier,
                    "audio": f"audio/{identifier}.ogg",
                    "duration_secs": len(samples) / RATE,
                    "text": text,
                    "speaker": name,
                    "phones": [base(phone) for word in words for phone in word],
                    "perceived_phones": [base(phone) for word in spoken for phone in word],
                    "split": split,
                }
            )
        print(f"{split} {name}: {sum(u['duration_secs'] for u in manifest if u['speaker'] == name):.1f} s", flush=True)
    manifest.sort(key=lambda utterance: utterance["id"])
    lines = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in manifest)
    write_tar(target, [("manifest.jsonl", lines.encode())] + [(u["audio"], audio[u["id"]]) for u in manifest])
    report(target, manifest, distances, kinds)


def write_tar(target, members):
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(data), 0o644, 0
            tar.addfile(entry, io.BytesIO(data))


def report(target, manifest, distances, kinds):
    seconds = [u["duration_secs"] for u in manifest]
    uses = Counter(word for u in manifest if u["split"] == "train" for word in u["text"].split())
    phones = sum(len(u["phones"]) for u in manifest)
    print(f"{len(manifest)} utterances, {sum(seconds):.1f} s, {min(seconds):.2f} to {max(seconds):.2f} s each")
    print(f"{len(LEXICON)} words, in train {min(uses.values())} to {max(uses.values())} times each")
    print(f"{phones} phones, errors: {dict(kinds)} = {sum(kinds.values()) / phones:.1%}")
    print(f"dB moved by an error: least {min(distances):.1f}, median {np.median(distances):.1f}")
    data = Path(target).read_bytes()
    print(f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main(sys.argv[1])
