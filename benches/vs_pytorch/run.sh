#!/usr/bin/env bash
# Side by side: a SPIRAL training step, an encoder forward, the peak of memory, every fused operation and a streaming
# step, auricle and PyTorch in turn (A B A B …), medians and ratios. Installs PyTorch into a virtual environment on first use.
#   benches/vs_pytorch/run.sh [rounds] [threads] [step|ops|streaming]
# The streaming step takes one thread on both sides, whatever is said here.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=${VENV:-target/vs_pytorch}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c 'import torch' 2>/dev/null || "$venv/bin/pip" install --quiet torch numpy
# The workspace's own features: what other builds have made is used.
if [ -n "${FEATURES:-}" ]; then
  cargo build --release --quiet -p auricle-benches --bins --features "$FEATURES"
else
  cargo build --release --quiet --workspace --bins
fi
rounds=${1:-3} threads=${2:-2} what=${3:-step ops streaming}
export RAYON_NUM_THREADS=$threads OMP_NUM_THREADS=$threads
# As many cores as threads.
pin=(taskset -c "${CORES:-0-$((threads - 1))}")
out=$(mktemp)
for part in $what; do
  : >"$out"
  for _ in $(seq "$rounds"); do
    if [ "$part" = step ]; then
      for shape in "small 8 1008 ${REPEAT:-8}" "base 4 1008 ${REPEAT:-4}"; do
        read -r model batch frames repeat <<<"$shape"
        args=(--model "$model" --batch "$batch" --frames "$frames" --repeat "$repeat" --precision "${PRECISION:-f32}")
        args+=(--device "${DEVICE:-cpu}")
        "${pin[@]}" target/release/spiral_step "${args[@]}" >>"$out"
        "${pin[@]}" "$venv/bin/python" benches/vs_pytorch/spiral_step.py "${args[@]}" --threads "$threads" ${COMPILE:+--compile} >>"$out"
      done
    elif [ "$part" = streaming ]; then
      RAYON_NUM_THREADS=1 "${pin[@]}" target/release/streaming "${REPEAT:-300}" >>"$out"
      "${pin[@]}" "$venv/bin/python" benches/vs_pytorch/streaming.py "${REPEAT:-300}" >>"$out"
    else
      "${pin[@]}" target/release/ops "${FILTER:-}" "${BUDGET_MS:-500}" >>"$out"
      "${pin[@]}" "$venv/bin/python" benches/vs_pytorch/ops.py "${FILTER:-}" "${BUDGET_MS:-500}" "$threads" >>"$out"
    fi
  done
  "$venv/bin/python" benches/compare.py "$part" "$out"
done
rm "$out"
