"""Claims about the same call timed by the engine and by another tool."""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np

from convgrad.suites.certify import harness, rival_calls
from convgrad.suites.certify.claims import Outcome
from convgrad.suites.certify.rival_calls import CALLS
from convgrad.suites.machine import environment
from convgrad.suites.measure.block import Block

PASSES = 5


def against_pyperf(budget):
    """Ratios of the engine's medians to those of pyperf."""
    if importlib.util.find_spec("pyperf") is None:
        return Outcome("pyperf is not installed", None)
    return _ratios(budget, _pyperf)


def against_pytest_benchmark(budget):
    """Ratios of the engine's medians to those of pytest-benchmark."""
    return _ratios(budget, _pytest_benchmark)


def _ratios(budget, rival):
    """Time the calls by the engine and by the rival, in turn, and compare pass by pass.

    A new process is dealt new memory, and the machine changes within minutes: what both tools
    have in common is what their processes, side by side in time, show more often than not.
    """
    logarithms = {name: [] for name in CALLS}
    settings = replace(harness.PATIENT, processes=1, rounds=6, looks=1)
    with harness.engine(budget, settings) as engine:
        for _ in range(PASSES):
            engine.crew.dismiss()
            own, theirs = _sample(engine), rival(budget)
            for name in CALLS:
                logarithms[name].append(np.log(np.median(own[name]) / np.median(theirs[name])))
    ratios = {name: np.expm1(np.median(passes)) for name, passes in logarithms.items()}
    found = ", ".join(f"{name} {ratio:+.1%}" for name, ratio in ratios.items())
    return Outcome(found, bool(max(map(abs, ratios.values())) <= 0.03))


def _sample(engine):
    """Seconds of a call by name, from the engine."""
    seconds = {}
    for name, case in CALLS.items():
        samples = harness.timed(engine, Block(case, 1, (name,), name))
        seconds[name] = np.concatenate(harness.seconds(samples, name))
    return seconds


def _pyperf(budget):
    """Seconds of a call by name, from a process of pyperf's for each."""
    import pyperf

    path = budget.scratch / "pyperf.json"
    path.unlink(missing_ok=True)
    _run(budget, rival_calls.__file__, "--copy-env", "--quiet", "-o", path)
    suite = pyperf.BenchmarkSuite.load(str(path))
    return {benchmark.get_name(): benchmark.get_values() for benchmark in suite.get_benchmarks()}


def _pytest_benchmark(budget):
    """Seconds of a call by name, from a process of pytest-benchmark's."""
    path = budget.scratch / "pytest-benchmark.json"
    options = "--noconftest", "-p", "no:cacheprovider", "--import-mode=importlib", "-q"
    _run(
        *(budget, "-m", "pytest", rival_calls.__file__, *options),
        *(f"--rootdir={budget.scratch}", f"--benchmark-json={path}"),
    )
    benchmarks = json.loads(path.read_text())["benchmarks"]
    return {b["params"]["name"]: b["stats"]["data"] for b in benchmarks}


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
