"""The streaming step of `cargo run --release -p auricle-benches --bin streaming` in PyTorch, one thread.

Pre-norm Transformer, 12 layers, d 512, 8 heads, feed-forward 2048, batch 1, 4 new frames on 60 cached ones,
eager and inference mode; fused scaled-dot attention with a position bias.

    python benches/vs_pytorch/streaming.py [steps]
"""

import json
import sys
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
torch.manual_seed(1)
D, H, FF, LAYERS, CACHE, NEW = 512, 8, 2048, 12, 60, 4


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.n1, self.n2 = torch.nn.LayerNorm(D), torch.nn.LayerNorm(D)
        self.qkv, self.out = torch.nn.Linear(D, 3 * D), torch.nn.Linear(D, D)
        self.up, self.down = torch.nn.Linear(D, FF), torch.nn.Linear(FF, D)

    def forward(self, x, cache, bias):
        q, k, v = self.qkv(self.n1(x)).view(1, NEW, 3, H, D // H).permute(2, 0, 3, 1, 4)
        k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).reshape(1, NEW, D)
        x = x + self.out(y)
        return x + self.down(F.gelu(self.up(self.n2(x)))), (k[:, :, NEW:], v[:, :, NEW:])


layers = torch.nn.ModuleList(Layer() for _ in range(LAYERS)).eval()
norm = torch.nn.LayerNorm(D).eval()
slopes = torch.tensor([2.0 ** (-8 * (h + 1) / H) for h in range(H)])
distance = (torch.arange(NEW)[:, None] + CACHE - torch.arange(CACHE + NEW)[None]).float()
bias = torch.where(distance < 0, float("-inf"), -slopes[:, None, None] * distance.abs())[None]
caches = [(torch.zeros(1, H, CACHE, D // H), torch.zeros(1, H, CACHE, D // H)) for _ in range(LAYERS)]
x0 = torch.randn(1, NEW, D)
times = []
with torch.inference_mode():
    for _ in range(int(sys.argv[1]) + 16 if len(sys.argv) > 1 else 216):
        start = time.perf_counter()
        x = x0
        for i, layer in enumerate(layers):
            x, caches[i] = layer(x, caches[i], bias)
        norm(x)
        times.append((time.perf_counter() - start) * 1e3)
times = sorted(times[16:])
record = {
    "system": f"pytorch {torch.__version__}",
    "name": "transformer 12×512, 4 frames",
    "p50_ms": times[int(0.5 * (len(times) - 1))],
    "p99_ms": times[int(0.99 * (len(times) - 1))],
}
print(json.dumps(record), flush=True)
