"""Claims about right and wrong: mutants are rejected, and no valid order of summation is."""

from dataclasses import replace

import numpy as np

from convgrad.kernels import Case
from convgrad.suites.certify import harness
from convgrad.suites.certify.claims import Claim, Outcome
from convgrad.suites.machine import environment
from convgrad.suites.measure.block import Block
from convgrad.suites.workers.judge import Judgement, judge

_PLANTED = ["convgrad.suites.certify.planted"]
_SHORT = replace(harness.PATIENT, processes=1, rounds=2, looks=1)
_RIGHT = "planted_right"
_MUTANTS = (
    "planted_wrong",  # misses a tap
    "planted_flipped",
    "planted_border",
    "planted_single",
    "planted_race",
    "planted_nan",
    "planted_stale",
    "planted_by_id",
    "planted_remembers",
    "planted_changes_input",
)
_CASES, _ORDERS = 100, 10


def mutants(budget):
    """Have the engine measure wrong implementations, and a right one among them."""
    threads = min(2, environment.usable_cores())
    names = [name for name in _MUTANTS if threads > 1 or name != "planted_race"]
    # large enough for threads that race to run at the same time, on a busy machine too
    case = Case.of("convolve", "float64", signal=(500_000,), taps=(33,))
    with harness.engine(budget, _SHORT, _PLANTED) as engine:
        facts, _ = harness.measured(engine, Block(case, threads, (_RIGHT, *names), _RIGHT))
    missed = [name for name in names if facts[name]["status"] != "wrong"]
    found = f"{len(names) - len(missed)} of {len(names)}" + "".join(f", not {n}" for n in missed)
    if facts[_RIGHT]["status"] != "ok":
        found += f"; a right one is {facts[_RIGHT]['status']}: {facts[_RIGHT]['detail']}"
    return Outcome(found, not missed and facts[_RIGHT]["status"] == "ok")


def reorderings(budget):
    """Judge sums of a convolution's products in random orders, by reference and bound of a run."""
    random = np.random.default_rng(0)
    rejected, worst = 0, 0.0
    for number in range(_CASES):
        taps = int(random.integers(1, 130))
        sizes = {"signal": (int(random.integers(taps, 600)),), "taps": (taps,)}
        case = Case.of("convolve", ("float32", "float64")[number % 2], **sizes)
        judgement = Judgement(judge(case, number, ["direct"], str(budget.scratch)), "direct")
        products = _products(*case.inputs(number).arrays)
        for _ in range(_ORDERS):
            add = random.choice([_one_by_one, _in_pairs, _in_lanes, _as_it_comes])
            result = add(random.permutation(products), random)
            verdict = judgement.verdict(result, case.dtype)
            rejected += "status" in verdict
            worst = max(worst, verdict["error_ratio"])
    found = f"{rejected} of {_CASES * _ORDERS:,} (the worst takes {worst:.0%} of its bound)"
    return Outcome(found, rejected == 0)


def _products(signal, taps):
    """Row t holds what tap t adds to each output of the full convolution."""
    products = np.zeros((len(taps), len(signal) + len(taps) - 1), signal.dtype)
    for t, tap in enumerate(taps):
        products[t, t : t + len(signal)] = tap * signal
    return products


def _one_by_one(products, random):
    total = products[0]
    for product in products[1:]:
        total = total + product
    return total


def _in_pairs(products, random):
    while len(products) > 1:
        half = len(products) // 2
        sums = products[:half] + products[half : 2 * half]
        products = np.concatenate([sums, products[2 * half :]])
    return products[0]


def _in_lanes(products, random):
    """Sum into some totals in turn, as vector registers do, and then the totals."""
    lanes = int(random.integers(2, 17))
    totals = [_one_by_one(products[i::lanes], random) for i in range(min(lanes, len(products)))]
    return _one_by_one(totals, random)


def _as_it_comes(products, random):
    """Replace two terms at a time by their sum, until one is left."""
    terms = list(products)
    while len(terms) > 1:
        one = terms.pop(random.integers(len(terms)))
        other = terms.pop(random.integers(len(terms)))
        terms.append(one + other)
    return terms[0]


CLAIMS = [
    Claim(
        "mutants",
        "a tap missed, filter flipped, border off by one, float32 sums, a data race, NaN, a stale "
        "result, results kept by id or for good, inputs changed: called wrong",
        "all",
        mutants,
        quick=True,
        seconds=10,
    ),
    Claim(
        "valid orders",
        "sums of the same products in 1,000 random orders, in both dtypes: rejected",
        "0 of 1,000",
        reorderings,
        quick=True,
        seconds=5,
    ),
]
