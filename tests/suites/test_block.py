from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from convgrad.results.schema import SPIN, TWIN
from convgrad.suites.measure.block import Contender, Contest, williams_orders
from convgrad.suites.measure.settings import Settings
from convgrad.suites.workers.process import Lost

SETTINGS = Settings(
    budget_s=100, cell_s=100, slowest_call_s=1, processes=3, rounds=4, looks=3, hang_s=60
)
MOST = SETTINGS.rounds * SETTINGS.looks


class Machine:
    """Kernels on a fake clock; noise is relative and uniform."""

    def __init__(self, seed=0):
        self.random = np.random.default_rng(seed)

    def kernel(self, call_s, noise=0.0, dies_at=None, settings=SETTINGS):
        calls = 0

        def ask(method, loops, seconds):
            nonlocal calls
            calls += 1
            if calls == dies_at:
                raise Lost("crashed", "planted")
            wall = int(loops * call_s * (1 + noise * self.random.random()) * 1e9)
            return wall, wall, False

        return Contender(ask, call_s, settings)

    def teams(self, **kernels):
        """One team a process, of kernels by name and what `kernel` is told of them."""
        return [
            {name: self.kernel(**told) for name, told in kernels.items()}
            for _ in range(SETTINGS.processes)
        ]


def hold(teams, baseline="base", settings=SETTINGS):
    """Sample until nobody wants more."""
    contest = Contest(teams, baseline, settings, np.random.default_rng(0))
    for _ in range(settings.looks):
        if not contest.wanting():
            break
        contest.look()
    return contest


def counts(contest):
    return Counter(s["kernel"] for s in contest.samples)


def replies(*given):
    """A contender whose worker gives these replies, one after the other."""
    left = iter(given)
    return Contender(lambda *_, **__: next(left), 0.03, SETTINGS)


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
    contest = hold(Machine().teams(base={"call_s": 1e-6}, slow={"call_s": 3e-3}))
    assert all(s["wall_ns"] >= SETTINGS.sample_s * 1e9 for s in contest.samples)


def test_check_that_overestimates_is_calibrated_away():
    fast = Machine().kernel(1e-6)
    fast = Contender(fast.ask, 1e-3, SETTINGS)  # what a cold first call took
    assert fast.sample()[0] >= SETTINGS.sample_s * 1e9


@pytest.mark.parametrize("call_s", [0.0, -1e-3])
def test_check_by_a_clock_that_stood_still_is_survived(call_s):
    fast = Contender(Machine().kernel(1e-6).ask, call_s, SETTINGS)
    assert fast.sample()[0] >= SETTINGS.sample_s * 1e9


def test_kernels_of_like_speed_are_looped_equally():
    machine = Machine()
    assert machine.kernel(1.00e-5).loops == machine.kernel(1.05e-5).loops


def test_steady_kernels_are_looked_at_once():
    contest = hold(Machine().teams(base={"call_s": 1e-3}, other={"call_s": 2e-3}))
    assert set(counts(contest).values()) == {SETTINGS.processes * SETTINGS.rounds}


def test_noisy_kernel_goes_on_with_baseline_and_evidence_until_the_last_look():
    steady = {"call_s": 1e-3}
    teams = Machine().teams(
        **{"base": steady, "steady": steady, "noisy": {"call_s": 1e-3, "noise": 5}, TWIN: steady}
    )
    found = counts(hold(teams))
    assert found["noisy"] == found["base"] == found[TWIN] == SETTINGS.processes * MOST
    assert found["steady"] == SETTINGS.processes * SETTINGS.rounds


def test_evidence_alone_needs_no_rounds():
    steady, noisy = {"call_s": 1e-3}, {"call_s": 1e-3, "noise": 5}
    contest = hold(Machine().teams(**{"base": steady, SPIN: noisy}))
    assert counts(contest)["base"] == SETTINGS.processes * SETTINGS.rounds


def test_ratio_has_to_be_precise_too():
    settings = replace(SETTINGS, median_precision=10)
    teams = Machine().teams(base={"call_s": 1e-3}, other={"call_s": 1e-3, "noise": 0.5})
    assert counts(hold(teams, settings=settings))["other"] == SETTINGS.processes * MOST


def test_slow_kernel_gets_fewer_rounds_than_the_others():
    teams = Machine().teams(base={"call_s": 1e-3}, slow={"call_s": 14.0})
    found = counts(hold(teams))
    assert found["slow"] == SETTINGS.processes  # a share of 33 s, and two calls a sample
    assert found["base"] == SETTINGS.processes * SETTINGS.rounds


def test_every_round_holds_every_kernel_once():
    noisy = {"call_s": 1e-3, "noise": 5}
    contest = hold(Machine().teams(base=noisy, b=noisy, c=noisy))
    rounds = Counter((s["process"], s["round"], s["kernel"]) for s in contest.samples)
    assert set(rounds.values()) == {1}
    assert len(rounds) == 3 * SETTINGS.processes * MOST


def test_look_returns_what_is_new():
    noisy = {"call_s": 1e-3, "noise": 5}
    contest = Contest(Machine().teams(base=noisy), "base", SETTINGS, np.random.default_rng(0))
    first, second = contest.look(), contest.look()
    assert contest.samples == first + second
    assert {s["round"] for s in second} == set(range(SETTINGS.rounds, 2 * SETTINGS.rounds))


def test_lost_contender_costs_only_itself():
    teams = Machine().teams(base={"call_s": 1e-3}, dies={"call_s": 1e-3, "dies_at": 4})
    contest = hold(teams)
    assert {name: lost.status for name, lost in contest.lost.items()} == {"dies": "crashed"}
    assert counts(contest)["base"] == SETTINGS.processes * SETTINGS.rounds
    assert counts(contest)["dies"] == 3 * SETTINGS.processes  # one is lost in its fourth round
    assert "dies" not in contest.wanting()


def test_loss_of_the_baseline_leaves_the_medians():
    dies, noisy = {"call_s": 1e-3, "dies_at": 1}, {"call_s": 1e-3, "noise": 5}
    contest = hold(Machine().teams(base=dies, steady={"call_s": 1e-3}, noisy=noisy))
    assert list(contest.lost) == ["base"]
    assert counts(contest)["noisy"] == SETTINGS.processes * MOST
    assert counts(contest)["steady"] == SETTINGS.processes * SETTINGS.rounds


def test_error_reply_loses_the_contender():
    with pytest.raises(Lost, match="planted") as lost:
        replies({"status": "wrong", "detail": "planted"}).sample()
    assert lost.value.status == "wrong"


def test_sample_in_which_something_was_compiled_is_taken_again():
    assert replies((9e9, 9e9, True), (3e7, 2e7, False)).sample() == (3e7, 2e7)


def test_kernel_that_always_compiles_is_lost():
    with pytest.raises(Lost, match="compiles anew in every call"):
        replies(*[(3e7, 3e7, True)] * 4).sample()


def test_clock_that_stands_still_loses_the_contender():
    with pytest.raises(Lost, match="cannot be timed"):
        replies(*[(0, 0, False)] * 4).sample()
