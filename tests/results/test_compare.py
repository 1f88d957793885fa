"""Two synthetic runs beside each other: verdicts, what is left out, what makes them strangers."""

import numpy as np
import pytest

from convgrad.results import compare as module
from convgrad.results.compare import COLUMNS, broken, comparable, compare, left_out
from convgrad.results.compare_page import render
from convgrad.results.schema import SPIN, TWIN
from convgrad.results.store import Run

MACHINE = {"cpu": "a cpu", "code_name": "znver4", "usable_cores": 2, "python": "CPython 3.11.7"}
LIBRARIES = {"numpy": "2.4.6", "numba": "0.68.1", "matplotlib": "3.11.2"}
BLOCK = {"operation": "convolve", "threads": 1, "cache": "warm", "call": "plain"}


@pytest.fixture
def new_run(tmp_path):
    """Make a run of kernels whose true times are given, by case."""

    def make(name, times, *, seed=0, spread=0.002, processes=4, rounds=8, statuses=(), **info):
        generator = np.random.default_rng(seed)
        about = {"machine": MACHINE, "libraries": LIBRARIES} | info
        with Run.create(tmp_path / name, **about) as run:
            for (case, kernel), seconds in times.items():
                key = {**BLOCK, "case": case, "kernel": kernel}
                fact = {**key, "dtype": "float32", "status": "ok", "flops": 1e6, "bytes": 1e6}
                fact |= {"footprint": 1e6, "sizes": {"signal": 9}, "baseline": kernel == "numpy"}
                names = (kernel, TWIN, SPIN) if kernel == "numpy" else (kernel,)
                samples = []
                for process in range(processes):
                    luck = generator.normal(0, spread, len(names))
                    samples += [
                        {
                            **key,
                            "kernel": competitor,
                            **{"process": process, "round": turn, "position": position},
                            "loops": 10,
                            "wall_ns": seconds * 1e10 * np.exp(mine + generator.normal(0, spread)),
                            "cpu_ns": seconds * 1e10,
                        }
                        for turn in range(rounds)
                        for position, (competitor, mine) in enumerate(zip(names, luck))
                    ]
                status = dict(statuses).get((case, kernel), "ok")
                run.append(samples if status == "ok" else [], [{**fact, "status": status}])
        return run

    return make


TIMES = {("a", "numpy"): 1e-3, ("a", "fast"): 1e-4, ("b", "numpy"): 1e-2, ("b", "fast"): 1e-3}


def verdicts(table):
    return {(row.case, row.kernel): row.verdict for row in table.itertuples()}


def test_what_changed_is_found_and_the_largest_slow_down_comes_first(new_run):
    changed = TIMES | {("a", "fast"): 1.3e-4, ("b", "numpy"): 0.5e-2, ("b", "fast"): 2e-3}
    table = compare(new_run("a", TIMES, seed=1), new_run("b", changed, seed=2))
    assert tuple(table.columns) == COLUMNS
    assert verdicts(table) == {
        ("b", "fast"): "slower",
        ("a", "fast"): "slower",
        ("a", "numpy"): "same",
        ("b", "numpy"): "faster",
    }
    assert next(iter(verdicts(table))) == ("b", "fast")
    assert table.ratio.tolist() == pytest.approx([2, 1.3, 1, 0.5], rel=0.02)
    assert (table.low <= table.ratio).all()
    assert (table.ratio <= table.high).all()
    assert table.ratio.is_monotonic_decreasing
    assert left_out(table) == ""


def test_a_run_equals_itself(new_run):
    run = new_run("a", TIMES)
    table = compare(run, run)
    assert set(table.verdict) == {"same"}
    assert (table.ratio == 1).all()


def test_two_runs_of_the_same_seldom_differ(new_run):
    times = {(str(case), "numpy"): 1e-3 for case in range(40)}
    a, b = new_run("a", times, seed=1, spread=0.05), new_run("b", times, seed=2, spread=0.05)
    table = compare(a, b)
    assert not table.verdict.isin(["faster", "slower"]).any()
    assert (table.p_adjusted == 1).mean() > 0.9


@pytest.mark.parametrize(
    ("threshold", "verdict"), [(0, "slower"), (0.02, "slower"), (0.1, "same"), (0.5, "same")]
)
def test_what_is_below_the_threshold_is_the_same(new_run, threshold, verdict):
    slower = {key: 1.05 * value for key, value in TIMES.items()}
    a, b = new_run("a", TIMES, seed=1), new_run("b", slower, seed=2)
    assert set(compare(a, b, threshold).verdict) == {verdict}


