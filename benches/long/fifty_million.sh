#!/bin/sh
# Bounded memory: 50 M events of 1 M entities in several files, joined to rows of entities at instants, five windows and two
# latest values. Fails where the peak of resident memory is above 2 GiB.
#
#   benches/long/fifty_million.sh
#
# EVENTS, ENTITIES, ROWS and LIMIT_MIB set the sizes; FORETELL names the binary (default target/dist/foretell), PYTHON an
# interpreter that has benches/peers/requirements.txt. Needs about 6 GiB of disk, TMPDIR says where.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
foretell=${FORETELL:-$here/../../target/dist/foretell}
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

mkdir -p "$work/data/events" "$work/features"
cat > "$work/foretell.toml" <<'TOML'
[project]
name = "fifty-million"
TOML
cat > "$work/features/customer.toml" <<'TOML'
[entity.customer]
key = { customer_id = "int64" }
[source.events]
path = "events"
format = "parquet"
event_time = "event_time"
columns = { revenue = "amount * units" }
[view.events]
entity = "customer"
source = "events"
[view.events.features]
amount = { latest = "amount" }
channel = { latest = "channel" }
n_7d = { count = "*", window = "7d" }
revenue_30d = { sum = "revenue", window = "30d" }
mean_90d = { mean = "amount", window = "90d" }
greatest_30d = { max = "amount", where = "units > 5", window = "30d" }
channels_90d = { count_distinct = "channel", window = "90d" }
TOML
"$python" "$here/fifty_million.py" "$work" "${EVENTS:-50000000}" "${ENTITIES:-1000000}" "${ROWS:-1000000}"
echo "events: ${EVENTS:-50000000} in $(ls "$work/data/events" | wc -l) files, $(du -sm "$work/data/events" | cut -f1) MiB"

"$python" - "${LIMIT_MIB:-2048}" "$foretell" --project "$work" features historical --entities "$work/entities.parquet" \
    --features 'events:*' --out "$work/out.parquet" <<'PY'
import resource, subprocess, sys, time
limit, *command = sys.argv[1:]
start = time.perf_counter()
subprocess.run(command, check=True)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(f"{seconds:.1f} s, peak of resident memory {peak:.0f} MiB of {limit} MiB")
sys.exit(not peak <= float(limit))
PY
"$python" - "$work" "${ROWS:-1000000}" <<'PY'
import sys
import polars as pl
folder, rows = sys.argv[1], int(sys.argv[2])
out = pl.read_parquet(f"{folder}/out.parquet")
assert out.height == rows, f"{out.height} rows out of {rows}"
# One in a thousand rows is looked up the plain way.
some = out.with_row_index("row").gather_every(max(rows // 1000, 1))
events = pl.scan_parquet(f"{folder}/data/events/*.parquet").filter(pl.col("customer_id").is_in(some["customer_id"].to_list()))
naive = pl.col("event_time").dt.replace_time_zone(None)
pairs = some.lazy().select("row", "customer_id", at="event_timestamp").join(events.with_columns(naive), on="customer_id").collect()
day = pl.duration(days=1)
floor = lambda days: (pl.col("at") - pl.duration(days=days)).dt.truncate("1d")
week = (pl.col("at") - pl.duration(days=7)).dt.truncate("1h")
before = pl.col("event_time") < pl.col("at")
revenue = pl.col("amount") * pl.col("units")
expected = pairs.group_by("row").agg(
    n_7d=(before & (pl.col("event_time") >= week)).sum().cast(pl.Int64),
    revenue_30d=revenue.filter(before & (pl.col("event_time") >= floor(30))).sum(),
    greatest_30d=pl.col("amount").filter(before & (pl.col("event_time") >= floor(30)) & (pl.col("units") > 5)).max(),
    channels_90d=pl.col("channel").filter(before & (pl.col("event_time") >= floor(90))).n_unique().cast(pl.Int64),
)
both = some.join(expected, on="row", how="left", suffix="_expected")
for name in ["n_7d", "revenue_30d", "greatest_30d", "channels_90d"]:
    other = pl.col(f"{name}_expected").fill_null(0) if name != "greatest_30d" else pl.col(f"{name}_expected")
    same = both.select((pl.col(name).eq_missing(other) | ((pl.col(name) - other).abs() <= 1e-9 * other.abs())).all()).item()
    assert same, f"{name} differs from the plain computation"
print(f"{some.height} of {rows} rows looked up the plain way are the same")
PY
