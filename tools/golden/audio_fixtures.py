"""Small compressed files for the decoder tests.

    python -m venv venv && venv/bin/pip install av soundfile numpy==2.4.6
    venv/bin/python audio_fixtures.py crates/audio/tests/fixtures

Each holds the same signal: 0.6 s at 16 kHz of a chord of 300, 1000 and 2500 Hz with slowly rising amplitude;
`stereo.flac` holds it left, and half of it negated right. Encoders: the FFmpeg libraries inside PyAV, and libsndfile
for Vorbis.
"""
import pathlib
import sys

import av
import numpy as np
import soundfile

RATE = 16000
SAMPLES = 9600
out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
t = np.arange(SAMPLES) / RATE
signal = (0.2 + 0.5 * t / t[-1]) * sum(np.sin(2 * np.pi * f * t) for f in (300, 1000, 2500)) / 3


def encode(name, codec, layout, channels, sample_format, container=None, bit_rate=None, **options):
    with av.open(str(out / name), "w", format=container) as file:
        stream = file.add_stream(codec, rate=RATE, layout=layout, options=options)
        if bit_rate:
            stream.bit_rate = bit_rate
        values = np.stack(channels)
        if sample_format.startswith("s16"):
            values = np.round(values * 32767).astype(np.int16)
        else:
            values = values.astype(np.float32)
        if not sample_format.endswith("p"):
            values = values.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(values, format=sample_format, layout=layout)
        frame.sample_rate = RATE
        frame.pts = 0
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=RATE, frame_size=stream.frame_size or 0)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            for packet in stream.encode(piece):
                file.mux(packet)
        for packet in stream.encode(None):
            file.mux(packet)


encode("mono.flac", "flac", "mono", [signal], "s16p")
encode("stereo.flac", "flac", "stereo", [signal, -0.5 * signal], "s16p")
soundfile.write(out / "mono.ogg", signal, RATE, format="OGG", subtype="VORBIS")
encode("mono.mp3", "libmp3lame", "mono", [signal], "fltp", bit_rate=32000)
encode("mono.m4a", "aac", "mono", [signal], "fltp", container="ipod", bit_rate=32000)
for path in sorted(out.iterdir()):
    print(path.name, path.stat().st_size)
