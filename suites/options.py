"""pytest options of convgrad: what selects blocks and kernels, and where the run goes."""

import importlib
import math
import sys
import time

import pytest

from convgrad import kernels
from convgrad.kernels import registry
from convgrad.kernels.validation import DTYPES
from convgrad.results.schema import CACHES, CALLS
from convgrad.suites.machine.environment import usable_cores
from convgrad.suites.measure.settings import PRESETS
from convgrad.suites.studies import recipe
from convgrad.suites.studies.catalogue import recipes

SELECTIONS = {
    "operation": "only this operation (may be repeated, as all of these)",
    "kernel": "only this kernel",
    "family": "only kernels of this family",
    "device": "only kernels for this device",
    "dtype": "these dtypes instead of the suites' own",
    "threads": "these numbers of threads instead of the suites' own",
    "cache": "warm, or cold: calls rotate through inputs that no cache holds",
    "call": "plain, out: into a given array, prepared: with the weights kept, or prepared out",
    "import": "import this module, whose kernels join in",
}
PLACES = {
    "out": "run folder; results/runs/<time>-<host> unless given",
    "resume": "measure what is missing in this run folder",
    "against": "measure the kernels of this other checkout, or wheel, in the same blocks",
}


def add(parser):
    """Declare all options."""
    group = parser.getgroup("convgrad", "what convgrad measures")
    group.addoption("--preset", choices=list(PRESETS), default="laptop", help="how far to sweep")
    for name, text in SELECTIONS.items():
        group.addoption(f"--{name}", action="append", default=[], metavar=name.upper(), help=text)
    for name, text in PLACES.items():
        group.addoption(f"--{name}", metavar="PATH", help=text)
    group.addoption(
        "--keep-environment",
        action="store_true",
        help="leave environment variables that hold a library back",
    )
    group.addoption(
        "--seed",
        type=int,
        help="of suites whose sizes are drawn; new unless given",
    )
    group.addoption("--minutes", type=float, help="how long to measure, instead of the preset's")


def check(config):
    """Refuse what cannot be measured honestly, and what nobody knows.

    Raises
    ------
    pytest.UsageError
    """
    _refuse_what_spoils_timing(config)
    if (minutes := config.option.minutes) is not None and not 0 < minutes < math.inf:
        raise pytest.UsageError(f"--minutes: got {minutes}, expected a positive number")
    if config.option.seed is None:
        config.option.seed = int(time.time())
    _import_modules(config.getoption("import"))
    accepted = {
        "operation": kernels.operations(),
        "kernel": list(dict.fromkeys(k.name for k in kernels.find(usable=False))),
        "family": (*registry.FAMILIES, *recipe.FAMILIES),
        "device": registry.DEVICES,
        "dtype": [dtype.name for dtype in DTYPES],
        "threads": [str(count) for count in range(1, usable_cores() + 1)],
        "cache": CACHES,
        "call": CALLS,
    }
    for name, known in accepted.items():
        for value in config.getoption(name):
            if value not in known and not (name == "kernel" and value in _models(config)):
                raise pytest.UsageError(
                    f"--{name}: got {value}, expected one of {', '.join(known)}"
                )


def _models(config):
    """Models of studies: kernels once they are trained."""
    return {one.label for one in recipes(config.getoption("preset"))}


def _refuse_what_spoils_timing(config):
    if config.getoption("numprocesses", None) or hasattr(config, "workerinput"):
        raise pytest.UsageError("pytest-xdist: blocks are measured one at a time; leave out -n")
    monitored = [sys.monitoring.get_tool(i) for i in range(6)] if hasattr(sys, "monitoring") else []
    if sys.gettrace() or sys.getprofile() or any(monitored):
        raise pytest.UsageError(
            "a tracer, profiler or coverage tool is active and would be measured too: leave it out"
        )


def _import_modules(names):
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever a user's module raises
            raise pytest.UsageError(
                f"--import: got {name}, expected a module ({type(error).__name__}: {error})"
            ) from None
