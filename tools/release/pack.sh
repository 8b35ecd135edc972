#!/usr/bin/env bash
# Packs a built program with what it needs: pack.sh VERSION PLATFORM.
# The archive holds one folder with the program, `models/` beside it (where the program looks for shipped models),
# `recipes/`, the licences and the README; beside the archive stands its SHA-256.
set -euo pipefail
version=$1 platform=$2
cd "$(dirname "$0")/../.."
name=auricle-$version-$platform
program=target/release/auricle
[ -f "$program.exe" ] && program=$program.exe
rm -rf "$name"
mkdir -p "$name/models"
cp "$program" README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT "$name/"
cp -r recipes "$name/recipes"
for model in models/pretrained/*/; do cp -r "$model" "$name/models/"; done
case $platform in
  windows-*) archive=$name.zip; 7z a -bd "$archive" "$name" >/dev/null ;;
  *) archive=$name.tar.gz; tar -czf "$archive" "$name" ;;
esac
if command -v sha256sum >/dev/null; then sha256sum "$archive"; else shasum -a 256 "$archive"; fi > "$archive.sha256"
rm -rf "$name"
echo "$archive"
