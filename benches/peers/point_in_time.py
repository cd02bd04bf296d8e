"""The point-in-time join by hand, and what its comparison needs: data to join, and a check that two answers are one.

    point_in_time.py make FOLDER ROWS EVENTS ENTITIES     entities.parquet and data/events.parquet
    point_in_time.py join FOLDER OUT                      the join as one writes it with polars
    point_in_time.py agree A B                            exit 0 where every row of both files is the same, value by value
"""

import sys

import polars as pl

FEATURES = ["f1", "f2", "f3", "f4", "f5"]
DAY = 86_400_000_000
START = 1_700_000_000_000_000


def make(folder, rows, events, entities):
    import random

    draw = random.Random(7)
    span = 90 * DAY
    n = events
    frame = pl.DataFrame(
        {
            "customer_id": [draw.randrange(entities) for _ in range(n)],
            # Whole minutes: so that several events of one customer do share an instant.
            "event_time": [START + draw.randrange(span) // 60_000_000 * 60_000_000 for _ in range(n)],
            "created": [draw.randrange(DAY) for _ in range(n)],
            "f1": [None if draw.random() < 0.05 else draw.gauss(0.0, 1.0) for _ in range(n)],
            "f2": [None if draw.random() < 0.05 else draw.random() for _ in range(n)],
            "f3": [draw.randrange(1000) for _ in range(n)],
            "f4": [draw.randrange(2) == 1 for _ in range(n)],
            "f5": [f"channel-{draw.randrange(50)}" for _ in range(n)],
        }
    )
    # Learned of within the day before, so that "as it was known" and "as it is in the file" are one, as in the peer's join.
    frame = frame.with_columns((pl.col("event_time") - pl.col("created")).alias("created"))
    micros = pl.Datetime("us", "UTC")
    frame.with_columns(pl.col("event_time", "created").cast(micros)).write_parquet(f"{folder}/data/events.parquet")
    asked = pl.DataFrame(
        {
            # One in a hundred is somebody whom nobody knows.
            "customer_id": [draw.randrange(entities + entities // 100) for _ in range(rows)],
            "event_timestamp": [START + draw.randrange(span) for _ in range(rows)],
        }
    )
    asked.with_columns(pl.col("event_timestamp").cast(micros)).write_parquet(f"{folder}/entities.parquet")


def join(folder, out):
    events = pl.read_parquet(f"{folder}/data/events.parquet").sort("event_time", "created", maintain_order=True)
    asked = pl.read_parquet(f"{folder}/entities.parquet").with_row_index("row").sort("event_timestamp")
    joined = asked.join_asof(
        events,
        left_on="event_timestamp",
        right_on="event_time",
        by="customer_id",
        tolerance="7d",
        strategy="backward",
        check_sortedness=False,
    )
    joined.sort("row").select("customer_id", "event_timestamp", *FEATURES).write_parquet(out)


def agree(a, b):
    one, other = (pl.read_parquet(it).with_columns(pl.col("event_timestamp").cast(pl.Int64)) for it in (a, b))
    if one.height != other.height:
        sys.exit(f"{one.height} rows and {other.height} rows")
    for name in ["customer_id", "event_timestamp", *FEATURES]:
        different = (~one[name].eq_missing(other[name])).sum()
        if different:
            sys.exit(f"{different} rows differ in {name}")
    print(f"{one.height} rows agree in every value; {one['f3'].null_count()} of them have no event")


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    match verb:
        case "make":
            folder, *numbers = arguments
            make(folder, *map(int, numbers))
        case "join":
            join(*arguments)
        case "agree":
            agree(*arguments)
