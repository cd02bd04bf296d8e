#!/usr/bin/env bash
# Tree ensembles of LightGBM and XGBoost, evaluated by Foretell and by their own C interfaces, ONNX Runtime, TL2cgen and
# lleaves: same machine, same models, same rows, one process, in turn.
#
#   benches/peers/trees.sh [--quick] [SHAPE..]         SHAPE: 100x6 500x6 500x64c 1000x64 300x10
#
# A shape is trees x levels, or from 32 on trees x leaves, as deep as they grow; c: ten of the columns are categories.
#
# Models are trained and compiled once, into the cache; MINUTES (5) of processor time is what compiling one form of one model may
# take, and what took longer is said below the table. The first run takes an hour; one after it a few minutes.
set -euo pipefail
source "$(dirname "$0")/../../tests/conformance/support/lib.sh"
options=()
while [[ ${1:-} == --* ]]; do
  options+=("$1")
  shift
done
use_python "$repository/benches/peers/trees.txt"
key=$( (grep '^RECIPE' "$repository/benches/peers/trees.py" && cat "$repository/benches/peers/trees.txt") | sha256sum | head -c 16)
models="$cache/trees-$key"
command -v gcc >/dev/null || skip "there is no gcc, which TL2cgen compiles with"
# A thread that waits must not take the core from the one that works.
OMP_WAIT_POLICY=passive "$python" "$repository/benches/peers/trees.py" make "$models" "${MINUTES:-5}" "$@"
export FORETELL_PEERS=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cd "$repository"
cargo bench --quiet -p foretell-inference --bench peers -- "${options[@]}" "$models" "$@"
