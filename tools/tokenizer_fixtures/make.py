"""Makes crates/text/tests/data with Google's SentencePiece (development only; `pip install sentencepiece`).

    python tools/tokenizer_fixtures/make.py

Text: the lines of LICENSE-APACHE, which the tests read too. Two small models, and what SentencePiece makes of some texts.
"""
import json
import pathlib
import re

import sentencepiece as spm

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "crates/text/tests/data"
OUT.mkdir(parents=True, exist_ok=True)

letters = re.sub(r"[^a-z\n]", " ", (ROOT / "LICENSE-APACHE").read_text().lower())
texts = sorted({" ".join(line.split()) for line in letters.splitlines()} - {""})

cases = texts[::7] + [
    "the unanimous quartz jumped over zealous vexing fog",
    "don't you know it's o'clock",
    "aaaaaaaaaa bbbb a",
    "",
    "   spaces   everywhere ",
    "naïve café zz9 xx77yy",
]
expected = {}
for kind, special in [
    ("unigram", dict(pad_id=0, unk_id=1, bos_id=2, eos_id=3)),
    ("bpe", dict(pad_id=0, unk_id=1, bos_id=-1, eos_id=-1)),
]:
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_prefix=str(OUT / kind),
        vocab_size=150,
        model_type=kind,
        normalization_rule_name="identity",
        character_coverage=1.0,
        minloglevel=2,
        **special,
    )
    (OUT / f"{kind}.vocab").unlink()
    model = spm.SentencePieceProcessor(model_file=str(OUT / f"{kind}.model"))
    expected[kind] = {
        "ids": [model.encode(text) for text in cases],
        "decoded": [model.decode(model.encode(text)) for text in cases],
    }
expected["texts"] = cases
(OUT / "expected.json").write_text(json.dumps(expected) + "\n")
