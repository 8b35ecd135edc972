#!/usr/bin/env bash
# Unpacks an archive of pack.sh elsewhere and uses it as its user would: try.sh ARCHIVE…
set -euo pipefail
archive=
for file in "$@"; do case $file in *.sha256) ;; *) archive=$(realpath "$file") ;; esac; done
recording=$(realpath "$(dirname "$0")/../../crates/audio/tests/fixtures/mono.flac")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
case $archive in *.zip) 7z x -bd "$archive" >/dev/null ;; *) tar -xzf "$archive" ;; esac
cd auricle-*/
program=./auricle
[ -f auricle.exe ] && program=./auricle.exe
"$program" --version
for model in models/*/model.safetensors; do "$program" model info "$(basename "$(dirname "$model")")" >/dev/null; done
"$program" decode "$recording"
"$program" train recipes/quickstart/spiral_pretrain.toml --smoke --quiet >/dev/null
echo "$(basename "$archive") works"
