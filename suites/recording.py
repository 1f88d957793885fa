"""The run folder of a session: a new one, or one that is resumed with what it already knows."""

import platform
import time
from pathlib import Path

from convgrad.results.schema import KEY
from convgrad.results.store import Run
from convgrad.suites.machine import facts
from convgrad.suites.measure.engine import OUT_OF_TIME

SAME_MACHINE = ("cpu", "usable_cores")
"""What must not have changed when a run is resumed: its cells could not be compared."""


def new_folder():
    """Name a folder that does not exist yet, whatever the clock says."""
    name = Path("results/runs", f"{time.strftime('%Y-%m-%dT%H-%M-%S')}-{platform.node()}")
    number = 2
    path = name
    while path.exists():
        path = name.with_name(f"{name.name}-{number}")
        number += 1
    return path


def reopen(folder):
    """Open the run folder of an earlier session for writing.

    Raises
    ------
    ValueError
        If it cannot be read, another process writes to it, or another machine did.
    """
    run = Run.open(folder, write=True)
    now, then = facts.describe(), run.info.get("machine", {})
    for name in SAME_MACHINE:
        if then and then.get(name) != now.get(name):
            run.close()
            raise ValueError(
                f"run folder: got {folder}, measured with {name} {then.get(name)}, "
                f"expected {now.get(name)}, as this machine has"
            )
    return run


def recall(run, blocks, identities):
    """Take over the cells that the run has, and drop those whose identity has changed.

    Parameters
    ----------
    run : Run
    blocks : iterable of Block
    identities : Identities

    Returns
    -------
    cells : dict
        Facts and seconds of a call, by key.
    first_process : int
        Number of the first process from now on: rounds of old and new ones are no pairs.
    """
    current = {
        key_of(block, name): identities.of(block, name)
        for block in blocks
        for name in block.kernels
    }
    known = {
        tuple(fact[name] for name in KEY): fact
        for fact in run.facts()
        if "status" in fact and fact.get("detail") != OUT_OF_TIME
    }
    stale = {
        key
        for key, fact in known.items()
        if fact.get("identity") != current.get(key, fact.get("identity"))
    }
    if stale:
        run.discard(stale)
    samples = run.samples()
    seconds = seconds_by_cell(samples)
    cells = {key: (fact, seconds.get(key, [])) for key, fact in known.items() if key not in stale}
    return cells, int(samples.process.max()) + 1 if len(samples) else 0


def seconds_by_cell(samples):
    """Seconds of a call by cell, in the order of the samples."""
    seconds = samples["wall_ns"] / samples["loops"] / 1e9
    return {key: list(group) for key, group in seconds.groupby([samples[name] for name in KEY])}


def key_of(block, kernel):
    """Key of a cell as a tuple."""
    return tuple(block.key(kernel)[name] for name in KEY)
