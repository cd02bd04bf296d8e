# What the conformance scripts share: Python with pinned clients, the binary, a trained project, a server on free ports.
# Sourced after `set -euo pipefail`. A tool that is absent is a printed reason and exit 0; with FORETELL_REQUIRE_CONFORMANCE=1
# it is a failure. What was started or written here, the cache aside, is gone when the script ends.

conformance=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
repository=$(cd "$conformance/../.." && pwd)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/foretell"
work=$(mktemp -d)
made=
server=
export CARGO_TERM_COLOR=never PYTHONDONTWRITEBYTECODE=1
# Servers here are on loopback: no client may look for a proxy.
no_proxy="127.0.0.1,localhost,${no_proxy:-${NO_PROXY:-}}"
export no_proxy NO_PROXY="$no_proxy"

finish() {
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$work" ${made:+"$made"}
}
trap finish EXIT

skip() {
  printf 'skipped: %s\n' "$*"
  [ -z "${FORETELL_REQUIRE_CONFORMANCE:-}" ] || exit 1
  exit 0
}

fail() {
  printf 'failed: %s\n' "$*" >&2
  exit 1
}

# Sets `python` to a Python that has what the requirements file names. Made once, under another name and renamed, so that
# a folder with the final name is whole.
use_python() {
  local requirements=$1
  command -v python3 >/dev/null || skip "there is no python3"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || skip "$(python3 --version) is older than 3.11, which the clients need"
  python3 -c 'import ensurepip, venv' 2>/dev/null || skip "python3 has no venv"
  local key
  key=$( (python3 -c 'import sys; print(sys.executable, sys.version)' && cat "$requirements") | python3 -c \
    'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])')
  local venv="$cache/venv-$key"
  [ -x "$venv/bin/python" ] || make_venv "$venv" "$requirements"
  python="$venv/bin/python"
}

make_venv() {
  local venv=$1 requirements=$2 log="$work/pip.log"
  mkdir -p "$cache"
  made=$(mktemp -d "$cache/making-XXXXXX")
  python3 -m venv "$made" >"$log" 2>&1 || skip "python3 -m venv does not work: $(tail -n 1 "$log")"
  printf 'installing %s\n' "$(grep -v '^#' "$requirements" | tr '\n' ' ')"
  if ! "$made/bin/python" -m pip install --disable-pip-version-check --quiet -r "$requirements" >"$log" 2>&1; then
    if grep -qiE 'connection|timed out|name resolution|unreachable|proxy|ssl|retry' "$log"; then
      skip "pip cannot reach its index: $(tail -n 1 "$log")"
    fi
    cat "$log" >&2
    fail "pip cannot install $requirements"
  fi
  python3 -c 'import os, sys; os.rename(*sys.argv[1:])' "$made" "$venv" 2>/dev/null || rm -rf "$made" # another run was first
}

# Sets `foretell` to the binary, built from this tree; FORETELL_BIN names another.
use_binary() {
  foretell=${FORETELL_BIN:-}
  [ -z "$foretell" ] || return 0
  command -v cargo >/dev/null || skip "there is no cargo to build foretell with, and FORETELL_BIN names no binary"
  foretell=$(cd "$repository" && cargo build --quiet -p foretell --message-format=json-render-diagnostics | python3 -c \
    'import json, sys; print(next(it["executable"] for it in map(json.loads, sys.stdin) if it.get("executable")))')
}

# Sets `project` to a new project with the models named, trained and materialized.
use_project() {
  project="$work/project"
  python3 "$conformance/support/project.py" "$project"
  run_foretell train "$@"
  run_foretell features materialize
}

run_foretell() {
  "$foretell" "$@" --project "$project" --json >"$work/out" 2>"$work/err" ||
    fail "foretell $*: exit code $?; $(cat "$work/out" "$work/err")"
}

# Starts a server on the project and waits until it has said where it is; sets `http` and `grpc`.
use_server() {
  local said="$work/said" log="$work/log" place
  : >"$said"
  "$foretell" serve --http 127.0.0.1:0 --grpc 127.0.0.1:0 --json --project "$project" >"$said" 2>"$log" &
  server=$!
  for _ in $(seq 300); do
    kill -0 "$server" 2>/dev/null || fail "the server ended: $(cat "$log")"
    if place=$(python3 -c 'import json, sys; it = json.load(sys.stdin); print(it["http"], it["grpc"])' <"$said" 2>/dev/null); then
      read -r http grpc <<<"$place"
      return 0
    fi
    sleep 0.1
  done
  fail "the server did not say within 30 s where it is: $(cat "$log")"
}

# Stops the server the way an operator does, and waits for it.
stop_server() {
  local stopped=$server code=0
  kill -TERM "$stopped"
  wait "$stopped" || code=$?
  server=
  [ "$code" = 0 ] || fail "the server ended with exit code $code: $(cat "$work/log")"
}

# Runs a Python program of clients/ with the folder of what they share on its path.
check() {
  local program=$1
  shift
  PYTHONPATH="$conformance/support" "$python" "$conformance/clients/$program" "$@" || fail "$program; the server said: $(tail -n 20 "$work/log")"
}
