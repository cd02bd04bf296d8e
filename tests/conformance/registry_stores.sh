#!/usr/bin/env bash
# The registry on real object stores: the suite of all stores against SeaweedFS (S3) and Azurite (Azure), both on loopback, with
# the environment variables that users of those stores have; and a server that ignores conditions, which must be refused.
set -euo pipefail
source "$(dirname "$0")/support/lib.sh"
command -v cargo >/dev/null || skip "there is no cargo to build the registry with"
azurite_version=3.37.0
started=()

stop_stores() {
  for store in "${started[@]}"; do
    # What they keep is thrown away; a graceful end would only take time.
    kill -KILL "$store" 2>/dev/null || true
    wait "$store" 2>/dev/null || true
  done
  finish
}
trap stop_stores EXIT

# Waits for the line or the port that says that a store is up; the last argument is its log.
await() {
  local what=$1 log=$2
  shift 2
  for _ in $(seq 300); do
    kill -0 "${started[-1]}" 2>/dev/null || fail "$what ended: $(tail -n 5 "$log")"
    "$@" >/dev/null 2>&1 && return 0
    sleep 0.2
  done
  fail "$what did not start within 60 s: $(tail -n 5 "$log")"
}

free_ports() {
  python3 - "$1" <<'PY'
import socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(it.getsockname()[1] for it in sockets))
PY
}

listens() {
  python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1)' "$1"
}

# Makes the bucket `models`: a folder of the filer, which is up somewhat later than its port.
make_bucket() {
  python3 -c 'import sys, urllib.request as it; it.urlopen(it.Request(sys.argv[1], method="POST", headers={"Content-Length": "0"}), timeout=5)' \
    "http://127.0.0.1:$1/buckets/models/"
}

start_seaweedfs() {
  local log="$work/seaweedfs.log" master volume filer s3 master_rpc volume_rpc filer_rpc s3_rpc
  read -r master volume filer s3 master_rpc volume_rpc filer_rpc s3_rpc <<<"$(free_ports 8)"
  mkdir "$work/seaweedfs"
  printf '{"identities": [{"name": "ann", "credentials": [{"accessKey": "%s", "secretKey": "%s"}], "actions": ["Read:models", "Write:models", "List:models"]}]}' \
    "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" >"$work/s3.json"
  "$bin/weed" server -dir="$work/seaweedfs" -ip=127.0.0.1 -ip.bind=127.0.0.1 -filer -s3 -s3.config="$work/s3.json" \
    -master.telemetry=false -master.volumeSizeLimitMB=64 -volume.max=100 -s3.iam=false -s3.port.iceberg=0 \
    -master.port="$master" -volume.port="$volume" -filer.port="$filer" -s3.port="$s3" \
    -master.port.grpc="$master_rpc" -volume.port.grpc="$volume_rpc" -filer.port.grpc="$filer_rpc" -s3.port.grpc="$s3_rpc" \
    >"$log" 2>&1 &
  started+=($!)
  await SeaweedFS "$log" make_bucket "$filer"
  await SeaweedFS "$log" listens "$s3"
  seaweedfs="http://127.0.0.1:$s3"
}

start_rclone() {
  local log="$work/rclone.log" port
  read -r port <<<"$(free_ports 1)"
  mkdir -p "$work/rclone/models"
  "$bin/rclone" serve s3 "$work/rclone" --addr "127.0.0.1:$port" --auth-key "$AWS_ACCESS_KEY_ID,$AWS_SECRET_ACCESS_KEY" >"$log" 2>&1 &
  started+=($!)
  await rclone "$log" listens "$port"
  rclone="http://127.0.0.1:$port"
}

# Sets `azurite` to the command; false, with the reason printed, where it cannot be had.
use_azurite() {
  local folder="$cache/azurite-$azurite_version" log="$work/npm.log" reason=
  azurite="$folder/node_modules/.bin/azurite-blob"
  [ ! -x "$azurite" ] || return 0
  if ! command -v npm >/dev/null; then
    reason="there is no npm"
  else
    mkdir -p "$cache"
    made=$(mktemp -d "$cache/making-XXXXXX")
    printf 'installing azurite %s\n' "$azurite_version"
    npm install --silent --no-audit --no-fund --prefix "$made" "azurite@$azurite_version" >"$log" 2>&1 || reason="npm: $(tail -n 1 "$log")"
    [ -n "$reason" ] || python3 -c 'import os, sys; os.rename(*sys.argv[1:])' "$made" "$folder" 2>/dev/null || rm -rf "$made"
  fi
  [ -n "$reason" ] || return 0
  printf 'skipped: Azure: %s\n' "$reason"
  [ -z "${FORETELL_REQUIRE_CONFORMANCE:-}" ] || exit 1
  return 1
}

start_azurite() {
  local log="$work/azurite.log" port
  read -r port <<<"$(free_ports 1)"
  export AZURITE_ACCOUNTS="$AZURE_STORAGE_ACCOUNT_NAME:$AZURE_STORAGE_ACCOUNT_KEY"
  "$azurite" --silent --disableTelemetry --skipApiVersionCheck --blobHost 127.0.0.1 --blobPort "$port" --location "$work/azurite" >"$log" 2>&1 &
  started+=($!)
  await Azurite "$log" listens "$port"
  blob="http://127.0.0.1:$port/$AZURE_STORAGE_ACCOUNT_NAME"
  python3 "$conformance/support/azure_container.py" "$blob" "$AZURE_STORAGE_ACCOUNT_NAME" "$AZURE_STORAGE_ACCOUNT_KEY" models ||
    fail "Azurite makes no container: $(tail -n 5 "$log")"
}

use_python "$conformance/requirements/registry_stores.txt"
bin=$(dirname "$python")
for name in weed rclone; do
  "$bin/$name" version >/dev/null 2>&1 || skip "$name does not run here"
done
# The crate alone: whole-workspace features would build polars and all above it once more.
suite() {
  (cd "$repository" && cargo test --quiet -p foretell-registry --features aws,azure --test cloud "$@")
}
suite --no-run

export AWS_ACCESS_KEY_ID=ann AWS_SECRET_ACCESS_KEY=not-a-secret AWS_REGION=us-east-1 AWS_ALLOW_HTTP=true
start_seaweedfs
printf 'SeaweedFS: every promise\n'
AWS_ENDPOINT_URL=$seaweedfs FORETELL_TEST_REGISTRY=s3://models suite
start_rclone
printf 'rclone serve s3: refused\n'
AWS_ENDPOINT=$rclone FORETELL_TEST_CARELESS_REGISTRY=s3://models/careless FORETELL_TEST_MISSING_BUCKET=s3://no-such-bucket/models suite

use_azurite || exit 0
export AZURE_STORAGE_ACCOUNT_NAME=ann AZURE_ALLOW_HTTP=true
AZURE_STORAGE_ACCOUNT_KEY=$(python3 -c 'import base64; print(base64.b64encode(bytes(range(64))).decode())')
export AZURE_STORAGE_ACCOUNT_KEY
start_azurite
printf 'Azurite: every promise\n'
AZURE_STORAGE_ENDPOINT=$blob FORETELL_TEST_REGISTRY=az://models FORETELL_TEST_MISSING_BUCKET=az://no-such-container/models suite
