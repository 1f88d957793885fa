"""Synthetic cells of models, with invented numbers."""

import numpy as np
import pandas as pd
import pytest

from convgrad.results.schema import CELL_COLUMNS, KEY, TEXT_COLUMNS

SIZES = "study", "shape", "classes", "batch"

# model, family, base, compared_to, stored parameters, accuracy
DENSE, CNN = "mlp 256", "cnn 16-32"
PARETO = [
    ("softmax regression", "dense", "", "", 7_850, 0.885),
    ("mlp 8", "dense", "", "", 6_370, 0.868),
    ("mlp 32", "dense", "", "", 25_450, 0.917),
    (DENSE, "dense", "", "", 203_530, 0.941),
    ("mlp 256-128", "dense", "", "", 235_146, 0.943),
    ("cnn 4", "convolution", "", "", 7_900, 0.948),
    ("cnn 8-16", "convolution", "", "", 9_098, 0.962),
    (CNN, "convolution", "", "", 105_866, 0.974),
    ("cnn 16-32, separable", "separable", "", "", 102_000, 0.969),
    ("joined", "joined", "", "", 113_716, 0.972),
    (f"{DENSE}, 80 % zeros", "pruned", DENSE, DENSE, 41_000, 0.942),
    (f"{DENSE}, 90 % zeros", "pruned", DENSE, DENSE, 20_600, 0.939),
    (f"{DENSE}, 98 % zeros", "pruned", DENSE, DENSE, 4_300, 0.901),
    (f"{CNN}, 80 % zeros", "pruned", CNN, CNN, 21_200, 0.974),
    (f"{CNN}, 90 % zeros", "pruned", CNN, CNN, 10_700, 0.971),
    (f"{CNN}, 95 % zeros", "pruned", CNN, CNN, 5_400, 0.961),
    (f"{CNN}, half the filters", "fewer filters", CNN, CNN, 27_000, 0.968),
    (f"{DENSE}, int8", "quantised", DENSE, DENSE, 203_530, 0.941),
    (f"{CNN}, int8", "quantised", CNN, CNN, 105_866, 0.9735),
    (f"{CNN}, 90 % zeros, int8", "quantised", f"{CNN}, 90 % zeros", CNN, 10_700, 0.9705),
    (f"{DENSE}, rank 16", "low rank", DENSE, DENSE, 19_000, 0.93),
    ("mlp 8, with teacher", "distilled", "", "mlp 8", 6_370, 0.889),
    ("mlp 32, with teacher", "distilled", "", "mlp 32", 25_450, 0.932),
]
SHAPE = [
    ("dense", "dense", "", "", 1_229_312, 0.937),
    ("locally connected", "local", "", "", 15_680, 0.951),
    ("convolution", "convolution", "", "", 80, 0.958),
    ("grouped", "convolution", "", "", 40, 0.946),
    ("separable", "separable", "", "", 34, 0.941),
    ("low-rank dense", "low rank", "", "", 18_816, 0.921),
    ("low-rank convolution", "low rank", "", "", 56, 0.949),
]
FILTERS = [
    (f"filters {side} x {side}", "convolution", "", "", 8 * side**2 + 12_560, accuracy)
    for side, accuracy in zip((1, 3, 5, 7, 9, 11), (0.891, 0.951, 0.965, 0.968, 0.966, 0.961))
]
DEPTH = [
    (f"{stages} stages, head {head}", "convolution" if stages else "dense", "", "", count, accuracy)
    for stages, head, count, accuracy in (
        *((0, 64, 50_890, 0.926), (1, 64, 100_000, 0.959), (2, 64, 105_866, 0.974)),
        *((3, 64, 30_000, 0.976), (3, 16, 12_000, 0.971)),
    )
]


def cells_of(study, data, models, seeds=5, worse=0.0):
    """A cell a model of a study, timed alone, four numbers a byte at int8."""
    random = np.random.default_rng(len(models))
    rows = []
    for model, family, base, compared_to, stored, accuracy in models:
        accuracy -= worse
        known = {name: right for name, *_, right in models}
        spread = 0.3 * (1 - accuracy) * random.uniform(0.1, 0.4)
        gain = accuracy + worse - known[compared_to] if compared_to else np.nan
        slow = 12 if "cnn" in model or family in ("convolution", "separable") else 1
        time = (4e-6 + stored * 2e-10 * slow + slow * 1e-6) * random.uniform(0.8, 1.3)
        size = stored * (1 if "int8" in model else 4) + 600
        rows.append(
            {
                **{"operation": "predict", "case": f"study={study},data={data},batch=1,float32"},
                **{"kernel": f"{data} {model}", "threads": 1, "cache": "warm", "call": "plain"},
                **{"study": study, "shape": "1x28x28", "classes": 10, "batch": 1},
                **{"dtype": "float32", "data": data, "family": family, "device": "cpu"},
                **{"status": "ok", "baseline": False, "flags": "", "parameters": stored},
                **{"flops": 2 * stored * slow, "median_s": time, "low_s": 0.97 * time},
                **{"high_s": 1.04 * time, "peak_bytes": 4096 * (1 + size * 3 // 4096)},
                **{"model": model, "base": base, "compared_to": compared_to, "seeds": seeds},
                **{"accuracy": accuracy, "accuracy_low": accuracy - spread},
                **{"accuracy_high": min(accuracy + spread, 1)},
                **{"validation_accuracy": accuracy - 0.003, "gain": gain},
                **{"gain_low": gain - 0.004, "gain_high": gain + 0.005},
                **{"stored_parameters": stored, "file_bytes": size, "train_s": 8.0},
            }
        )
    columns = [*KEY, *SIZES, *(name for name in CELL_COLUMNS if name not in KEY)]
    made = pd.DataFrame(rows, columns=columns)
    texts = {name: made[name].astype(object).fillna("").astype(str) for name in TEXT_COLUMNS}
    return made.assign(**texts)


@pytest.fixture(scope="session")
def model_cells():
    """Cells of all five studies. Tests must not change them."""
    return pd.concat(
        [
            cells_of("shape", "mnist", SHAPE),
            cells_of("pareto", "mnist", PARETO),
            cells_of("filter_size", "mnist", FILTERS),
            cells_of("filter_size", "vowels", FILTERS, worse=0.03),
            cells_of("depth", "mnist", DEPTH),
            cells_of("budget", "mnist", PARETO),
            cells_of("budget", "digits", PARETO, worse=-0.015),
            cells_of("budget", "languages", PARETO, worse=0.2),
        ],
        ignore_index=True,
    )
