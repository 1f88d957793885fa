"""Claims about times are measured where nothing else runs; here, that they say what they should."""

import subprocess
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from convgrad.suites.certify import compiling, harness, rivals, timing
from convgrad.suites.certify.claims import Budget
from convgrad.suites.certify.planted_timing import BUSY, EQUALS


@pytest.fixture
def budget(tmp_path):
    return Budget(quick=True, scratch=tmp_path)


@pytest.fixture
def fake(monkeypatch):
    """Have blocks measured by a function of block, kernel and process that returns seconds."""

    def plant(seconds, **run):
        def measured(engine, block):
            samples = [
                {"kernel": name, "process": p, "loops": 1, "wall_ns": 1e9 * seconds(block, name, p)}
                for name in block.kernels
                for p in range(3)
            ]
            return {}, samples

        monkeypatch.setattr(harness, "measured", measured)
        engine = SimpleNamespace(
            run=SimpleNamespace(samples=list, facts=list, **run),
            crew=SimpleNamespace(dismiss=lambda: None),
        )
        monkeypatch.setattr(harness, "engine", lambda *_: nullcontext(engine))

    return plant


@pytest.mark.parametrize(("unlucky", "holds"), [(1.02, True), (1.2, False)])
def test_layout_takes_the_worst_process(budget, fake, unlucky, holds):
    fake(lambda block, name, process: 1e-3 * (unlucky if process == 1 else 1))
    outcome = timing.layout(budget)
    assert outcome.holds is holds
    assert outcome.found.startswith(f"{unlucky - 1:.1%} at ")


@pytest.mark.parametrize(("crowd", "holds"), [(1.04, True), (0.96, True), (1.1, False)])
def test_side_by_side_compares_with_alone(budget, fake, crowd, holds):
    fake(lambda block, name, process: 1e-3 * (crowd if len(block.kernels) > 1 else 1))
    assert timing.side_by_side(budget).holds is holds


@pytest.mark.parametrize(("late_s", "holds"), [(1e-6, True), (2e-6, False)])
def test_known_durations_admit_a_microsecond_and_half_a_percent(
    monkeypatch, budget, fake, late_s, holds
):
    table = pd.DataFrame({"kernel": list(BUSY), "median_s": [s + late_s for s in BUSY.values()]})
    monkeypatch.setattr(timing, "cells", lambda *_: table)
    fake(lambda *_: 1)
    assert timing.known(budget).holds is holds


@pytest.mark.parametrize(("wrong", "holds"), [(1, True), (2, False)])
def test_equals_count_verdicts(monkeypatch, budget, fake, wrong, holds):
    verdicts = ["", *["faster"] * wrong, *["same"] * (len(EQUALS) - 1 - wrong)]
    table = pd.DataFrame({"verdict": verdicts, "speedup": 1.01})
    table["baseline"] = [True, *[False] * (len(EQUALS) - 1)]
    monkeypatch.setattr(timing, "cells", lambda *_: table)
    fake(lambda *_: 1)
    assert timing.equals(budget).holds is holds


@pytest.mark.parametrize(("rival_s", "holds"), [(1.02e-3, True), (1.2e-3, False)])
def test_ratios_to_a_rival(budget, fake, rival_s, holds):
    fake(lambda *_: 1e-3)
    outcome = rivals._ratios(budget, lambda _: dict.fromkeys(rivals.CALLS, [rival_s]))
    assert outcome.holds is holds


def test_without_pyperf_nothing_is_claimed(monkeypatch, budget):
    monkeypatch.setattr(rivals.importlib.util, "find_spec", lambda name: None)
    assert rivals.against_pyperf(budget).holds is None


def test_rivals_time_every_call(budget):
    timed = rivals._pytest_benchmark(budget)
    assert list(timed) == list(rivals.CALLS)
    assert all(len(seconds) == rivals.rival_calls.VALUES for seconds in timed.values())
    assert min(map(np.median, timed.values())) > 0


def test_rival_that_fails_is_not_believed(budget):
    with pytest.raises(subprocess.CalledProcessError):
        rivals._run(budget, "-c", "raise SystemExit(1)")


@pytest.mark.parametrize("claim", [compiling.caught, compiling.told_apart])
def test_compiling_claims_hold(claim, budget):
    outcome = claim(budget)
    assert outcome.holds, outcome.found
