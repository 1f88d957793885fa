import numpy as np
import pandas as pd
import pytest

from convgrad.results.flags import RULES
from convgrad.results.schema import FLAGS, SPIN
from convgrad.results.summary import cells

BLOCKS = 5
ROUNDS = 18
INFO = {
    "roofs": [{"dtype": "float32", "threads": 2, "flops_per_s": 1e10, "bandwidth": [[1e4, 1e10]]}],
    "call_overhead_s": 5e-8,
}
QUIET = {"wall": 1.0, "cores": 2.0, "spin_wall": 1.0, "spin_cpu": 1.0, "rounds": ROUNDS}


def block(generator, case, wall, cores, spin_wall, spin_cpu, rounds):
    """Samples of a kernel of 10 ms and of the spin probe, in three processes one after another."""
    kernel_ns = 1e7 * wall * np.exp(0.005 * generator.standard_normal(rounds))
    spin_ns = np.full(rounds, 2e6)
    return [
        {
            "operation": "convolve",
            "case": case,
            "kernel": kernel,
            "threads": 2,
            "cache": "warm",
            "call": "plain",
        }
        | {"process": 3 * i // rounds, "round": i, "position": 0, "loops": 1}
        | {"wall_ns": wall_ns[i], "cpu_ns": cpu_ns[i]}
        for i in range(rounds)
        for kernel, wall_ns, cpu_ns in (
            ("numpy", kernel_ns, kernel_ns * cores),
            (SPIN, spin_ns * spin_wall, spin_ns * spin_cpu),
        )
    ]


def flags(fact=(), **cause):
    """Flags of the one block that has a cause, after blocks that are quiet."""
    generator = np.random.default_rng(2)
    samples, facts = [], []
    for number in range(BLOCKS):
        last = number == BLOCKS - 1
        samples += block(generator, f"{number}", **{**QUIET, **(cause if last else {})})
        facts.append(
            {"operation": "convolve", "case": f"{number}", "kernel": "numpy", "threads": 2}
            | {"cache": "warm", "call": "plain", "status": "ok", "dtype": "float32", "steal": 0.001}
            | {"flops": 1e7, "bytes": 1e4, "footprint": 1e4}
            | (dict(fact) if last else {})
        )
    table = cells(pd.DataFrame(samples), facts, INFO)
    assert (table["flags"][:-1] == "").all()
    return table["flags"].iloc[-1].split()


def test_a_quiet_run_has_no_flags():
    assert flags() == []


def test_every_flag_has_its_rule():
    assert tuple(RULES) == FLAGS


NOISE = np.exp(0.2 * np.random.default_rng(1).standard_normal(ROUNDS))
SLOW_SPIN = {"spin_wall": 1.1, "spin_cpu": 1.1}


@pytest.mark.parametrize(
    ("flag", "cause"),
    [
        ("single-shot", {"rounds": 5}),
        ("noisy", {"wall": NOISE}),
        ("drift", {"wall": np.linspace(1, 1.2, ROUNDS)}),
        ("drift", {"wall": np.linspace(1.2, 1, ROUNDS)}),
        ("non-stationary", {"wall": np.repeat([1.0, 1.2, 1.0], 6)}),
        ("steal", {"fact": {"steal": 0.03}}),
        ("steal", {"spin_wall": 1.03}),
        ("throttled", SLOW_SPIN),
        ("oversubscribed", {"cores": 2.3}),
        ("overhead-bound", {"wall": 9e-5, "fact": {"flops": 1e3, "bytes": 1e2}}),
        ("memory-bound", {"fact": {"bytes": 2e7}}),
        ("above-roof", {"fact": {"flops": 1.1e9}}),
        ("extrapolated", {"fact": {"status": "skipped (budget)", "predicted_s": 100.0}}),
        ("failed-check", {"fact": {"status": "wrong"}}),
    ],
)
def test_a_flag_shows_its_cause(flag, cause):
    found = flags(**cause)
    assert flag in found
    # what moves the samples themselves widens their interval too
    assert set(found) <= {flag, "noisy", "non-stationary"}


@pytest.mark.parametrize(
    "cause",
    [
        {"rounds": 6},
        {"wall": 1 + 0.2 * (np.arange(ROUNDS) == 4)},  # an outlier
        {"wall": np.linspace(1, 1.03, ROUNDS)},
        {"wall": np.repeat([1.0, 1.015, 1.0], 6)},
        {"fact": {"steal": 0.019}},
        {"fact": {"steal": None}},
        {"spin_wall": 1.04, "spin_cpu": 1.04},
        {"cores": 2.1},
        {"wall": 1.1e-4, "fact": {"flops": 1e3, "bytes": 1e2}},
        {"fact": {"flops": 1e7, "bytes": 9e6}},
        {"fact": {"flops": 1e8}},
        {"fact": {"predicted_s": 0.01}},
        {"fact": {"status": "crashed"}},
        {"cores": np.nan, "spin_cpu": np.nan},
    ],
)
def test_what_is_within_its_limits_is_not_flagged(cause):
    assert flags(**cause) == []


def test_without_a_probe_or_an_overhead_nothing_is_said():
    rows = block(np.random.default_rng(0), "c", **{**QUIET, **SLOW_SPIN})
    samples = pd.DataFrame([row for row in rows if row["kernel"] != SPIN])
    facts = [{**{name: rows[0][name] for name in ("operation", "case", "threads", "cache")}}]
    facts[0] |= {"kernel": "numpy", "status": "ok"}
    assert cells(samples, facts)["flags"].tolist() == [""]


def test_flags_come_in_the_order_of_the_schema():
    found = flags(wall=np.linspace(1, 1.5, ROUNDS), cores=3.0, fact={"steal": 0.1})
    assert found == sorted(found, key=FLAGS.index)
    assert {"noisy", "drift", "steal", "oversubscribed"} <= set(found)
