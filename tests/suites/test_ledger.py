"""What compiling and loading are booked as."""

import pytest

from convgrad.suites.measure.ledger import Ledger

OWN = "convolve", "numba_parallel", "float32"
CELL = {"kernel": "numba_parallel"}


def booked(*calls):
    """Costs by calls: the process, whether anything was compiled, seconds of the first call."""
    ledger = Ledger()
    for process, compiled, first_s in calls:
        ledger.book(OWN, CELL, process, {"first_s": first_s, "compiled": compiled}, 1.0)
    return ledger.costs[OWN]


def test_the_first_process_compiles_and_the_quickest_of_the_others_loads():
    costs = booked(("a", True, 4.0), ("b", False, 2.5), ("c", False, 1.25), ("d", False, 3.0))
    assert costs == pytest.approx({"compile_s": 3.0, "load_s": 0.25})


def test_only_the_first_call_of_a_process_loads():
    assert booked(("a", True, 4.0), ("a", False, 1.5)) == pytest.approx({"compile_s": 3.0})
    again = booked(("a", True, 4.0), ("b", False, 2.5), ("b", False, 1.0))
    assert again["load_s"] == pytest.approx(1.5)
