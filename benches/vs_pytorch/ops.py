"""The operations of benches/src/bin/ops.rs in PyTorch: one JSON line each with the medians of both clocks.

    python ops.py [filter] [milliseconds per measurement] [threads]
"""

import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F

FILTER = sys.argv[1] if len(sys.argv) > 1 else ""
BUDGET_MS = float(sys.argv[2]) if len(sys.argv) > 2 else 500.0
torch.set_num_threads(int(sys.argv[3]) if len(sys.argv) > 3 else 2)
torch.manual_seed(1)


def timed(f):
    cpu, wall = time.process_time(), time.perf_counter()
    f()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def measure(name, kind, f):
    guess = max(timed(f)[0], timed(f)[0])
    rounds = min(max(int(BUDGET_MS / guess), 5), 500)
    wall, cpu = (statistics.median(x) for x in zip(*(timed(f) for _ in range(rounds))))
    row = {"system": "pytorch", "op": name, "kind": kind, "threads": torch.get_num_threads()}
    print(json.dumps({**row, "ms": round(wall, 4), "cpu_ms": round(cpu, 4)}), flush=True)


def op(name, inputs, f):
    """Every input is given a gradient; the loss is the sum of squares of the result."""
    if FILTER not in name:
        return
    with torch.inference_mode():
        measure(name, "forward", lambda: f(*inputs))
    leaves = [x.clone().requires_grad_() for x in inputs]

    def both():
        for leaf in leaves:
            leaf.grad = None
        y = f(*leaves)
        (y * y).sum().backward()

    measure(name, "both", both)


def normal(*shape):
    return torch.randn(*shape)


def attention(frames, mask=None, **options):
    def f(q, k, v):
        q, k, v = (x.view(4, frames, 12, 64).transpose(1, 2) for x in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, **options)
        return y.transpose(1, 2).reshape(4, frames, 768)

    return [normal(4, frames, 768) for _ in range(3)], f


