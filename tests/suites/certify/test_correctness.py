import numpy as np
import pytest

from convgrad.suites.certify import correctness
from convgrad.suites.certify.claims import Budget


@pytest.mark.parametrize("claim", correctness.CLAIMS, ids=lambda claim: claim.name)
def test_claim_holds(claim, tmp_path):
    outcome = claim.measure(Budget(quick=True, scratch=tmp_path))
    assert outcome.holds, outcome.found


@pytest.mark.parametrize("name", ["_one_by_one", "_in_pairs", "_in_lanes", "_as_it_comes"])
@pytest.mark.parametrize("taps", [1, 2, 7, 40])
def test_orders_sum_every_product_once(name, taps):
    random = np.random.default_rng(taps)
    signal, weights = (random.integers(-9, 9, n).astype(float) for n in (50, taps))
    products = random.permutation(correctness._products(signal, weights))
    result = getattr(correctness, name)(products, random)
    np.testing.assert_array_equal(result, np.convolve(signal, weights))


def test_judge_that_rejects_nothing_is_found_out(monkeypatch, tmp_path):
    monkeypatch.setattr(correctness, "_MUTANTS", ("numpy",))
    outcome = correctness.mutants(Budget(quick=True, scratch=tmp_path))
    assert outcome.holds is False
    assert "not numpy" in outcome.found
