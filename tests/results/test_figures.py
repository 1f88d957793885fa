"""The figures that are about more than one size axis, on cells made by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from convgrad.results.ledger import ledger, payoff
from convgrad.results.plots import select, write_plots
from convgrad.results.plots.figure import Grid, Picture
from convgrad.results.plots.roofline import levels, roof_of
from convgrad.results.plots.views import doubtful, main_view, with_efficiency
from convgrad.results.samples_text import link, samples_text
from convgrad.results.schema import CELL_COLUMNS, KEY, TEXT_COLUMNS

ROOF = {
    "dtype": "float32",
    "threads": 2,
    "flops_per_s": 1e11,
    "bandwidth": [[16e3, 4e11], [5e5, 2e11], [8e6, 1.9e11], [1e9, 2e10]],
}
INFO = {
    "machine": {"cpu": "hand-made"},
    "libraries": {"numpy": "2.4", "opencv-python-headless": "5.0", "typer": "1"},
    "roofs": [ROOF],
}
ALGORITHMS = {"plain": "scipy", "compiled": "numba", "transform": "fft"}


def cell(kernel, taps, dtype="float32", threads=2, cache="warm", call="plain", **known):
    time = {"plain": 40, "compiled": 10, "transform": 25}[kernel] * taps * 1e-6 / threads
    return {
        "operation": "convolve",
        "case": f"taps={taps},{dtype}",
        "kernel": kernel,
        "threads": threads,
        "cache": cache,
        "call": call,
        "taps": taps,
        "dtype": dtype,
        "data": "random",
        "family": ALGORITHMS[kernel],
        "device": "cpu",
        "baseline": kernel == "plain",
        "status": "ok",
        "parameters": taps,
        "flops": 1000 * taps,
        "bytes": 8000,
        "median_s": time,
        "low_s": 0.99 * time,
        "high_s": 1.01 * time,
        "gflops": 1e-6 * taps / time,
        "intensity": taps / 8,
        "relative_error": 1e-7 if dtype == "float32" else 1e-16,
        **known,
    }


def table(*cells):
    columns = [*KEY, "taps", *(name for name in CELL_COLUMNS if name not in KEY)]
    made = pd.DataFrame(cells, columns=columns)
    texts = {name: made[name].astype(object).fillna("").astype(str) for name in TEXT_COLUMNS}
    return made.assign(**texts)


@pytest.fixture(scope="module")
def cells():
    return table(
        *(
            cell(kernel, taps, dtype, threads, cache)
            for kernel, taps, dtype, threads, cache in itertools.product(
                ALGORITHMS, (3, 9, 27), ("float32", "float64"), (1, 2), ("warm", "cold")
            )
        )
    )


@pytest.fixture(scope="module")
def drawn(cells, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plots")
    return write_plots(cells, INFO, folder), folder


def test_a_view_is_of_one_cache(cells):
    assert main_view(cells) == ("float32", 2, "warm", "plain")
    assert main_view(cells[cells.cache == "cold"]) == ("float32", 2, "cold", "plain")
    assert set(select(cells, "float32", 2).cache) == {"warm"}
    assert len(select(cells, "float32", 2, "cold")) == 9


def test_cold_cells_have_a_figure_of_time(drawn):
    pictures, folder = drawn
    (cold,) = (p for p in pictures["convolve"] if p.name.endswith("-cold"))
    assert cold.name == "convolve-time-cold"
    assert "cold cache" in cold.caption
    assert "numpy 2.4, opencv 5.0." in cold.caption
    assert len(pd.read_csv(folder / "convolve-time-cold.csv")) == 9


def test_without_cold_cells_there_is_no_such_figure(cells, tmp_path):
    write_plots(cells[cells.cache == "warm"], INFO, tmp_path)
    assert not list(tmp_path.glob("*cold*"))


def test_remarks_are_no_doubts():
    flags = pd.Series(["", "memory-bound", "memory-bound overhead-bound", "noisy", "noisy steal"])
    assert doubtful(flags).tolist() == [False, False, False, True, True]


def test_the_caption_tells_the_resolution_where_it_is_known(cells, drawn, tmp_path):
    pictures, _ = drawn
    assert "told apart" not in pictures["convolve"][0].caption
    some = cells[cells.cache == "warm"].assign(resolution=np.linspace(0.01, 0.034, 36))
    caption = write_plots(some, INFO, tmp_path)["convolve"][0].caption
    assert "cannot be told apart here today." in caption


def test_the_roofline_names_its_levels(drawn):
    pictures, folder = drawn
    (picture,) = (p for p in pictures["convolve"] if p.name == "convolve-roofline")
    for text in ("L1: 400 GB/s", "L2, L3: 190–200 GB/s", "memory: 20 GB/s", "peak: 100 GFLOP/s"):
        assert text in picture.svg
    rows = pd.read_csv(folder / "convolve-roofline.csv")
    assert len(rows) == 9


def test_a_roofline_without_roofs_or_intensities(cells, tmp_path):
    some = cells[(cells.cache == "warm") & (cells.dtype == "float32")]
    (picture,) = (
        p for p in write_plots(some, {}, tmp_path)["convolve"] if p.name == "convolve-roofline"
    )
    assert "GB/s" not in picture.svg
    write_plots(some.assign(intensity=np.nan), INFO, tmp_path / "none")
    assert not (tmp_path / "none" / "convolve-roofline.svg").exists()


def test_what_cannot_be_or_was_not_measured_is_no_mark(cells, tmp_path):
    some = cells[(cells.cache == "warm") & (cells.dtype == "float32")].copy()
    some.loc[some.kernel == "plain", "flags"] = "above-roof"
    some.loc[some.kernel == "transform", "flags"] = "extrapolated"
    write_plots(some, INFO, tmp_path)
    for kind in ("roofline", "accuracy"):
        assert set(pd.read_csv(tmp_path / f"convolve-{kind}.csv").kernel) == {"compiled"}


def test_the_roof_is_of_dtype_threads_and_cpu():
    assert roof_of(INFO, "float32", 2, "plain") is ROOF
    assert roof_of(INFO, "float64", 2, "plain") is None
    assert roof_of(INFO, "float32", 2, "on device") is None
    assert roof_of({}, "float32", 2, "plain") is None
    assert [name for name, _ in levels(ROOF)] == ["L1", "L2", "L3", "memory"]


def test_accuracy_shows_both_dtypes_and_errors_of_zero(cells, tmp_path):
    some = cells[cells.cache == "warm"].copy()
    some.loc[some.threads == 2, "relative_error"] = [0.0] + [1e-7] * 17
    pictures = write_plots(some, INFO, tmp_path)["convolve"]
    (picture,) = (p for p in pictures if p.name == "convolve-accuracy")
    assert "At the bottom edge: no error." in picture.reading
    assert "fft float32" in picture.svg
    assert "fft float64" in picture.svg
    rows = pd.read_csv(tmp_path / "convolve-accuracy.csv")
    assert set(rows.dtype) == {"float32", "float64"}


def test_efficiency_is_t1_over_p_tp(cells):
    view = select(cells, "float32", 2)
    slow = view.kernel == "plain"
    view = view.assign(median_s=view.median_s * np.where(slow, 2, 1))
    efficiency = with_efficiency(view, select(cells, "float32", 1)).efficiency
    assert efficiency[slow].tolist() == pytest.approx([0.5] * 3)
    assert efficiency[~slow].tolist() == pytest.approx([1.0] * 6)
    alone = select(cells, "float32", 1)
    unknown = with_efficiency(view, alone[alone.kernel != "plain"]).efficiency
    assert unknown[slow].isna().all()


def test_the_ledger_is_about_the_largest_size():
    costs = {"compile_s": 3.0, "first_call_s": 3.1}
    made = table(
        cell("plain", 9),
        cell("plain", 27),
        cell("compiled", 9, load_s=0.5, **costs),
        cell("compiled", 27, break_even_calls=8000, **costs),
    )
    (row,) = ledger(made).itertuples()
    assert (row.case, row.against) == ("taps=27,float32", "plain")
    assert (row.compile_s, row.load_s, row.first_call_s) == (3.0, 0.5, 3.1)
    assert row.steady_s == pytest.approx(135e-6)
    assert payoff(row) == "after 8,000 calls, against plain"


def test_compiling_may_never_pay_or_have_no_rival():
    slow = cell("compiled", 9, compile_s=3.0, median_s=1.0)
    (row,) = ledger(table(cell("plain", 9), slow)).itertuples()
    assert payoff(row) == "never: plain is faster"
    (row,) = ledger(table(slow)).itertuples()
    assert payoff(row) == "no rival does without"
    assert ledger(table(cell("plain", 9))).empty


def test_samples_of_a_cell_stand_together():
    made = table(cell("plain", 3), cell("compiled", 3), cell("transform", 3))
    key = dict(made.loc[1, list(KEY)])
    samples = pd.DataFrame(
        [
            {**key, "process": process, "loops": 2, "wall_ns": wall}
            for process, wall in ((0, 4e6), (1, 6e6), (0, 8e6))
        ]
    )
    text = samples_text(samples, made)
    block = "cell 2: convolve taps=3,float32 compiled threads=2 warm plain\n0.002 0.004 | 0.003\n"
    assert block in text
    assert "cell 1:" not in text
    assert link(2) == "samples.txt#:~:text=cell%202%3A"


@pytest.mark.parametrize(
    "words",
    [
        "short",
        "an operation with a long name: " + 10 * "words ",
        "residual_network: speed-up by parameter count, 1 thread",
    ],
)
def test_what_stands_above_stays_in_its_figure(words, tmp_path):
    grid = Grid(1, 1.0, 2.0)
    grid.add()
    grid.finish(Picture("picture", words, words, ""), {}, tmp_path)
    above = [text for text in grid.figure.texts if text.get_text() == words]
    assert len(above) == 2
    assert all(text.get_window_extent().x1 <= grid.figure.bbox.x1 for text in above)
    assert imread(tmp_path / "picture.png")[:, -1].min() == 1


def test_many_baselines_are_named_beside_their_lines(tmp_path):
    def reading(names):
        rows = []
        for taps, name in enumerate(names, 3):
            rows += cell("plain", taps) | {"kernel": name}, cell("compiled", taps)
        some = table(*rows)
        pictures = write_plots(some, INFO, tmp_path / str(len(names)))["convolve"]
        return next(p.reading for p in pictures if "-speedup" in p.name)

    assert reading(["plain"]).endswith("the baseline: plain.")
    assert reading(["a", "b", "c", "d"]).endswith("the baseline of a size, named = 1.")
