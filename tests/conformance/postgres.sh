#!/usr/bin/env bash
# PostgreSQL as the tracking store: the suite of all stores against a real server.
set -euo pipefail
source "$(dirname "$0")/support/lib.sh"
command -v cargo >/dev/null || skip "there is no cargo to build foretell with"

# Sets `bin` to a folder with `initdb` and `postgres`: an installed one, else one from PyPI, copied to where any user may read.
use_postgres() {
  local found
  found=$(command -v initdb || find /usr/lib/postgresql /usr/local/pgsql /opt/homebrew/opt -name initdb 2>/dev/null | sort -V | tail -n 1 || true)
  if [ -n "$found" ]; then
    bin=$(dirname "$(readlink -f "$found")")
    return 0
  fi
  use_python "$conformance/requirements/postgres.txt"
  found=$("$python" -c 'import importlib.util as it; print(it.find_spec("pgserver").submodule_search_locations[0])')
  cp -R "$found" "$work/pgserver"
  [ -d "$found.libs" ] && cp -R "$found.libs" "$work/"
  bin="$work/pgserver/pginstall/bin"
}

# PostgreSQL refuses to run as root: another user does it then. Everything lies in a folder of that user.
use_user() {
  as=()
  chmod 755 "$work"
  mkdir "$work/postgres"
  [ "$(id -u)" = 0 ] || return 0
  command -v setpriv >/dev/null || skip "PostgreSQL does not run as root, and there is no setpriv to run it as somebody else"
  local user
  user=$(id -un postgres 2>/dev/null || id -un nobody 2>/dev/null) || skip "PostgreSQL does not run as root, and there is no user nobody"
  chown "$user" "$work/postgres"
  as=(setpriv "--reuid=$user" "--regid=$(id -g "$user")" --clear-groups env "HOME=$work/postgres")
}

# Starts a server on a free port of loopback; sets `url`. What it writes is thrown away, so it need not reach the disk.
start_postgres() {
  local data="$work/postgres/data" log="$work/postgres.log" port
  cd "$work/postgres"
  "${as[@]}" "$bin/initdb" -D "$data" -U foretell --auth=trust -E UTF8 --locale=C >"$log" 2>&1 || skip "initdb does not run here: $(tail -n 1 "$log")"
  for _ in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 20000))
    "${as[@]}" "$bin/postgres" -D "$data" -h 127.0.0.1 -p "$port" -k "$work/postgres" -c fsync=off >"$log" 2>&1 &
    server=$!
    for _ in $(seq 100); do
      if grep -q 'ready to accept connections' "$log"; then
        url="postgres://foretell@127.0.0.1:$port/postgres"
        return 0
      fi
      kill -0 "$server" 2>/dev/null || break
      sleep 0.1
    done
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
  done
  fail "PostgreSQL did not start: $(tail -n 3 "$log")"
}

use_postgres
"$bin/postgres" --version || skip "$bin/postgres does not run here"
use_user
start_postgres
# The crate alone: whole-workspace features could build polars and all above it once more.
cd "$repository"
FORETELL_POSTGRES=$url cargo test --quiet -p foretell-tracking --features postgres --test postgres
