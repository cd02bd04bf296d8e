#!/bin/sh
# The point-in-time join against the same join written by hand with polars: whole commands, alternately, in one run.
#
#   benches/peers/point_in_time.sh [RUNS]
#
# ROWS, EVENTS and ENTITIES set the sizes; FORETELL names the binary (default target/dist/foretell), PYTHON an interpreter that
# has benches/peers/requirements.txt. Prints each run's seconds and peak memory, the medians and their ratios.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
runs=${1:-7}
foretell=${FORETELL:-$here/../../target/dist/foretell}
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

mkdir -p "$work/data" "$work/features"
cat > "$work/foretell.toml" <<'TOML'
[project]
name = "point-in-time"
TOML
cat > "$work/features/customer.toml" <<'TOML'
[entity.customer]
key = { customer_id = "int64" }
[source.events]
path = "events.parquet"
event_time = "event_time"
known_time = "created"
[view.events]
entity = "customer"
source = "events"
max_age = "7d"
latest = ["f1", "f2", "f3", "f4", "f5"]
TOML
"$python" "$here/point_in_time.py" make "$work" "${ROWS:-100000}" "${EVENTS:-1000000}" "${ENTITIES:-20000}"

# Runs a command; says its seconds and peak KiB.
measured() {
    "$python" - "$@" <<'PY'
import os, resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
seconds = time.perf_counter() - start
print(f"{seconds:.3f} {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}")
PY
}

ours() {
    measured "$foretell" --project "$work" features historical --entities "$work/entities.parquet" \
        --features 'events:*' --out "$work/ours.parquet"
}

theirs() {
    measured "$python" "$here/point_in_time.py" join "$work" "$work/theirs.parquet"
}

ours > /dev/null
theirs > /dev/null
"$python" "$here/point_in_time.py" agree "$work/ours.parquet" "$work/theirs.parquet"
at=0
while [ "$at" -lt "$runs" ]; do
    at=$((at + 1))
    ours >> "$work/ours.txt"
    theirs >> "$work/theirs.txt"
    echo "run $at: ours $(tail -1 "$work/ours.txt"), polars $(tail -1 "$work/theirs.txt") (seconds, KiB)"
done
"$python" - "$work/ours.txt" "$work/theirs.txt" <<'PY'
import statistics, sys
def medians(path):
    rows = [list(map(float, line.split())) for line in open(path)]
    return [statistics.median(column) for column in zip(*rows)]
ours, theirs = map(medians, sys.argv[1:])
print(f"median: ours {ours[0]:.3f} s, {ours[1] / 1024:.0f} MiB; polars {theirs[0]:.3f} s, {theirs[1] / 1024:.0f} MiB")
print(f"ratio: time {ours[0] / theirs[0]:.2f}, memory {ours[1] / theirs[1]:.2f}")
PY
