"""Writes a project of features alone, as Parquet: one of each shape that Feast's wire treats differently. Argument: the folder.

`spend_of` and `visits_of` say what belongs to a customer, so that a value of another one is recognised.
"""

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

CUSTOMERS = 300
BIG = 2**53 + 1
NOW = datetime.now(timezone.utc).replace(microsecond=0)


def spend_of(at):
    """Whole for every second customer: a float must stay one."""
    return at / 2


def visits_of(at):
    return BIG if at == 0 else at * 3


def ago(**span):
    return NOW - timedelta(**span)


def write(path, columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), path)


def accounts(ids, when=ago(days=2)):
    """Rows of the source `accounts`: every seventh plan and every eleventh spend is null."""
    return {
        "customer_id": pa.array([f"C{it}" for it in ids]),
        "plan": pa.array([None if it % 7 == 3 else ["basic", "plus", "prémium"][it % 3] for it in ids]),
        "spend": pa.array([None if it % 11 == 5 else spend_of(it) for it in ids], pa.float64()),
        "visits": pa.array([visits_of(it) for it in ids], pa.int64()),
        "active": pa.array([it % 2 == 0 for it in ids]),
        "seen_at": pa.array([when for _ in ids], pa.timestamp("us", "UTC")),
        "loaded_at": pa.array([when for _ in ids], pa.timestamp("us", "UTC")),
    }


STOCK = [("1", 11, 7), ("11", 1, 8), ("1", 1, 9), ("north", 5, 0)]

FILES = {
    "foretell.toml": '[project]\nname = "feast"\n',
    "features/all.toml": """
[entity.customer]
key = { customer_id = "string" }
description = "who buys"
owner = "ann@example.com"
[entity.stocked]
key = { store = "string", item = "int64" }
[source.accounts]
path = "accounts/*.parquet"
event_time = "seen_at"
known_time = "loaded_at"
tags = { team = "growth" }
[source.stocks]
path = "stocks.parquet"
event_time = "counted_at"
[source.rates]
path = "rates.parquet"
event_time = "at"
[source.moods]
path = "moods.parquet"
event_time = "asked_at"
[view.profile]
entity = "customer"
source = "accounts"
latest = ["plan", "spend", "visits", "active"]
[view.profile2]
entity = "customer"
source = "accounts"
latest = "plan"
[view.moods]
entity = "customer"
source = "moods"
max_age = "1d"
latest = ["mood"]
[view.stock]
entity = "stocked"
source = "stocks"
latest = ["units", "price"]
[view.rates]
source = "rates"
latest = ["dollar"]
[derived.customer]
spend_per_visit = "spend / greatest(visits, 1)"
spend_and_cart = "spend + cart_value"
[request.customer]
cart_value = "double"
[service.checkout]
features = ["profile:*", "stock:units", "rates:dollar", "spend_and_cart"]
except = ["profile:visits"]
tags = { team = "checkout" }
""",
}


def main():
    root = Path(sys.argv[1])
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text.lstrip(), encoding="utf-8")
    (root / "now").write_text(NOW.isoformat())
    data = root / "data"
    write(data / "accounts/first.parquet", accounts(range(CUSTOMERS)))
    stores, items, units = zip(*STOCK)
    counted = pa.array([ago(hours=1)] * len(STOCK), pa.timestamp("us", "UTC"))
    price = pa.array([1.0, 2.0, 2.5, 4.0])
    write(data / "stocks.parquet", {"store": stores, "item": items, "units": units, "price": price, "counted_at": counted})
    write(data / "rates.parquet", {"dollar": [1.25], "at": pa.array([ago(hours=2)], pa.timestamp("us", "UTC"))})
    asked = pa.array([ago(hours=1), ago(days=3)], pa.timestamp("us", "UTC"))
    write(data / "moods.parquet", {"customer_id": ["C0", "C1"], "mood": ["glad", "sad"], "asked_at": asked})


if __name__ == "__main__":
    main()
