#!/usr/bin/env bash
# Every parser of model files, and the package loader, against inputs that libFuzzer breeds from the importers' fixtures: no
# crash, no reader that computes for over a second, none that makes a reader hold over ten times its bytes (and a mebibyte).
#
#   benches/long/fuzz.sh [SECONDS [TARGET..]]          600 s for each target of fuzz/fuzz_targets without more
#
# On the stable compiler, without a sanitizer: the coverage flags are those that `cargo fuzz --sanitizer none` gives. JOBS (1)
# targets run at a time. What was bred is kept in the cache, so that the next run goes on from it. A finding is a failed run, and
# the input that shows it is kept in fuzz/artifacts/TARGET.
set -euo pipefail
cd "$(dirname "$0")/../../fuzz"
seconds=${1:-600}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- $(cd fuzz_targets && ls | sed 's/\.rs$//')
corpus="${XDG_CACHE_HOME:-$HOME/.cache}/foretell/fuzz"
seeds=$(mktemp -d)
trap 'rm -rf "$seeds"' EXIT
host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-$PWD/target}

cargo run --quiet --bin seeds -- "$seeds"
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
  -Cllvm-args=-simplifycfg-branch-fold-threshold=0 --cfg fuzzing"
bins=()
for name in "$@"; do bins+=(--bin "$name"); done
RUSTFLAGS=$(echo $coverage) cargo build --quiet --release --target "$host" --target-dir "$target" "${bins[@]}"

# Runs one target; says what came of it in one line.
fuzz() {
  local name=$1 log="$seeds/$1.log" words="dictionaries/$1" code=0
  mkdir -p "$corpus/$name" "$seeds/$name" "artifacts/$name"
  "$target/$host/release/$name" "$corpus/$name" "$seeds/$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
    -max_len=65536 -artifact_prefix="artifacts/$name/" -print_final_stats=1 \
    $([ -e "$words" ] && echo "-dict=$words") >"$log" 2>&1 || code=$?
  local runs edges inputs
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  edges=$(grep -oE 'cov: [0-9]+' "$log" | tail -1 | cut -d' ' -f2)
  inputs=$(grep -oE 'corp: [0-9]+' "$log" | tail -1 | cut -d' ' -f2)
  local took said
  took=$(sed -nE 's/^Done .* in ([0-9]+) second.*/\1/p' "$log")
  said="$name: ${took:-?} s, ${runs:-?} executions, ${edges:-?} edges, ${inputs:-?} inputs kept"
  [ "$code" = 0 ] && echo "$said, no crash" && return
  echo "$said, CRASHED: $(grep -E 'panicked at|ERROR: libFuzzer' -A1 "$log" | head -4 | tr '\n' ' ') $(grep -o 'artifacts/.*' "$log" | tail -1)"
  return 1
}
export -f fuzz
export corpus seeds target host seconds
printf '%s\0' "$@" | xargs -0 -n1 -P "${JOBS:-1}" bash -c 'fuzz "$0"'
