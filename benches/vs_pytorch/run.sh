#!/usr/bin/env bash
# Side by side: one SPIRAL training step and one encoder forward, auricle and PyTorch in turn
# (A B A B …), medians and their ratio. Installs PyTorch into a virtual environment on first use.
#   benches/vs_pytorch/run.sh [rounds]
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=${VENV:-target/vs_pytorch}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c 'import torch' 2>/dev/null || "$venv/bin/pip" install --quiet torch numpy
cargo build --release --quiet -p auricle-benches --bin spiral_step
rounds=${1:-3}
out=$(mktemp)
for _ in $(seq "$rounds"); do
  for shape in "small 8 1008 8" "base 4 1008 4"; do
    read -r model batch frames repeat <<<"$shape"
    target/release/spiral_step --model "$model" --batch "$batch" --frames "$frames" --repeat "$repeat" >>"$out"
    "$venv/bin/python" benches/vs_pytorch/spiral_step.py --model "$model" --batch "$batch" --frames "$frames" --repeat "$repeat" >>"$out"
  done
done
"$venv/bin/python" - "$out" <<'PY'
import collections, json, statistics, sys
rows = collections.defaultdict(lambda: collections.defaultdict(list))
for line in open(sys.argv[1]):
    r = json.loads(line)
    for key in ("step_ms", "forward_ms"):
        rows[(r["model"], key)][r["system"].split()[0]].append(r[key])
print("| model | what | auricle, ms | PyTorch, ms | PyTorch / auricle |\n|---|---|---|---|---|")
for (model, key), systems in rows.items():
    a, p = (statistics.median(systems[s]) for s in ("auricle", "pytorch"))
    print(f"| {model} | {key[:-3]} | {a:.1f} | {p:.1f} | {p / a:.2f} |")
PY
