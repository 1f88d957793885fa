import numpy as np
import pytest

from convgrad.suites.certify.claims import Budget
from convgrad.suites.certify.fake_machine import Machine, Noise
from convgrad.suites.certify.simulated import CLAIMS, PROTOCOL


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_claim_holds(claim, tmp_path):
    outcome = claim.measure(Budget(quick=True, scratch=tmp_path))
    assert outcome.holds, outcome.found


def test_clock_is_moved_by_the_time_of_the_calls():
    machine = Machine(Noise(sample=0, process=0), np.random.default_rng(0))
    contender = machine.contender(1e-3, PROTOCOL)
    wall, _ = contender.sample()
    assert wall == pytest.approx(contender.loops * 1e6)
    assert machine.now == pytest.approx(wall / 1e9)


def test_truth_is_the_median_of_what_is_sampled():
    random = np.random.default_rng(0)
    noise = Noise(sample=0.02, process=0.01, machine=0.02, worker=0.01, spikes=0.1)
    walls = []
    for _ in range(20_000):
        contender = Machine(noise, random).contender(1e-3, PROTOCOL)
        walls.append(contender.sample()[0] / contender.loops / 1e6)
    assert np.median(walls) == pytest.approx(noise.median(random), rel=1e-3)
