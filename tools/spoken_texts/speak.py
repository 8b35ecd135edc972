"""Reads the texts of a manifest aloud with espeak-ng, each in a voice of its own: speech to compare latents of text with.

    apt-get install espeak-ng
    python3 tools/spoken_texts/speak.py text-only.jsonl data/spoken --seed 1

Writes `data/spoken/*.wav` (22.05 kHz) and `data/spoken/train.jsonl`, a NeMo-like manifest for `auricle data convert`.
"""

import argparse
import json
import random
import subprocess
import wave
from pathlib import Path

VOICES = [f"m{i}" for i in range(1, 9)] + [f"f{i}" for i in range(1, 6)]
ACCENTS = ["en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="JSON lines with `id` and `text`")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with open(args.out / "train.jsonl", "w") as manifest:
        for line in args.manifest.read_text().splitlines():
            entry = json.loads(line)
            draw = random.Random(f"{args.seed} {entry['id']}")
            voice = f"{draw.choice(ACCENTS)}+{draw.choice(VOICES)}"
            path = args.out / f"{entry['id']}.wav"
            speed, pitch = str(draw.randint(140, 200)), str(draw.randint(30, 70))
            command = ["espeak-ng", "-v", voice, "-s", speed, "-p", pitch, "-w", str(path), "--stdin"]
            subprocess.run(command, input=entry["text"], text=True, check=True)
            with wave.open(str(path)) as sound:
                secs = sound.getnframes() / sound.getframerate()
            line = {"audio_filepath": path.name, "duration": secs, "text": entry["text"], "speaker": voice}
            manifest.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
