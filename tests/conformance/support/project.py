"""Writes a small project with one model of each shape that the protocols treat differently. Argument: the folder.

`churn`: text, whole numbers, fractions, booleans and blanks. `spend`: numbers only, with an interval. `demand`: a forecast.
"""

import datetime
import math
import sys
from pathlib import Path

DAYS = 240


class Chance:
    """SplitMix64, so that the files are the same everywhere."""

    def __init__(self, state):
        self.state = state

    def next(self):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    def unit(self):
        return (self.next() >> 11) / (1 << 53)

    def below(self, n):
        return int(self.unit() * n)


def customers(n):
    """Customers with a known pattern and some noise; every kind of column, some blanks."""
    chance = Chance(7)
    lines = ["customer_id,plan,months,complaints,price,paperless,left,spent"]
    for at in range(n):
        plan = ["basic", "plus", "prémium"][chance.below(3)]
        months, complaints, price = 1 + chance.below(60), chance.below(4), 10.25 + 5 * chance.below(8)
        paperless = "true" if chance.below(2) else "false"
        score = 0.9 * complaints - 0.06 * months + (1.2 if plan == "basic" else 0.0)
        left = "yes" if chance.unit() < 1 / (1 + math.exp(-score)) else "no"
        spent = price * (1 + months / 12) + 4 * chance.unit()
        shown = "" if chance.below(20) == 0 else f"{price}"
        lines.append(f"C{at},{plan},{months},{complaints},{shown},{paperless},{left},{spent:.2f}")
    return "\n".join(lines) + "\n"


def sales():
    """Two stores with a week's rhythm, a slow rise and some noise."""
    chance = Chance(11)
    first = datetime.date(2026, 6, 30) - datetime.timedelta(days=DAYS)
    lines = ["store,date,units"]
    for store in range(2):
        for day in range(DAYS):
            week = [3, 0, 0, 1, 4, 9, 7][day % 7]
            units = 20 + 10 * store + week + 0.02 * day + 2 * chance.unit()
            lines.append(f"S{store},{first + datetime.timedelta(days=day)},{units:.2f}")
    return "\n".join(lines) + "\n"


FILES = {
    "foretell.toml": """
[project]
name = "conformance"
as_of = "2026-06-30T00:00:00Z"
""",
    "features/all.toml": """
[entity.customer]
key = { customer_id = "string" }
[source.customers]
path = "customers.csv"
[source.sales]
path = "sales.csv"
event_time = "date"
[view.profile]
entity = "customer"
source = "customers"
latest = ["plan", "months", "complaints", "price", "paperless"]
[derived.customer]
price_per_month = "price / greatest(months, 1)"
""",
    "models/churn/model.toml": """
name = "churn"
task = "binary_classification"
entity = "customer"
features = ["profile:*", "price_per_month"]
[label]
source = "customers"
column = "left"
positive = "yes"
[split]
by = "row_hash"
[[candidate]]
algorithm = "boosted_trees"
[decision]
levels = { high = 0.6, medium = 0.3, low = 0.0 }
[decision.recommendations]
high = ["call"]
[[endpoint]]
method = "POST"
path = "/api/predict/churn"
answer = { churn_probability = "value", risk_level = "decision.level" }
""",
    "models/spend/model.toml": """
name = "spend"
task = "regression"
entity = "customer"
features = ["profile:months", "profile:complaints", "profile:price"]
label = { source = "customers", column = "spent" }
[split]
by = "row_hash"
[[candidate]]
algorithm = "boosted_trees"
[[endpoint]]
method = "POST"
path = "/api/predict/spend"
answer = { spend = "value", spend_lower = "lower", spend_upper = "upper" }
""",
    "models/demand/model.toml": """
name = "demand"
task = "forecast"
[series]
source = "sales"
key = ["store"]
time = "date"
value = "units"
step = "1d"
horizon = 14
test = "last"
[[candidate]]
algorithm = "exponential_smoothing"
[[endpoint]]
method = "POST"
path = "/api/forecast/demand"
answer = { forecast = "steps", total_forecast = "total" }
""",
}


def main():
    root = Path(sys.argv[1])
    files = FILES | {"data/customers.csv": customers(1500), "data/sales.csv": sales()}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip(), encoding="utf-8")


main()
