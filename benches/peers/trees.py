"""Tree ensembles of the real libraries, each in every form in which a peer evaluates it, and rows to evaluate.

    trees.py make FOLDER MINUTES [SHAPE..]     the rows (float32) and a folder for each model; all of them without SHAPE
    trees.py convert FORM FOLDER MINUTES       one form of one model; called by `make`

A model's folder holds the library's own file (`model.txt` or `model.json`), `expected.f64` (its raw scores of the first
EXPECTED rows), `model.onnx`, `tl2cgen.so`, for LightGBM `lleaves.so`, `shape.json`, and for a form that could not be made
`FORM.absent` with the reason. What is there already is kept.

TL2cgen and lleaves compile with their defaults. All trees in one block, which lleaves' documentation advises for single rows,
took 190 s for 100 trees of 64 leaves and was no faster (5.2 against 5.0 microseconds, in one run).
"""

import json
import pathlib
import resource
import signal
import subprocess
import sys
import time

import numpy as np

# Counts up when a change makes other models: those in the cache then are not taken for these.
RECIPE = 1

# Name, trees, leaves, levels (0: as deep as the leaves need), training rows, columns, how many of them are categories.
SHAPES = {
    "100x6": (100, 64, 6, 30_000, [30, 300], 0),
    "500x6": (500, 64, 6, 30_000, [30, 300], 0),
    "500x64c": (500, 64, 0, 30_000, [30], 10),
    "1000x64": (1000, 64, 0, 30_000, [30, 300], 0),
    "300x10": (300, 1024, 10, 250_000, [30, 300], 0),
}
CATEGORIES = 40
ROWS = 65_536
EXPECTED = 2048
MISSING = 0.1
# A tree that ran out of gain is smaller than its shape; an ensemble of such would flatter everybody.
FULL = 0.9


def cells(draw, n_rows, n_columns, categories=0):
    """Normal values on a grid that float32 holds exactly, with the midpoints between them: every library sees the same rows.
    The first columns may be categories, as codes, low ones more often."""
    grid = np.round(draw.standard_normal((n_rows, n_columns), dtype=np.float32) * 1024) / np.float32(1024)
    grid[:, :categories] = np.floor(CATEGORIES * draw.random((n_rows, categories), dtype=np.float32) ** 2)
    grid[draw.random((n_rows, n_columns), dtype=np.float32) < MISSING] = np.nan
    return grid


def target(draw, rows, categories=0):
    """Smooth, stepped and paired effects of up to 60 columns, of falling size, so that deep splits find something in many. A
    category has its own effect, drawn once."""
    known = np.nan_to_num(rows[:, :60], nan=0.0).astype(np.float64)
    effects = np.random.default_rng(3).standard_normal((categories, CATEGORIES))
    for at in range(categories):
        known[:, at] = effects[at][known[:, at].astype(int)]
    missing = np.isnan(rows[:, :60])
    total = np.zeros(len(rows))
    for at in range(known.shape[1]):
        weight, x, other = 1.0 / (1.0 + 0.1 * at), known[:, at], known[:, (at * 7 + 3) % known.shape[1]]
        total += weight * (np.sin(2.0 * x) + 0.5 * (x > 0.3) + 0.5 * x * other + 0.3 * missing[:, at])
    return total / total.std() + 0.1 * draw.standard_normal(len(rows))


def drawn(rows):
    """The share of the columns that a tree may use: where there are many, one in five, as usual; it trains in a fifth."""
    return 1.0 if rows.shape[1] <= 30 else 0.2


def train_lightgbm(folder, shape, rows, answers):
    import lightgbm

    trees, leaves, depth, *_, categories = shape
    settings = {
        "objective": "regression",
        "num_leaves": leaves,
        "max_depth": depth or -1,
        "learning_rate": 0.05,
        "min_data_in_leaf": 1 if leaves > 64 else 2,
        "min_sum_hessian_in_leaf": 0.0,
        "verbosity": -1,
        "feature_fraction": drawn(rows),
        "deterministic": True,
        "force_col_wise": True,
        "seed": 1,
    }
    dataset = lightgbm.Dataset(rows, answers, categorical_feature=list(range(categories)))
    booster = lightgbm.train(settings, dataset, trees)
    booster.save_model(folder / "model.txt")
    sizes = [it["num_leaves"] for it in booster.dump_model()["tree_info"]]
    return sizes, lambda rows: booster.predict(rows, raw_score=True)


def train_xgboost(folder, shape, rows, answers):
    import xgboost

    trees, leaves, depth, *_, categories = shape
    types = ["c"] * categories + ["q"] * (rows.shape[1] - categories)

    def matrix(rows, answers=None):
        return xgboost.DMatrix(rows, answers, feature_types=types, enable_categorical=True)

    settings = {
        "objective": "reg:squarederror",
        "tree_method": "hist",
        "grow_policy": "depthwise" if depth else "lossguide",
        "max_depth": depth,
        "max_leaves": 0 if depth else leaves,
        "learning_rate": 0.05,
        "min_child_weight": 1,
        "colsample_bytree": drawn(rows),
        "seed": 1,
    }
    booster = xgboost.train(settings, matrix(rows, answers), trees)
    booster.save_model(folder / "model.json")
    sizes = [tree.count("leaf=") for tree in booster.get_dump()]
    return sizes, lambda rows: booster.predict(matrix(rows), output_margin=True)


