#!/usr/bin/env bash
# 100 entities x 50 latest values over HTTP, closed loop, server and client each on a core of their own, beside the bare
# /healthz of the same server. FORETELL is a foretell binary (any build: it only makes the project), SERVER an optimised
# foretell-server (cargo build --release -p foretell-serving --bin foretell-server). Needs wrk and taskset.
set -euo pipefail
foretell=${FORETELL:?a foretell binary}
server=${SERVER:?an optimised foretell-server}
work=$(mktemp -d)
trap '[ -n "${pid:-}" ] && kill "$pid" 2>/dev/null; rm -rf "$work"' EXIT

"$foretell" init "$work/shop" >/dev/null
cd "$work/shop"
rm -rf features/* models/* data
mkdir -p data
columns=$(seq -s, -f 'v%g' 1 50)
{
  echo "id,at,$columns"
  awk 'BEGIN { srand(7); for (i = 0; i < 5000; i++) { printf "c%d,2026-01-01", i; for (j = 0; j < 50; j++) printf ",%.6f", rand() * 1000; print "" } }'
} > data/rows.csv
cat > features/values.toml <<TOML
[entity.customer]
key = { id = "string" }
[source.rows]
path = "rows.csv"
event_time = "at"
[view.values]
entity = "customer"
source = "rows"
latest = [$(seq -s, -f '"v%g"' 1 50)]
TOML
"$foretell" features materialize >/dev/null
taskset -c 0 "$server" --project . --http 127.0.0.1:0 > "$work/said" 2>"$work/log" &
pid=$!
for _ in $(seq 100); do grep -q http:// "$work/said" && break; sleep 0.1; done
url=$(grep -o "http://[0-9.:]*" "$work/said") || { cat "$work/log" >&2; exit 1; }
cat > "$work/post.lua" <<'LUA'
local ids, names = {}, {}
for i = 0, 99 do ids[#ids + 1] = '"c' .. (i * 37 % 5000) .. '"' end
for i = 1, 50 do names[#names + 1] = '"values:v' .. i .. '"' end
wrk.method = "POST"
wrk.body = '{"entities":{"id":[' .. table.concat(ids, ",") .. ']},"features":[' .. table.concat(names, ",") .. ']}'
wrk.headers["content-type"] = "application/json"
LUA
for round in 1 2 3; do
  echo "round $round"
  taskset -c 1 wrk -t1 -c1 -d5s --latency "$url/healthz" | grep -E '50%|99%|Requests/sec' | sed 's/^/  healthz      /'
  taskset -c 1 wrk -t1 -c1 -d5s --latency -s "$work/post.lua" "$url/get-online-features" | grep -E '50%|99%|Requests/sec|Non-2xx' | sed 's/^/  100 x 50     /'
done
