"""A run over planted kernels: each fault costs its own cell, under its own name."""

import json

import numpy as np
import pandas as pd
import pytest

from convgrad.results.schema import EVIDENCE, KEY
from convgrad.results.store import Run

PLANTED = "convgrad.suites.certify.planted"
EXPECTED = {
    "planted_right": "ok",
    "planted_sleep": "ok",
    "planted_slow_first": "ok",
    "planted_wrong": "wrong",
    "planted_flipped": "wrong",
    "planted_border": "wrong",
    "planted_nan": "wrong",
    "planted_stale": "wrong",
    "planted_by_id": "wrong",
    "planted_remembers": "wrong",
    "planted_changes_input": "wrong",
    "planted_double": "wrong",
    "planted_crash": "crashed",
    "planted_exit": "crashed",
    "planted_raise": "crashed",
    "planted_terabyte": "out of memory",
    "planted_hang": "timed out",
    "planted_needs": "unavailable",
    "planted_refuses": "unsupported",
    "numpy": "ok",
}


@pytest.fixture(scope="module")
def run(convgrad, tmp_path_factory):
    path = tmp_path_factory.mktemp("planted") / "run"
    chosen = [f"--kernel={name}" for name in EXPECTED]
    done = convgrad(
        *("run", "--preset=smoke", "--suite=convolve_1d", f"--import={PLANTED}", f"--out={path}"),
        *chosen,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    return Run.open(path)


@pytest.fixture(scope="module")
def cells(run):
    return pd.read_csv(run.path / "cells.csv")


@pytest.fixture(scope="module")
def samples(run):
    table = run.samples()
    return table[~table.kernel.isin(EVIDENCE)]


@pytest.mark.parametrize(("kernel", "status"), EXPECTED.items())
def test_status(cells, kernel, status):
    found = cells[cells.kernel == kernel]
    assert len(found) == 1
    assert set(found.status) == {status}, list(found.detail)


def test_every_failure_says_why(cells):
    failed = cells[cells.status != "ok"]
    assert failed.detail.notna().all()
    assert not failed.detail.str.contains("\n").any()


def test_only_good_cells_have_times(samples, cells):
    assert set(samples.kernel) == {k for k, status in EXPECTED.items() if status == "ok"}
    assert cells.loc[cells.status != "ok", "median_s"].isna().all()


def test_first_call_is_in_no_sample(cells):
    slow, steady = (
        cells[cells.kernel == k].median_s for k in ("planted_slow_first", "planted_right")
    )
    assert slow.max() < 0.5
    assert steady.max() < 0.5
    assert cells[cells.kernel == "planted_slow_first"].first_call_s.max() > 2


def test_known_duration(cells):
    assert (cells[cells.kernel == "planted_sleep"].min_s >= 0.002).all()


def test_samples_are_long_enough(samples):
    assert (samples.wall_ns > 15e6).mean() > 0.9


def test_orders_change_from_round_to_round(samples):
    positions = samples.groupby(["case", "kernel"]).position.nunique()
    assert positions.max() > 1


def test_benchmark_json_holds_the_samples(run, samples):
    document = json.loads((run.path / "benchmark.json").read_text())
    seconds = samples.wall_ns / samples.loops / 1e9
    expected = {
        tuple(map(str, key[1:])): list(values)
        for key, values in seconds.groupby([samples[name] for name in KEY])
    }
    found = {
        tuple(str(b["params"][name]) for name in KEY[1:]): b["stats"]["data"]
        for b in document["benchmarks"]
    }
    assert found == expected


def test_roofs_and_machine_are_recorded(run):
    assert run.info["state"] == "finished"
    assert run.info["libraries"]["numpy"] == np.__version__
    assert all(roof["flops_per_s"] > 1e8 for roof in run.info["roofs"])


def test_report_and_plots_are_there(run):
    assert (run.path / "report.html").stat().st_size > 1000
    assert list((run.path / "plots").glob("*.svg"))
