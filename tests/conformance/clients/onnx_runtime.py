"""onnxruntime's answers for exported models beside Foretell's own: `onnx_runtime.py DIR` with the files of the example
`export_onnx`, each graph with a JSON file of its inputs and expected outputs."""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime

MISSING_TEXT = "\u2400"
# Of the answer, or of the answers' average size where one is nearer 0.
TOLERANCE = 1e-6


def tensor(values, declared):
    """Inputs are doubles, texts or whole numbers; null is how each spells what is missing."""
    if declared.type == "tensor(string)":
        values = np.array(values, dtype=object).reshape(len(values), -1)
        return np.where(values == None, MISSING_TEXT, values)  # noqa: E711, element by element
    kind = np.int64 if declared.type == "tensor(int64)" else np.float64
    values = np.array(values, dtype=np.float64 if kind is np.float64 else np.int64)
    return values.reshape([len(values)] + [it for it in values.shape[1:]] + [1] * (len(declared.shape) - values.ndim))


def compare(name, expected, got):
    """The greatest difference, in units of what is allowed."""
    if got.dtype == object:
        wrong = [(want, it) for want, it in zip(expected, got.ravel()) if want != it]
        assert not wrong and len(expected) == got.size, f"{name}: {wrong[:3]}"
        return 0.0
    expected = np.array(expected, dtype=np.float64).reshape(got.shape)
    assert np.isfinite(got).all(), f"{name}: {got[~np.isfinite(got)][:3]}"
    size = max(np.abs(expected).mean(), 1e-300)
    off = np.abs(got - expected) / np.maximum(np.abs(expected), size) / TOLERANCE
    at = np.unravel_index(off.argmax(), off.shape)
    assert off.max() <= 1.0, f"{name} {at}: onnxruntime says {got[at]!r}, Foretell {expected[at]!r}"
    return float(off.max())


def check(path):
    onnx.checker.check_model(onnx.load(path))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    record = json.loads(path.with_suffix(".json").read_text())
    declared = {it.name: it for it in session.get_inputs()}
    assert set(declared) == set(record["inputs"]), f"{path.stem}: {set(declared) ^ set(record['inputs'])}"
    inputs = {name: tensor(values, declared[name]) for name, values in record["inputs"].items()}
    names = [it.name for it in session.get_outputs()]
    assert set(names) == set(record["outputs"]), f"{path.stem}: {names}"
    outputs = dict(zip(names, session.run(names, inputs)))
    off = max(compare(f"{path.stem} {name}", record["outputs"][name], got) for name, got in outputs.items())
    print(f"{path.stem}: {len(next(iter(outputs.values())))} rows, {', '.join(names)}: off by at most {off * TOLERANCE:.1e}")
    # One row alone is the same row.
    one = session.run(names, {name: it[:1] for name, it in inputs.items()})
    for name, got in zip(names, one):
        compare(f"{path.stem} {name} of one row", np.array(record["outputs"][name][:1], dtype=got.dtype), got)


def main():
    onnxruntime.set_default_logger_severity(3)
    paths = sorted(pathlib.Path(sys.argv[1]).glob("*.onnx"))
    assert paths, "no file was exported"
    failed = 0
    for path in paths:
        try:
            check(path)
        except Exception as error:  # every file is tried
            failed += 1
            print(f"failed: {path.stem}: {error}", file=sys.stderr)
    print(f"{len(paths) - failed} of {len(paths)} exported models answer the same in onnxruntime {onnxruntime.__version__}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
