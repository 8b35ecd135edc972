"""Reference numbers of Kaldi's features from the kaldi-native-fbank package.

    python -m venv venv && venv/bin/pip install kaldi-native-fbank==1.23.0 numpy==2.4.6 safetensors
    venv/bin/python kaldi_fbank.py crates/audio/tests/golden/kaldi.safetensors

Writes the waveform (a sweep, noise and a stretch of silence, 16-bit values in [-1, 1)) and, for each case below,
the features [T, F] of the waveform times 32768. Case names are read by crates/audio/tests/kaldi_golden.rs.
"""
import sys

import kaldi_native_fbank as knf
import numpy as np
from safetensors.numpy import save_file

RATE = 16000


def waveform() -> np.ndarray:
    n = np.arange(4000)
    sweep = 0.5 * np.sin(2 * np.pi * (100 * n / RATE + 0.5 * 3.0e4 * (n / RATE) ** 2))
    noise = np.random.default_rng(1).normal(0, 0.05, n.size)
    x = sweep + noise + 0.02  # with an offset, so that its removal shows
    x[2500:3100] = 0.0
    return np.round(np.clip(x, -1, 1) * 32767).astype(np.int16)


def frame_options(opts, **kw):
    opts.frame_opts.samp_freq = RATE
    opts.frame_opts.dither = 0.0
    for name, value in kw.items():
        setattr(opts.frame_opts, name, value)


def fbank(num_bins=80, frame=None, **kw):
    opts = knf.FbankOptions()
    frame_options(opts, **(frame or {}))
    opts.mel_opts.num_bins = num_bins
    for name in ("low_freq", "high_freq"):
        if name in kw:
            setattr(opts.mel_opts, name, kw.pop(name))
    for name, value in kw.items():
        setattr(opts, name, value)
    return knf.OnlineFbank(opts)


def mfcc(frame=None, **kw):
    opts = knf.MfccOptions()
    frame_options(opts, **(frame or {}))
    for name, value in kw.items():
        setattr(opts, name, value)
    return knf.OnlineMfcc(opts)


CASES = {
    "fbank80": lambda: fbank(),
    "fbank80_reflected": lambda: fbank(frame={"snip_edges": False}),
    "fbank23_hamming_magnitude_energy": lambda: fbank(
        23, frame={"window_type": "hamming"}, use_power=False, use_energy=True, raw_energy=False
    ),
    "fbank40_band_htk": lambda: fbank(40, low_freq=100.0, high_freq=-400.0, use_energy=True, htk_compat=True),
    "fbank23_linear_blackman": lambda: fbank(23, frame={"window_type": "blackman"}, use_log_fbank=False),
    "fbank23_hanning_no_dc": lambda: fbank(
        23, frame={"window_type": "hanning", "remove_dc_offset": False, "preemph_coeff": 0.0}
    ),
    "mfcc13": lambda: mfcc(),
    "mfcc13_c0_htk": lambda: mfcc(use_energy=False, htk_compat=True),
    "mfcc13_floor": lambda: mfcc(energy_floor=1e7, cepstral_lifter=0.0),
}

wav = waveform()
tensors = {"wav": wav.astype(np.float32) / 32768}
for name, make in CASES.items():
    computer = make()
    computer.accept_waveform(RATE, wav.astype(np.float32).tolist())
    computer.input_finished()
    tensors[name] = np.stack([computer.get_frame(i) for i in range(computer.num_frames_ready)]).astype(np.float32)
    print(name, tensors[name].shape, float(tensors[name].min()), float(tensors[name].max()))
save_file(tensors, sys.argv[1], metadata={"kaldi_native_fbank": knf.__version__})
