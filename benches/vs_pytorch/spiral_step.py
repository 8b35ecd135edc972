"""One SPIRAL training step in PyTorch: the other half of benches/src/bin/spiral_step.rs.

Student and teacher, masked and clean input, contrastive loss, AdamW, EMA: the work of one step of
auricle's trainer on the same shapes, without data loading. Prints one JSON line a model.

    python spiral_step.py --model small --batch 8 --frames 1000 --repeat 10
    python spiral_step.py --model base --batch 16 --device cuda:0 --precision bf16 --compile
"""

import argparse
import copy
import json
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

MODELS = {
    # (conv channels of stage 1, width 1, layers, heads, ffn), (conv channels 2, width 2, layers, heads, ffn), projection
    "small": (([96, 128], 128, 2, 4, 512), ([256], 192, 6, 6, 768), 128),
    "base": (([384, 512], 512, 2, 8, 2048), ([1536], 768, 10, 12, 3072), 256),
}


class ConvModule(nn.Module):
    def __init__(self, cin, cout, kernel, stride, activation):
        super().__init__()
        self.conv = nn.Conv1d(cin, cout, kernel, stride)
        self.norm = nn.LayerNorm(cout)
        self.pad = (1, 2) if stride == 2 else (0, 0)
        self.activation = activation

    def forward(self, x):  # [B, C, T]
        y = self.norm(self.conv(F.pad(x, self.pad)).transpose(1, 2))
        y = F.dropout(F.relu(y), 0.1, self.training) if self.activation else y
        return y.transpose(1, 2)


class Layer(nn.Module):
    def __init__(self, width, heads, ffn):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.fc1, self.fc2 = nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.heads = heads

    def forward(self, x):
        b, t, c = x.shape
        y = self.ln1(x)
        split = lambda z: z.view(b, t, self.heads, -1).transpose(1, 2)
        y = F.scaled_dot_product_attention(
            split(self.q(y)), split(self.k(y)), split(self.v(y)), dropout_p=0.1 if self.training else 0.0
        )
        x = x + F.dropout(self.o(y.transpose(1, 2).reshape(b, t, c)), 0.1, self.training)
        return x + F.dropout(self.fc2(F.gelu(self.fc1(self.ln2(x)))), 0.1, self.training)


class Block(nn.Module):
    def __init__(self, width, layers, heads, ffn):
        super().__init__()
        conv = nn.Conv1d(width, width, 128, padding=64, groups=16)
        self.pos = nn.utils.parametrizations.weight_norm(conv, dim=2)
        self.layers = nn.ModuleList(Layer(width, heads, ffn) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x):  # [B, T, C]
        p = F.gelu(self.pos(x.transpose(1, 2))[:, :, :-1]).transpose(1, 2)
        x = F.dropout(x + p, 0.1, self.training)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class Trunk(nn.Module):
    def __init__(self, first, second, projection):
        super().__init__()
        (c1, w1, *t1), (c2, w2, *t2) = first, second
        self.convs1 = nn.Sequential(
            ConvModule(128, c1[0], 5, 2, True), ConvModule(c1[0], c1[1], 5, 2, True), ConvModule(c1[1], w1, 1, 1, False)
        )
        self.block1 = Block(w1, *t1)
        self.convs2 = nn.Sequential(ConvModule(w1, c2[0], 5, 2, True), ConvModule(c2[0], w2, 1, 1, False))
        self.block2 = Block(w2, *t2)
        self.projector = nn.Linear(w2, projection)

    def forward(self, mel):
        x = self.block1(self.convs1(mel).transpose(1, 2))
        x = self.block2(self.convs2(x.transpose(1, 2)).transpose(1, 2))
        return self.projector(x)


class Predictor(nn.Module):
    def __init__(self, width):
        super().__init__()
        conv = lambda: nn.Conv1d(width, width, 5, padding=2, bias=False)
        norm = lambda: nn.BatchNorm1d(width, eps=1e-3, momentum=0.01)
        self.body = nn.Sequential(conv(), norm(), nn.ReLU(), conv(), norm(), nn.ReLU())
        self.out = nn.Linear(width, width)

    def forward(self, x):
        return self.out(self.body(x.transpose(1, 2)).transpose(1, 2))


