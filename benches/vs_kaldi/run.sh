#!/usr/bin/env bash
# Side by side on one core: the front ends of auricle, kaldi-native-fbank and torchaudio in turn
# (A B A B …), medians and ratios. Installs the Python packages into a virtual environment on first use.
#   benches/vs_kaldi/run.sh [rounds] [core]
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=${VENV:-target/vs_pytorch}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c 'import torchaudio, kaldi_native_fbank' 2>/dev/null ||
  "$venv/bin/pip" install --quiet torch torchaudio numpy kaldi-native-fbank
cargo build --release --quiet -p auricle-benches --bins
rounds=${1:-7} core=${2:-0} out=$(mktemp)
for _ in $(seq "$rounds"); do
  taskset -c "$core" target/release/front_ends 60 >>"$out"
  taskset -c "$core" "$venv/bin/python" benches/vs_kaldi/peers.py 60 >>"$out"
done
"$venv/bin/python" benches/compare.py front-ends "$out"
rm "$out"
