"""An engine in a scratch folder, set up as that of a run, over kernels made to try it."""

import importlib
import math
import os
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from convgrad.results.store import Run
from convgrad.suites.machine import environment
from convgrad.suites.measure.engine import Engine
from convgrad.suites.measure.settings import PRESETS
from convgrad.suites.session import MACHINE
from convgrad.suites.workers.crew import Crew

PATIENT = replace(
    PRESETS["laptop"],
    budget_s=math.inf,
    cell_s=math.inf,
    slowest_call_s=math.inf,
    median_precision=0.0,
)
"""The protocol of a laptop's run, which takes all its rounds, however precise it is already."""


@contextmanager
def crew(budget, modules=()):
    """Have processes that begin with an empty cache of compiled code, until the ``with`` ends.

    Parameters
    ----------
    budget : claims.Budget
    modules : sequence of str
        What declares their kernels.
    """
    cache = tempfile.mkdtemp(prefix="numba-", dir=budget.scratch)

    def variables(threads):
        return environment.fair_environment(os.environ, threads)[0] | {"NUMBA_CACHE_DIR": cache}

    members = Crew(variables, modules)
    try:
        yield members
    finally:
        members.close()


@contextmanager
def engine(budget, settings, modules=()):
    """Have an engine, with a crew and a run folder of its own, until the ``with`` ends.

    Parameters
    ----------
    budget : claims.Budget
    settings : Settings
    modules : sequence of str
        What declares the kernels; is imported here too, where kernels are looked up.
    """
    for module in modules:
        importlib.import_module(module)
    scratch = Path(tempfile.mkdtemp(prefix="engine-", dir=budget.scratch))
    run = Run.create(scratch / "run")
    try:
        with crew(budget, modules) as members:
            yield Engine(settings, run, members, MACHINE, scratch, progress=budget.progress)
    finally:
        run.close()


def measured(engine, block):
    """Facts by kernel, and samples, of a block that may take all its time."""
    return engine.measure(block, math.inf, 1)


def timed(engine, block):
    """Samples of a block.

    Raises
    ------
    RuntimeError
        If a kernel could not be timed, with the reason.
    """
    facts, samples = measured(engine, block)
    for name, fact in facts.items():
        if fact["status"] != "ok":
            raise RuntimeError(f"{name} is {fact['status']}: {fact.get('detail')}")
    return samples


def seconds(samples, kernel):
    """Seconds of a call of one kernel, by process.

    Returns
    -------
    list of ndarray
    """
    own = [sample for sample in samples if sample["kernel"] == kernel]
    return [
        np.array([s["wall_ns"] / s["loops"] / 1e9 for s in own if s["process"] == process])
        for process in sorted({sample["process"] for sample in own})
    ]
