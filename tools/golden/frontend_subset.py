"""Cuts a small part out of the published front end's golden file.

    python frontend_subset.py <golden>/frontend.safetensors crates/audio/tests/golden/frontend_small.safetensors

The source holds the output of the official SPIRAL program (Speech-Backbones, commit 7782c7a) for two rows.
Kept: the second row's valid samples, the row length, and every fifth valid frame, frames first.
Needs: numpy 2.4.6, safetensors.
"""
import sys

import numpy as np
from safetensors.numpy import load_file, save_file

STEP = 5
source, target = sys.argv[1:]
golden = load_file(source)
samples, frames = int(golden["wav_len"][1]), int(golden["mel_len"][1])
save_file(
    {
        "wav": golden["wav"][1, :samples].copy(),
        "row_samples": np.array([golden["wav"].shape[1]], dtype=np.int64),
        "frame_step": np.array([STEP], dtype=np.int64),
        "mel": golden["mel"][1, :, :frames:STEP].T.copy(),
        "logmel_unnormalised": golden["logmel_unnormalised"][1, :, :frames:STEP].T.copy(),
    },
    target,
)
