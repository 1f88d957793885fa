"""Claims about the same call timed by the engine and by another tool."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np

from convgrad.suites.certify import harness, rival_calls
from convgrad.suites.certify.claims import Outcome
from convgrad.suites.certify.rival_calls import CALLS
from convgrad.suites.machine import environment
from convgrad.suites.measure.block import Block


def against_pyperf(budget):
    """Ratios of the engine's medians to those of pyperf."""
    if importlib.util.find_spec("pyperf") is None:
        return Outcome("pyperf is not installed", None)
    return _ratios(budget, _pyperf)


def against_pytest_benchmark(budget):
    """Ratios of the engine's medians to those of pytest-benchmark."""
    return _ratios(budget, _pytest_benchmark)


def _ratios(budget, rival):
    """Time the calls by the engine, before and after the rival does, and compare."""
    own = {name: [] for name in CALLS}
    with harness.engine(budget, harness.PATIENT) as engine:
        _sample(engine, own)
        theirs = rival(budget)
        _sample(engine, own)
    ratios = {name: np.median(own[name]) / np.median(theirs[name]) - 1 for name in CALLS}
    found = ", ".join(f"{name} {ratio:+.1%}" for name, ratio in ratios.items())
    return Outcome(found, bool(max(map(abs, ratios.values())) <= 0.03))


def _sample(engine, own):
    for name, case in CALLS.items():
        samples = harness.timed(engine, Block(case, 1, (name,), name))
        own[name] += np.concatenate(harness.seconds(samples, name)).tolist()


def _pyperf(budget):
    """Seconds of a call by name, from pyperf's processes."""
    import pyperf

    path = budget.scratch / "pyperf.json"
    _run(budget, rival_calls.__file__, "--copy-env", "--quiet", "-o", path)
    suite = pyperf.BenchmarkSuite.load(str(path))
    return {benchmark.get_name(): benchmark.get_values() for benchmark in suite.get_benchmarks()}


def _pytest_benchmark(budget):
    """Seconds of a call by name, from pytest-benchmark in as many processes as pyperf has."""
    seconds = {name: [] for name in CALLS}
    for number in range(rival_calls.PROCESSES):
        path = budget.scratch / f"pytest-benchmark-{number}.json"
        options = "--noconftest", "-p", "no:cacheprovider", "--import-mode=importlib", "-q"
        _run(
            *(budget, "-m", "pytest", rival_calls.__file__, *options),
            *(f"--rootdir={budget.scratch}", f"--benchmark-json={path}"),
        )
        for benchmark in json.loads(path.read_text())["benchmarks"]:
            seconds[benchmark["params"]["name"]] += benchmark["stats"]["data"]
    return seconds


def _run(budget, *arguments):
    """Run Python in the environment of a worker."""
    fair, _ = environment.fair_environment(os.environ, 1)
    cache = {"NUMBA_CACHE_DIR": str(budget.scratch / "numba"), "PYTHONSAFEPATH": "1"}
    subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=fair | cache,
        cwd=budget.scratch,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=True,
    )
