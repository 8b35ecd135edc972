"""Speed of the SPIRAL front end beside kaldi-native-fbank on one core, alternating, medians.

    python -m venv venv && venv/bin/pip install kaldi-native-fbank==1.23.0 numpy==2.4.6
    cargo build --release -p auricle-audio --example mel_speed
    taskset -c 0 venv/bin/python mel_speed.py target/release/examples/mel_speed

Ours: 128 or 80 mel bins, 20 ms windows in a transform of 512, every 10 ms, log; with the normalisation over the
utterance and without. Theirs: 80 mel bins (128 are refused at 16 kHz: empty filters), 25 ms windows in a transform of
512, every 10 ms, log, no dither.
Only the computation is timed: the waveform is in memory on both sides, and the time in which the Python binding
merely copies the waveform (measured with a frame so long that nothing is computed) is subtracted from theirs.
"""
import os
import statistics
import subprocess
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"
import kaldi_native_fbank as knf  # noqa: E402
import numpy as np  # noqa: E402

SECS, ROUNDS = 60, 7
binary = sys.argv[1]
wave = np.random.default_rng(1).normal(0, 0.1, SECS * 16000).astype(np.float32).tolist()


def accept_secs(frame_ms: float) -> float:
    opts = knf.FbankOptions()
    opts.frame_opts.dither = 0.0
    opts.frame_opts.frame_length_ms = frame_ms
    opts.frame_opts.frame_shift_ms = 10.0 if frame_ms < 100 else frame_ms
    opts.mel_opts.num_bins = 80
    fbank = knf.OnlineFbank(opts)
    start = time.perf_counter()
    fbank.accept_waveform(16000, wave)
    elapsed = time.perf_counter() - start
    assert fbank.num_frames_ready == (SECS * 100 - 2 if frame_ms < 100 else 0)
    return elapsed


def theirs() -> float:
    copying = statistics.median(accept_secs(2000.0 * SECS) for _ in range(5))
    return SECS / (statistics.median(accept_secs(25.0) for _ in range(5)) - copying)


def ours(bins: int) -> dict[str, float]:
    text = subprocess.run([binary, str(bins), str(SECS), "5"], capture_output=True, text=True, check=True).stdout
    speeds: dict[str, list[float]] = {}
    for line in text.splitlines():
        fields = dict(field.split("=") for field in line.split())
        speeds.setdefault(fields["norm"], []).append(float(fields["x_real_time"]))
    return {norm: statistics.median(values) for norm, values in speeds.items()}


reference: list[float] = []
speeds: dict[str, list[float]] = {}
for _ in range(ROUNDS):
    for bins in (80, 128):
        for norm, speed in ours(bins).items():
            speeds.setdefault(f"auricle bins={bins} norm={norm}", []).append(speed)
    reference.append(theirs())
base = statistics.median(reference)
print(f"kaldi-native-fbank {knf.__version__} bins=80: {base:.0f} x real time, {base / 3600:.3f} audio h/s")
for name, values in speeds.items():
    speed = statistics.median(values)
    print(f"{name}: {speed:.0f} x real time, {speed / 3600:.3f} audio h/s, ratio {speed / base:.2f}")