TRAIN = {"lightgbm": train_lightgbm, "xgboost": train_xgboost}
# From the cheapest on: an impatient reader has most of the table early.
FORMS = {"onnx": {"lightgbm", "xgboost"}, "lleaves": {"lightgbm"}, "tl2cgen": {"lightgbm", "xgboost"}}


def make(folder, minutes, names):
    folder.mkdir(parents=True, exist_ok=True)
    models = [(name, columns, library) for name in names or SHAPES for columns in SHAPES[name][4] for library in TRAIN]
    for name, columns, library in models:
        make_model(folder / f"{library}-{name}-{columns}", library, name, columns)
    for form, of in FORMS.items():
        for name, columns, library in models:
            if library in of:
                make_form(folder / f"{library}-{name}-{columns}", form, minutes)


def make_model(folder, library, name, columns):
    folder.mkdir(exist_ok=True)
    if (folder / "shape.json").exists():
        return
    began, shape = time.monotonic(), SHAPES[name]
    categories = shape[5]
    rows_file = f"rows-{columns}{'c' if categories else ''}.f32"
    asked = cells(np.random.default_rng(2), ROWS, columns, categories)
    asked.tofile(folder.parent / rows_file)
    draw = np.random.default_rng(1)
    rows = cells(draw, shape[3], columns, categories)
    sizes, predict = TRAIN[library](folder, shape, rows, target(draw, rows, categories))
    mean = sum(sizes) / len(sizes)
    assert mean >= FULL * shape[1], f"{folder.name}: {mean:.0f} leaves a tree, not {shape[1]}"
    np.asarray(predict(asked[:EXPECTED]), np.float64).tofile(folder / "expected.f64")
    about = {"library": library, "shape": name, "columns": columns, "rows": rows_file, "trees": len(sizes), "leaves": mean}
    (folder / "shape.json").write_text(json.dumps(about))
    print(f"{folder.name}: {mean:.1f} leaves a tree, {time.monotonic() - began:.0f} s", flush=True)


def make_form(folder, form, minutes):
    made = folder / ("model.onnx" if form == "onnx" else f"{form}.so")
    absent = folder / f"{form}.absent"
    if made.exists() or absent.exists():
        return
    began = time.monotonic()
    command = [sys.executable, __file__, "convert", form, str(folder), str(minutes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == -signal.SIGXCPU:
        reason = f"not made within {minutes:g} minutes of processor time"
    else:
        errors = [line for line in done.stderr.splitlines() if "rror" in line]
        reason = None if done.returncode == 0 else f"exit code {done.returncode}: {errors[-1:]}"
    if reason:
        made.unlink(missing_ok=True)
        absent.write_text(reason)
    print(f"{folder.name}: {form} {reason or 'made'}, {time.monotonic() - began:.0f} s", flush=True)


def to_onnx(folder):
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    columns = json.loads((folder / "shape.json").read_text())["columns"]
    inputs = [("input", FloatTensorType([None, columns]))]
    if (folder / "model.txt").exists():
        import lightgbm

        booster = lightgbm.Booster(model_file=folder / "model.txt")
        graph = onnxmltools.convert_lightgbm(booster, initial_types=inputs, zipmap=False)
    else:
        import xgboost

        booster = xgboost.XGBRegressor()
        booster.load_model(folder / "model.json")
        graph = onnxmltools.convert_xgboost(booster, initial_types=inputs)
    onnxmltools.utils.save_model(graph, folder / "model.onnx")


def to_tl2cgen(folder):
    import tl2cgen
    import treelite

    if (folder / "model.txt").exists():
        model = treelite.frontend.load_lightgbm_model(folder / "model.txt")
    else:
        model = treelite.frontend.load_xgboost_model(folder / "model.json", format_choice="inspect")
    trees = json.loads((folder / "shape.json").read_text())["trees"]
    # Several files, so that the compiler needs minutes and not hours; two at a time.
    parts = {"parallel_comp": max(trees // 10, 1)}
    tl2cgen.export_lib(model, toolchain="gcc", libpath=folder / "tl2cgen.so", params=parts, nthread=2, verbose=False)


def to_lleaves(folder):
    import lleaves

    model = lleaves.Model(str(folder / "model.txt"))
    cached = folder / "lleaves.o"
    model.compile(cache=str(cached), raw_score=True)
    # The cache is an object file whose entry is `forest_root(data, results, first row, last row)`: linked, C can call it.
    subprocess.run(["gcc", "-shared", "-o", folder / "lleaves.so", cached, "-lm"], check=True)
    cached.unlink()


def convert(form, folder, minutes):
    # Of processor time, so that a busy machine makes the same. Each process that this one starts has as much again.
    resource.setrlimit(resource.RLIMIT_CPU, (int(60 * minutes), int(60 * minutes) + 5))
    match form:
        case "onnx":
            to_onnx(folder)
        case "tl2cgen":
            to_tl2cgen(folder)
        case "lleaves":
            to_lleaves(folder)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", folder, minutes, *names]:
            make(pathlib.Path(folder), float(minutes), names)
        case ["convert", form, folder, minutes]:
            convert(form, pathlib.Path(folder), float(minutes))