def test_differences_below_the_resolution_are_no_differences(new_run, monkeypatch):
    slower = {key: 1.05 * value for key, value in TIMES.items()}
    runs = new_run("a", TIMES, seed=1), new_run("b", slower, seed=2)
    original, resolutions = module.summarise, iter([0.01, 0.08])

    def coarse(*arguments):
        return original(*arguments).assign(resolution=next(resolutions))

    monkeypatch.setattr(module, "summarise", coarse)
    table = compare(*runs)
    assert set(table.verdict) == {"unresolved"}
    assert set(table.resolution) == {0.08}


def test_one_process_is_judged_by_its_interval(new_run):
    slower = {key: 1.2 * value for key, value in TIMES.items()}
    a, b = (new_run(name, times, processes=1) for name, times in (("a", TIMES), ("b", slower)))
    assert set(compare(a, b).verdict) == {"slower"}
    assert set(compare(a, new_run("c", TIMES, processes=1, seed=3)).verdict) == {"same"}


def test_a_handful_of_samples_resolves_nothing(new_run):
    slower = {key: 9 * value for key, value in TIMES.items()}
    a, b = new_run("a", TIMES), new_run("b", slower, processes=1, rounds=3)
    table = compare(a, b)
    assert set(table.verdict) == {"unresolved"}
    assert table.low.isna().all()


def test_cells_of_one_run_and_failures_are_named_and_not_compared(new_run):
    a = new_run("a", {**TIMES, ("old", "numpy"): 1.0})
    statuses = {("b", "fast"): "crashed", ("b", "numpy"): "skipped (budget)"}
    table = compare(a, new_run("b", {**TIMES, ("new", "numpy"): 1.0}, statuses=statuses))
    assert table.verdict.tolist().count("") == 4
    assert table.verdict.tolist()[-4:] == [""] * 4
    assert left_out(table) == (
        "not compared: only in B: 1 (convolve new numpy); only in A: 1 (convolve old numpy); "
        "ok in A and crashed in B: 1 (convolve b fast); "
        "ok in A and skipped (budget) in B: 1 (convolve b numpy)"
    )
    assert broken(table)[["case", "kernel"]].to_numpy().tolist() == [["b", "fast"]]


def test_times_that_cannot_be_true_are_not_compared(new_run):
    roofs = [{"dtype": "float32", "threads": 1, "flops_per_s": 1e9, "bandwidth": [[1e6, 1e9]]}]
    roofs[0]["device"] = "cpu"
    table = compare(new_run("a", TIMES, roofs=roofs), new_run("b", TIMES, roofs=roofs))
    assert verdicts(table)["a", "fast"] == ""  # a tenth of what the arithmetic alone takes
    assert verdicts(table)["b", "numpy"] == "same"
    assert "both ok, but not published" in left_out(table)


def test_empty_runs_are_compared_to_nothing(new_run):
    table = compare(new_run("a", {}), new_run("b", {}))
    assert table.empty
    assert tuple(table.columns) == COLUMNS
    table = compare(new_run("c", {}), new_run("d", TIMES))
    assert set(table.verdict) == {""}


def test_like_runs_are_comparable(new_run):
    a = new_run("a", TIMES)
    b = new_run("b", TIMES, libraries={**LIBRARIES, "matplotlib": "9"}, machine={**MACHINE, "l": 1})
    assert comparable(a, b) == []


def test_strangers_are_told_by_what_differs(new_run):
    a = new_run("a", TIMES)
    machine = {**MACHINE, "cpu": "another cpu", "usable_cores": 64, "python": "CPython 3.13.1"}
    b = new_run("b", TIMES, machine=machine, libraries={"numpy": "2.3.0", "torch": "2.9"})
    with b:
        b.append(facts=[{**BLOCK, "case": "c", "kernel": "k", "threads": 2, "dtype": "float64"}])
    assert comparable(a, b) == [
        "cpu: got a cpu and another cpu, expected the same",
        "usable_cores: got 2 and 64, expected the same",
        "python: got CPython 3.11.7 and CPython 3.13.1, expected the same",
        "numpy: got 2.4.6 and 2.3.0, expected the same",
        "numba: got 0.68.1 and none, expected the same",
        "threads: got 1 and 1/2, expected the same",
        "dtype: got float32 and float32/float64, expected the same",
        "torch: got none and 2.9, expected the same",
    ]


def test_the_page_is_whole_and_escaped(new_run):
    changed = TIMES | {("a", "fast"): 2e-4, ("<b>", "numpy"): 1.0}
    a, b = new_run("a", TIMES, seed=1), new_run("b", changed, seed=2)
    page = render(a, b, compare(a, b), ["cpu: got <x> and y, expected the same"])
    assert "<script" not in page
    assert "&lt;x&gt;" in page
    assert "&lt;b&gt;" in page
    assert page.count("<tr") == 1 + len(TIMES)
