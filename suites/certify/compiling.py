"""Claims about compiling: it is in no time that is published, and is told from loading."""

from dataclasses import replace

from convgrad.kernels import Case
from convgrad.suites.certify import harness
from convgrad.suites.certify.claims import Outcome
from convgrad.suites.certify.planted_compiling import ALWAYS, CACHED, ONCE, SLEEP_S
from convgrad.suites.measure.block import Block

_PLANTED = ["convgrad.suites.certify.planted_compiling"]
_CASE = Case.of("convolve", "float64", signal=(1000,), taps=(3,), mode="valid")
_SHORT = replace(harness.PATIENT, processes=1, rounds=2, looks=1)


def caught(budget):
    """Count the kernels that compile inside a timed call whose compiler's time is not published.

    A kernel that always does must be called wrong. One that does so once sleeps in that call, so
    that whether a sample holds it can be told from the sample.
    """
    with harness.engine(budget, _SHORT, _PLANTED) as engine:
        block = Block(_CASE, 1, ("numpy", *ALWAYS, *ONCE), "numpy")
        facts, samples = harness.measured(engine, block)
    always = [
        facts[name]["status"] == "wrong" and "compiles anew" in facts[name]["detail"]
        for name in ALWAYS
    ]
    walls = {name: [s["wall_ns"] / 1e9 for s in samples if s["kernel"] == name] for name in ONCE}
    once = [
        facts[name]["status"] == "ok" and 0 < max(walls[name], default=0) < SLEEP_S for name in ONCE
    ]
    count, of = sum(always) + sum(once), len(always) + len(once)
    return Outcome(f"{count} of {of}", count == of)


def told_apart(budget):
    """Count the kernels whose compiling and loading are booked as what they are.

    The cache is empty: the first of three processes has to compile, and the others load.
    """
    with harness.engine(budget, replace(_SHORT, processes=3), _PLANTED) as engine:
        harness.measured(engine, Block(_CASE, 1, ("numpy", *CACHED), "numpy"))
        facts = {fact["kernel"]: fact for fact in engine.run.facts()}
    costs = [(facts[name].get("compile_s", 0), facts[name].get("load_s")) for name in CACHED]
    right = [load is not None and load < compile_ / 3 for compile_, load in costs]
    longest = max(load or 0 for _, load in costs)
    shortest = min(compile_ for compile_, _ in costs)
    found = (
        f"{sum(right)} of {len(right)}; compiling took at least {1e3 * shortest:.0f} ms, "
        f"loading at most {1e3 * longest:.0f} ms"
    )
    return Outcome(found, all(right))
