"""The front ends of kaldi-native-fbank and torchaudio on one thread: one JSON line each, medians of both clocks.

80 mel bins, 25 ms windows in a transform of 512, every 10 ms, log, no dither; and torchaudio's MelSpectrogram with
the settings of the SPIRAL front end. Only the computation is timed: the waveform is in memory. The time in which
kaldi-native-fbank's binding merely copies the waveform out of Python (measured with a frame so long that nothing is
computed) is subtracted from its time.

    python peers.py [seconds of audio] [repeats]
"""

import json
import os
import statistics
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"
import kaldi_native_fbank as knf  # noqa: E402
import torch  # noqa: E402

# torchaudio refuses to load beside a PyTorch built for another CUDA; only its CPU code is used here.
torch.version.cuda = None
import torchaudio  # noqa: E402

SECS = int(sys.argv[1]) if len(sys.argv) > 1 else 60
REPEATS = int(sys.argv[2]) if len(sys.argv) > 2 else 9
torch.set_num_threads(1)
torch.manual_seed(1)
wave = 0.1 * torch.randn(1, SECS * 16000)
samples = wave[0].tolist()


def timed(f):
    """Milliseconds on the wall and of the processor."""
    cpu, wall = time.process_time(), time.perf_counter()
    f()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def median(times):
    return [statistics.median(x) for x in zip(*times)]


def report(system, frames, wall, cpu):
    print(json.dumps({"system": system, "frames": frames, "wall_ms": wall, "cpu_ms": cpu}), flush=True)


def kaldi(frame_ms, expected_frames):
    """Only taking the waveform is timed, not the plan."""
    opts = knf.FbankOptions()
    opts.frame_opts.dither = 0.0
    opts.frame_opts.frame_length_ms = frame_ms
    opts.frame_opts.frame_shift_ms = 10.0 if frame_ms < 100 else frame_ms
    opts.mel_opts.num_bins = 80
    fbank = knf.OnlineFbank(opts)
    elapsed = timed(lambda: fbank.accept_waveform(16000, samples))
    assert fbank.num_frames_ready == expected_frames
    return elapsed


def torch_front_end(system, f):
    report(f"torchaudio {torchaudio.__version__} {system}", f(), *median([timed(f) for _ in range(REPEATS)]))


frames = SECS * 100 - 2
computing = median([kaldi(25.0, frames) for _ in range(REPEATS)])
copying = median([kaldi(2000.0 * SECS, 0) for _ in range(REPEATS)])
report(f"kaldi-native-fbank {knf.__version__} fbank 80", frames, *(a - b for a, b in zip(computing, copying)))

with torch.inference_mode():
    fbank = torchaudio.compliance.kaldi.fbank
    torch_front_end("compliance fbank 80", lambda: len(fbank(wave, num_mel_bins=80, dither=0.0)))
    for bins in (80, 128):
        mel = torchaudio.transforms.MelSpectrogram(
            16000, n_fft=512, win_length=320, hop_length=160, n_mels=bins, norm="slaney", mel_scale="slaney"
        )
        torch_front_end(f"log-mel {bins}", lambda: (mel(wave) + 2.0**-24).log().shape[-1])
