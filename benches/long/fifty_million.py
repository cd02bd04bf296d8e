"""Data for fifty_million.sh: events in Parquet files of 5 M rows, and the rows to join them to.

    fifty_million.py FOLDER EVENTS ENTITIES ROWS
"""

import sys
from pathlib import Path

import polars as pl

SECOND = 1_000_000
DAY = 86_400 * SECOND
START = 1_700_000_000 * SECOND
PER_FILE = 5_000_000


def spread(expression, seed, below):
    """Whole numbers below a bound, as good as drawn, the same on every machine and version."""
    mixed = (expression * 2_862_933_555_777_941_757 + seed) % (1 << 40)
    return ((mixed * 6_364_136_223_846 + seed * 1_442_695) % 1_000_003_000_037) % below


def events(first, rows, entities):
    n = pl.int_range(first, first + rows, dtype=pl.Int64)
    return pl.select(
        customer_id=spread(n, 11, entities),
        event_time=(START + spread(n, 23, 90 * 86_400) * SECOND).cast(pl.Datetime("us", "UTC")),
        amount=spread(n, 37, 10_000) / 100.0,
        units=spread(n, 53, 10),
        channel=pl.format("channel-{}", spread(n, 71, 50)),
    )


def asked(rows, entities):
    n = pl.int_range(0, rows, dtype=pl.Int64)
    return pl.select(
        customer_id=spread(n, 101, entities),
        event_timestamp=(START + (30 + spread(n, 113, 60)) * DAY).cast(pl.Datetime("us", "UTC")),
    )


folder, total, entities, rows = Path(sys.argv[1]), *map(int, sys.argv[2:])
for part, first in enumerate(range(0, total, PER_FILE)):
    path = folder / "data" / "events" / f"{part:03}.parquet"
    events(first, min(PER_FILE, total - first), entities).write_parquet(path)
asked(rows, entities).write_parquet(folder / "entities.parquet")
