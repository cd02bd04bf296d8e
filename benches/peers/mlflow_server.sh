#!/usr/bin/env bash
# Foretell's MLflow API beside `mlflow server` 3.17.2 with SQLite: same machine, same client, one run; on a disk, where fsync
# counts, and on a memory disk.
#
#   benches/peers/mlflow_server.sh [DISK_FOLDER [MEMORY_FOLDER]]
#
# FORETELL_BIN names an optimised `foretell`; without it the example server `mlflow_only` is built and used: the same routes and
# stores, no prediction. BLOCKS (7) times 20 requests of each kind go to each server, in turn.
set -euo pipefail
source "$(dirname "$0")/../../tests/conformance/support/lib.sh"
disk=${1:-$work}
memory=${2:-/dev/shm}
use_python "$repository/benches/peers/mlflow_server.txt"
if [ -n "${FORETELL_BIN:-}" ]; then
  ours=(sh -c "[ -e {folder}/project ] || '$FORETELL_BIN' init {folder}/project >/dev/null
    exec '$FORETELL_BIN' serve --project {folder}/project --http 127.0.0.1:{port} --grpc 127.0.0.1:0")
else
  server=$(cd "$repository" && cargo build --quiet --release -p foretell-registry -p foretell-tracking -p foretell-mlflow \
    --example mlflow_only --message-format=json-render-diagnostics | python3 -c \
    'import json, sys; print(next(it["executable"] for it in map(json.loads, sys.stdin) if it.get("executable")))')
  ours=("$server" "{folder}" "127.0.0.1:{port}")
fi
theirs=("$python" -m mlflow server --host 127.0.0.1 --port "{port}" --workers 1
  --backend-store-uri "sqlite:///{folder}/mlflow.db" --artifacts-destination "{folder}/artifacts")
for place in "$disk" "$memory"; do
  printf '\n%s\n' "$(df --output=fstype,source "$place" | tail -1)"
  "$python" "$repository/benches/peers/mlflow_server.py" "$place/foretell-mlflow-bench" -- "${ours[@]}" -- "${theirs[@]}"
  rm -rf "$place/foretell-mlflow-bench"
done