def conv(frames, cin, kernel, cout, groups=1):
    inputs = [normal(4, cin, frames), normal(cout, cin // groups, kernel), normal(cout)]
    if groups == 1:
        return inputs, lambda x, w, b: F.conv1d(F.pad(x, (1, 2)), w, b, stride=2)
    return inputs, lambda x, w, b: F.conv1d(x, w, b, padding=64, groups=groups)[:, :, :-1]


def autocast(f):
    """`f` with matrix products in bf16; the result back in single precision, as auricle gives it."""

    def g(*leaves):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = f(*leaves)
        return y.float()

    return g


def contrastive(pred, target, negatives, temperature=0.3):
    candidates = torch.cat([target.unsqueeze(1), target[negatives]], 1)
    logits = F.cosine_similarity(pred.unsqueeze(1), candidates, dim=-1) / temperature
    same = (candidates[:, 1:] == target.unsqueeze(1)).all(-1)
    logits = torch.cat([logits[:, :1], logits[:, 1:].masked_fill(same, float("-inf"))], 1)
    return F.cross_entropy(logits, torch.zeros(len(pred), dtype=torch.long))


op("yardstick (y²).sum() 1000×3072", [normal(1000, 3072)], lambda x: x)
op("gelu 1000×3072", [normal(1000, 3072)], F.gelu)
op("relu 2000×384", [normal(2000, 384)], F.relu)
op("dropout 1000×768", [normal(1000, 768)], lambda x: F.dropout(x, 0.1))
op("softmax 24000×500", [normal(24000, 500)], lambda x: F.softmax(x, 1))
rows = torch.arange(24000).unsqueeze(1)
hidden = torch.arange(500) >= 500 - rows % 4 * 50
op("softmax 24000×500 masked", [normal(24000, 500)], lambda x: F.softmax(x.masked_fill(hidden, float("-inf")), 1))
op("log_softmax 1000×1024", [normal(1000, 1024)], lambda x: F.log_softmax(x, 1))
op("layer_norm 1000×768", [normal(1000, 768), normal(768), normal(768)], lambda x, w, b: F.layer_norm(x, (768,), w, b))
op(
    "add_layer_norm 1000×768, dropout",
    [normal(1000, 768), normal(1000, 768), normal(768), normal(768)],
    lambda x, y, w, b: x + F.dropout(F.layer_norm(y, (768,), w, b), 0.1),
)
op("rms_norm 1000×768", [normal(1000, 768), normal(768)], lambda x, w: F.rms_norm(x, (768,), w, 1e-5))
# PyTorch keeps a layer's weight as [outputs, inputs].
for name, rows, inputs, outputs in [
    ("linear 500×768×768", 500, 768, 768),
    ("linear 500×768×3072", 500, 768, 3072),
    ("linear 500×3072×768", 500, 3072, 768),
    ("linear 1000×512×2048", 1000, 512, 2048),
]:
    matrices = [normal(rows, inputs), normal(outputs, inputs), normal(outputs)]
    op(f"{name} f32", matrices, F.linear)
    op(f"{name} bf16", matrices, autocast(F.linear))
op(
    "linear with gelu 500×768×3072",
    [normal(500, 768), normal(3072, 768), normal(3072)],
    lambda x, w, b: F.gelu(F.linear(x, w, b)),
)

inputs, f = attention(500)
op("attention 4×500 h12 bf16", inputs, autocast(f))
inputs, f = conv(250, 512, 5, 1536)
op("conv 4×250 512→1536 k5 s2 bf16", inputs, autocast(f))
op("attention 4×125 h12", *attention(125))
op("attention 4×500 h12", *attention(500))
valid = torch.arange(500) < torch.tensor([500, 450, 400, 350]).unsqueeze(1)
op("attention 4×500 h12 masked", *attention(500, valid[:, None, None, :]))
op("attention 4×500 h12 dropout", *attention(500, dropout_p=0.1))
op("attention 4×500 h12 causal", *attention(500, is_causal=True))

op("conv 4×1000 128→384 k5 s2", *conv(1000, 128, 5, 384))
op("conv 4×500 384→512 k5 s2", *conv(500, 384, 5, 512))
op("conv 4×250 512→1536 k5 s2", *conv(250, 512, 5, 1536))
op("conv 4×125 768→768 k128 g16", *conv(125, 768, 128, 768, 16))
op("conv 4×250 512→512 k128 g16", *conv(250, 512, 128, 512, 16))

targets = torch.tensor([[1 + (i * 7 + b) % 28 for i in range(60)] for b in range(8)])
lengths, target_lengths = torch.full((8,), 250), torch.full((8,), 60)
op(
    "ctc_loss 8×250×29, 60 tokens",
    [normal(8, 250, 29)],
    lambda x: F.ctc_loss(F.log_softmax(x, 2).transpose(0, 1), targets, lengths, target_lengths, reduction="none"),
)
target, negatives = normal(500, 256), torch.randint(0, 500, (500, 100))
op("contrastive 500×256, 100 negatives", [normal(500, 256)], lambda x: contrastive(x, target, negatives))

N = 16 << 20
if FILTER in "adamw 16.8 M":
    weight = torch.nn.Parameter(normal(N))
    weight.grad = normal(N)
    adamw = torch.optim.AdamW([weight], lr=1e-3, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01, fused=True)
    measure("adamw 16.8 M", "forward", adamw.step)
if FILTER in "adamw with ema 16.8 M":
    weight = torch.nn.Parameter(normal(N))
    weight.grad = normal(N)
    adamw = torch.optim.AdamW([weight], lr=1e-3, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01, fused=True)
    average = [normal(N)]

    def update():
        adamw.step()
        torch._foreach_lerp_(average, [weight.detach()], 0.005)

    measure("adamw with ema 16.8 M", "forward", update)
if FILTER in "ema 16.8 M":
    teacher, student = [normal(N)], [normal(N)]
    measure("ema 16.8 M", "forward", lambda: torch._foreach_lerp_(teacher, student, 0.005))
