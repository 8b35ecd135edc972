"""Makes crates/nn/tests/data/{zip,legacy}.ckpt with PyTorch (development only; `pip install torch`).

    python tools/pytorch_fixtures/make.py

One dictionary in both layouts of `torch.save`: tensors of several kinds, a transposed view, a
parameter, a shared storage, and objects that a reader must not make.
"""
import collections
import datetime
import pathlib

import torch

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates/nn/tests/data"
OUT.mkdir(parents=True, exist_ok=True)

base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 4
state = collections.OrderedDict(
    weight=base,
    transposed=base.t(),
    part=base[1:3, 2:5],
    half=torch.tensor([0.5, -2.0, 65504.0], dtype=torch.float16),
    bfloat=torch.tensor([1.5, -3.0], dtype=torch.bfloat16),
    double=torch.tensor([[0.1]], dtype=torch.float64),
    count=torch.tensor(12345678901, dtype=torch.int64),
    flags=torch.tensor([True, False, True]),
    parameter=torch.nn.Parameter(torch.tensor([7.0, 8.0])),
    empty=torch.zeros(0, 3),
)
checkpoint = {
    "epoch": 3,
    "hyper_parameters": {"when": datetime.datetime(2024, 1, 2), "path": pathlib.PurePosixPath("x")},
    "optimizer_states": [{"state": {0: {"step": 3, "exp_avg": torch.ones(2)}}}],
    "state_dict": state,
}
torch.save(checkpoint, OUT / "zip.ckpt")
torch.save(checkpoint, OUT / "legacy.ckpt", _use_new_zipfile_serialization=False)
