from collections import Counter

import numpy as np
import pytest

from convgrad.suites.measure.block import Contender, compete, williams_orders
from convgrad.suites.measure.process import Lost
from convgrad.suites.measure.settings import Settings

SETTINGS = Settings(budget_s=100, cell_s=10, slowest_call_s=1, rounds=(6, 20))


class Machine:
    """A fake clock, and kernels that move it."""

    def __init__(self, seed=0):
        self.now = 0.0
        self.random = np.random.default_rng(seed)

    def clock(self):
        return self.now

    def kernel(self, call_s, noise=0.0, dies_at=None):
        calls = 0

        def ask(method, loops, seconds):
            nonlocal calls
            calls += 1
            if calls == dies_at:
                raise Lost("crashed", "planted")
            wall = loops * call_s * (1 + noise * self.random.random())
            self.now += wall + call_s
            return int(wall * 1e9), int(wall * 1e9)

        return Contender(ask, call_s, SETTINGS)


def run(machine, contenders, deadline=1e9):
    return compete(contenders, SETTINGS, machine.clock, deadline, np.random.default_rng(0))


@pytest.mark.parametrize("count", range(1, 9))
def test_williams_orders_balance_neighbours(count):
    orders = williams_orders(count, np.random.default_rng(count))
    assert all(sorted(order) == list(range(count)) for order in orders)
    neighbours = Counter(pair for order in orders for pair in zip(order, order[1:]))
    assert len(set(neighbours.values())) <= 1
    assert len(neighbours) == count * (count - 1)


@pytest.mark.parametrize("count", range(2, 9))
def test_williams_orders_balance_positions(count):
    orders = williams_orders(count, np.random.default_rng(count))
    seen = Counter((kernel, place) for order in orders for place, kernel in enumerate(order))
    assert set(seen.values()) == {len(orders) // count}


def test_samples_last_long_enough():
    machine = Machine()
    samples, _ = run(machine, {"fast": machine.kernel(1e-6), "slow": machine.kernel(3e-3)})
    assert all(s["wall_ns"] >= SETTINGS.sample_s * 1e9 for s in samples)


def test_check_that_overestimates_is_calibrated_away():
    machine = Machine()
    fast = machine.kernel(1e-6)
    fast = Contender(fast.ask, 1e-3, SETTINGS)  # what a cold first call took
    samples, _ = run(machine, {"fast": fast})
    assert all(s["wall_ns"] >= SETTINGS.sample_s * 1e9 for s in samples)


def test_kernels_of_like_speed_are_looped_equally():
    machine = Machine()
    a, b = machine.kernel(1.00e-5), machine.kernel(1.05e-5)
    assert a.loops == b.loops


def test_stops_when_precise():
    machine = Machine()
    samples, _ = run(machine, {"steady": machine.kernel(1e-3)})
    assert len(samples) == SETTINGS.rounds[0]


def test_goes_on_while_imprecise_and_stops_at_the_most():
    machine = Machine()
    samples, _ = run(machine, {"noisy": machine.kernel(1e-3, noise=5)})
    assert len(samples) == SETTINGS.rounds[1]


def test_deadline_ends_rounds_but_not_the_fewest():
    machine = Machine()
    samples, _ = run(machine, {"noisy": machine.kernel(1e-3, noise=5)}, deadline=0)
    assert len(samples) == SETTINGS.rounds[0]


def test_slow_kernel_gets_fewer_rounds_than_the_others():
    machine = Machine()
    samples, _ = run(machine, {"slow": machine.kernel(4.0), "fast": machine.kernel(1e-3)})
    counts = Counter(s["kernel"] for s in samples)
    assert counts["slow"] == 1
    assert counts["fast"] == SETTINGS.rounds[0]


def test_lost_contender_costs_only_itself():
    machine = Machine()
    contenders = {"dies": machine.kernel(1e-3, dies_at=4), "lives": machine.kernel(1e-3)}
    samples, lost = run(machine, contenders)
    assert list(lost) == ["dies"]
    assert lost["dies"].status == "crashed"
    assert {s["kernel"] for s in samples} == {"lives"}


def test_error_reply_loses_the_contender():
    reply = {"status": "wrong", "detail": "planted"}
    contender = Contender(lambda *_, **__: reply, 1e-3, SETTINGS)
    _, lost = compete({"bad": contender}, SETTINGS, lambda: 0.0, 1.0, np.random.default_rng(0))
    assert lost["bad"].status == "wrong"


def test_every_round_holds_every_kernel_once():
    machine = Machine()
    names = {name: machine.kernel(1e-3, noise=5) for name in "abc"}
    samples, _ = run(machine, names)
    rounds = Counter((s["round"], s["kernel"]) for s in samples)
    assert set(rounds.values()) == {1}
    assert len(rounds) == 3 * SETTINGS.rounds[1]
