"""What the checks share: every check runs and every failure is told; the native API is the judge of all numbers."""

import json
import sys
import traceback
import urllib.request

CHECKS = []

# One row of each kind: plain, not ASCII, an unknown category, no price.
ROWS = [
    {"plan": "basic", "months": 3, "complaints": 2, "price": 25.25, "paperless": True},
    {"plan": "prémium", "months": 41, "complaints": 0, "price": 10.25, "paperless": False},
    {"plan": "unheard of", "months": 1, "complaints": 3, "price": 45.25, "paperless": True},
    {"plan": "plus", "months": 60, "complaints": 1, "price": None, "paperless": False},
]
WHOLE_ROWS = ROWS[:3]
CUSTOMERS = ["C7", "C1", "C1499"]


def check(function):
    """Marks a function as a check; its name is the sentence that it proves."""
    CHECKS.append(function)
    return function


def run_checks():
    """Runs all checks and ends the process: 0 when all held."""
    failed = 0
    for function in CHECKS:
        sentence = function.__name__.replace("_", " ")
        try:
            function()
        except Exception:
            failed += 1
            print(f"FAILED {sentence}\n{traceback.format_exc()}", file=sys.stderr, flush=True)
    print(f"{len(CHECKS) - failed} of {len(CHECKS)} checks held", flush=True)
    sys.exit(1 if failed else 0)


def equal(got, expected, what=""):
    assert got == expected, f"{what}: got {got!r}, expected {expected!r}"


def post(address, path, body):
    """The answer to a POST that must succeed."""
    request = urllib.request.Request(f"http://{address}{path}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def predictions(address, model, **body):
    """What the native API answers."""
    return post(address, f"/v1/predict/{model}", body)["predictions"]


def values(address, model, **body):
    return [it["value"] for it in predictions(address, model, **body)]


def steps(address, model, field, **body):
    return [[step[field] for step in it["steps"]] for it in predictions(address, model, **body)]