def contrastive(pred, target, negatives, temperature=0.3):
    candidates = torch.cat([target.unsqueeze(1), target[negatives]], 1)
    logits = F.cosine_similarity(pred.unsqueeze(1), candidates, dim=-1) / temperature
    same = (candidates[:, 1:] == target.unsqueeze(1)).all(-1)
    logits[:, 1:] = logits[:, 1:].masked_fill(same, float("-inf"))
    return F.cross_entropy(logits, torch.zeros(len(pred), dtype=torch.long, device=pred.device))


def memory_mb(field):
    """A field of /proc/self/status in megabytes."""
    line = next(line for line in open("/proc/self/status") if line.startswith(field + ":"))
    return round(int(line.split()[1]) * 1.024e-3, 1)


def clocks(device):
    """Both clocks, when the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter(), time.process_time()


def medians_ms(times):
    """Medians of (wall, processor) milliseconds without the two warm-up rounds."""
    return [round(1e3 * statistics.median(x), 4) for x in zip(*times[2:])]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=MODELS, default="small")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--frames", type=int, default=1008)
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="torch.compile student, teacher and predictor")
    args = parser.parse_args()
    device = torch.device(args.device)
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    start_mb = memory_mb("VmRSS")

    first, second, projection = MODELS[args.model]
    trunk, predictor = Trunk(first, second, projection).to(device), Predictor(projection).to(device)
    teacher = copy.deepcopy(trunk).requires_grad_(False)
    # Compiled modules share the parameters of the plain ones, which the optimiser and the average hold.
    compiled = torch.compile if args.compile else lambda module: module
    run_trunk, run_teacher, run_predictor = compiled(trunk), compiled(teacher), compiled(predictor)
    params = [*trunk.parameters(), *predictor.parameters()]
    optimizer = torch.optim.AdamW(params, lr=1e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01, fused=True)
    student_mel = torch.randn(args.batch, 128, args.frames, device=device)
    teacher_mel = torch.randn(args.batch, 128, args.frames + 128, device=device)
    positions = args.frames // 8
    count = args.batch * positions
    offsets = torch.arange(args.batch).repeat_interleave(positions) * positions
    negatives = (offsets.unsqueeze(1) + torch.randint(0, positions, (count, 100))).to(device)

    # Student and teacher; predictor and loss are in single precision, as in auricle.
    computing = lambda: torch.autocast(device.type, dtype=torch.bfloat16, enabled=args.precision == "bf16")
    times, forward_times = [], []
    for _ in range(args.repeat + 2):
        start = clocks(device)
        with torch.no_grad(), computing():
            target = run_teacher(teacher_mel)[:, 8:-8].float().reshape(count, -1)
        with computing():
            projected = run_trunk(student_mel).float()
        pred = run_predictor(projected).reshape(count, -1)
        loss = contrastive(pred, target, negatives)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(teacher.parameters()), list(trunk.parameters()), 0.005)
        times.append([b - a for a, b in zip(start, clocks(device))])

        trunk.eval()
        start = clocks(device)
        with torch.inference_mode(), computing():
            run_trunk(student_mel)
        forward_times.append([b - a for a, b in zip(start, clocks(device))])
        trunk.train()
    (step_ms, step_cpu_ms), (forward_ms, forward_cpu_ms) = medians_ms(times), medians_ms(forward_times)
    record = {
        "system": f"pytorch {torch.__version__}{' compiled' * args.compile}",
        "model": args.model,
        "batch": args.batch,
        "frames": args.frames,
        "precision": args.precision,
        "device": args.device,
        "threads": args.threads,
        "step_ms": step_ms,
        "step_cpu_ms": step_cpu_ms,
        "forward_ms": forward_ms,
        "forward_cpu_ms": forward_cpu_ms,
        "start_mb": start_mb,
        "peak_mb": memory_mb("VmHWM"),
        "device_mb": torch.cuda.max_memory_reserved(device) / 1e6 if device.type == "cuda" else None,
    }
    print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
