"""The request log, read by pyarrow: `ask ADDRESS FILE` asks and notes the answers, `compare FOLDER FILE` compares."""

import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

from conformance import CUSTOMERS, ROWS, check, equal, post, run_checks

AS_OF = datetime(2026, 6, 30, tzinfo=timezone.utc)


def ask(address, file):
    bodies = [
        ("churn", {"entities": [{"customer_id": it}]}) for it in CUSTOMERS
    ] + [
        ("churn", {"rows": ROWS}),
        ("churn", {"entities": [{"customer_id": "NOBODY"}, {"customer_id": "C2"}]}),
        ("demand", {"series": [{"store": "S0"}, {"store": "S1"}]}),
    ]
    answered = [{"body": body, "answer": post(address, f"/v1/predict/{model}", body)} for model, body in bodies]
    oip = {"id": "from the caller", "inputs": [{"name": "customer_id", "datatype": "BYTES", "shape": [1, 1], "data": ["C3"]}]}
    answered.append({"body": {"entities": [{"customer_id": "C3"}]}, "oip": post(address, "/v2/models/churn/infer", oip)})
    Path(file).write_text(json.dumps(answered))


def compare(folder, file):
    answered = json.loads(Path(file).read_text())
    files = sorted(Path(folder).iterdir())
    table = pa.concat_tables([parquet.read_table(it) for it in files if it.suffix == ".parquet"])
    logged = {}
    for row in sorted(table.to_pylist(), key=lambda it: (it["time"], it["request_id"], it["row"])):
        logged.setdefault(row["request_id"], []).append(row)
    requests = list(logged.values())

    @check
    def only_whole_segments_are_in_the_folder():
        assert files and all(it.suffix == ".parquet" for it in files), files

    @check
    def columns_have_the_types_that_a_reader_expects():
        kinds = {name: table.schema.field(name).type for name in table.schema.names}
        instant = pa.timestamp("us", tz="UTC")
        expected = {
            "request_id": pa.string(), "row": pa.int64(), "time": instant, "as_of": instant, "model": pa.string(), "version": pa.int64(),
            "digest": pa.string(), "entity": pa.string(), "inputs": pa.string(), "output": pa.string(), "latency_us": pa.int64(),
        }
        equal({name: kinds.get(name) for name in expected}, expected)

    @check
    def every_request_is_logged_once_with_all_its_rows():
        equal([len(it) for it in requests], [len(subjects(it["body"])) for it in answered])
        for rows in requests:
            equal([it["row"] for it in rows], list(range(len(rows))))

    @check
    def the_log_holds_the_values_that_were_answered():
        for asked, rows in zip(answered, requests):
            if "oip" in asked:
                continue
            answer = asked["answer"]
            for prediction, row in zip(answer["predictions"], rows):
                equal((row["model"], str(row["version"]), row["digest"]), (answer["model"], answer["version"], answer["digest"]))
                output = json.loads(row["output"])
                for part in ["value", "lower", "upper", "status", "steps", "total", "decision"]:
                    equal(output.get(part), prediction.get(part), f"{part} of {row}")

    @check
    def an_open_inference_request_is_logged_under_its_id():
        rows = requests[-1]
        equal(rows[0]["request_id"], "from the caller")
        answered_value = next(it for it in answered[-1]["oip"]["outputs"] if it["name"] == "churn_probability")["data"][0]
        equal(json.loads(rows[0]["output"])["value"], answered_value)

    @check
    def the_log_holds_the_inputs_with_their_status():
        sent = next(rows for asked, rows in zip(answered, requests) if "rows" in asked["body"])
        for row, logged_row in zip(ROWS, sent):
            inputs = json.loads(logged_row["inputs"])
            equal({name: inputs[name]["value"] for name in row}, row)
            per_month = None if row["price"] is None else row["price"] / max(row["months"], 1)
            equal(inputs["price_per_month"]["value"], per_month)
        by_entity = json.loads(requests[0][0]["inputs"])
        for name in ROWS[0]:
            assert by_entity[name]["status"] in ("PRESENT", "NULL_VALUE"), by_entity[name]

    @check
    def the_log_holds_the_keys_times_and_latency():
        for asked, rows in zip(answered, requests):
            for subject, row in zip(subjects(asked["body"]), rows):
                if "rows" not in asked["body"]:
                    equal(json.loads(row["entity"]), subject)
                equal(row["as_of"], AS_OF)
                assert abs(row["time"] - datetime.now(timezone.utc)) < timedelta(minutes=10), row["time"]
                assert 0 <= row["latency_us"] < 60_000_000, row["latency_us"]

    run_checks()


def subjects(body):
    return body.get("entities") or body.get("rows") or body.get("series")


verb, place, file = sys.argv[1:]
ask(place, file) if verb == "ask" else compare(place, file)
