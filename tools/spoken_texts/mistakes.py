"""Speaks the canonical phones of a manifest with espeak-ng, some of them wrong: mistakes in the sound, with what was said.

    apt-get install espeak-ng
    python3 tools/spoken_texts/mistakes.py data/speechocean762/train.jsonl data/spoken_mistakes --utterances 800

What espeak-ng would say differently from what it is asked for (its voices have rules of their own) is left out.
Every phone is replaced with probability `--substitute` (a vowel by a vowel, a consonant by a consonant), left out with
`--delete`, and followed by a short vowel with `--insert`. Writes `*.wav` (22.05 kHz) and `train.jsonl` with `phones`
and `perceived_phones`, to be listed beside the manifest of the corpus in `data.train`.
"""

import argparse
import json
import random
import subprocess
import wave
from pathlib import Path

from speak import VOICES

# The accent that says an R at the end of a syllable.
ACCENT = "en-us"

VOWELS = {
    "AA": "A:", "AE": "a", "AH": "V", "AO": "O:", "AW": "aU", "AY": "aI", "EH": "E", "ER": "3:",
    "EY": "eI", "IH": "I", "IY": "i:", "OW": "oU", "OY": "OI", "UH": "U", "UW": "u:",
}
CONSONANTS = {
    "B": "b", "CH": "tS", "D": "d", "DH": "D", "F": "f", "G": "g", "HH": "h", "JH": "dZ", "K": "k", "L": "l",
    "M": "m", "N": "n", "NG": "N", "P": "p", "R": "r", "S": "s", "SH": "S", "T": "t", "TH": "T", "V": "v",
    "W": "w", "Y": "j", "Z": "z", "ZH": "Z",
}
SOUNDS = VOWELS | CONSONANTS


def said(phone, args, draw):
    """The phones that are said where `phone` is asked for."""
    chance = draw.random()
    if chance < args.substitute:
        kind = VOWELS if phone in VOWELS else CONSONANTS
        return [draw.choice([other for other in sorted(kind) if other != phone])]
    if chance < args.substitute + args.delete:
        return []
    return [phone, "AH"] if chance < args.substitute + args.delete + args.insert else [phone]


def spell(phones):
    """Phones as espeak-ng reads them: separated, since it would read T and SH as CH; every vowel stressed, since it reduces others."""
    stressed = next((i for i, phone in enumerate(phones) if phone in VOWELS), None)
    stress = lambda i, phone: "'" if i == stressed else "," if phone in VOWELS else ""
    return "|".join(stress(i, phone) + SOUNDS[phone] for i, phone in enumerate(phones))


def bare(spelled):
    """Without stress, separators and pauses."""
    return "".join(c for c in spelled if c not in "',|_ \n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="JSON lines with `id`, `text` and `phones`")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--utterances", type=int, default=800)
    parser.add_argument("--substitute", type=float, default=0.08)
    parser.add_argument("--delete", type=float, default=0.02)
    parser.add_argument("--insert", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    entries = [json.loads(line) for line in args.manifest.read_text().splitlines()]
    entries = [entry for entry in entries if all(phone in SOUNDS for phone in entry["phones"])]
    chosen = random.Random(args.seed).sample(entries, min(args.utterances, len(entries)))
    with open(args.out / "train.jsonl", "w") as manifest:
        for entry in chosen:
            draw = random.Random(f"{args.seed} {entry['id']}")
            voice = f"{ACCENT}+{draw.choice(VOICES)}"
            counts = entry.get("word_phones", [len(entry["phones"])])
            phones, words, perceived = iter(entry["phones"]), [], []
            for count in counts:
                word = [sound for _ in range(count) for sound in said(next(phones), args, draw)]
                words.append(spell(word))
                perceived.extend(word)
            text = f"[[{' '.join(filter(None, words))}]]"
            command = ["espeak-ng", "-v", voice, "-s", str(draw.randint(110, 180)), "-p", str(draw.randint(30, 70))]
            ask = [*command, "-q", "-x", "--stdin"]
            told = subprocess.run(ask, input=text, text=True, check=True, capture_output=True).stdout
            if not perceived or bare(told) != bare("".join(words)):
                continue
            path = args.out / f"{entry['id']}.wav"
            subprocess.run([*command, "-w", str(path), "--stdin"], input=text, text=True, check=True)
            with wave.open(str(path)) as sound:
                secs = round(sound.getnframes() / sound.getframerate(), 3)
            line = {"id": f"spoken-{entry['id']}", "audio": path.name, "duration_secs": secs, "text": entry["text"]}
            line |= {"speaker": voice, "phones": entry["phones"], "perceived_phones": perceived, "word_phones": counts}
            manifest.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
