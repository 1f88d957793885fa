import numpy as np
import pytest

from convgrad.results.statistics import compare
from convgrad.results.together import compare_together

PROCESSES = np.repeat([0, 1, 2], 4)


def together_in_a_block(comparisons):
    return compare_together(comparisons, ["block"] * len(comparisons))


def drawn(generator, count, apart, shift=0.0):
    """Comparisons of 12 rounds; processes lie `apart`, one number or one a comparison."""
    luck = np.reshape(apart, (-1, 1)) * generator.standard_normal((count, 3))
    rounds = shift + np.repeat(luck, 4, axis=1) + 0.005 * generator.standard_normal((count, 12))
    return [(row, PROCESSES) for row in rounds]


def test_one_comparison_is_as_it_is_alone():
    [alone] = drawn(np.random.default_rng(0), 1, 0.01)
    assert together_in_a_block([alone])[0] == pytest.approx(compare(*alone))


def test_small_differences_are_seen_once_many_say_how_unlike_processes_are():
    comparisons = drawn(np.random.default_rng(1), 80, 0.005, shift=0.05)
    together = together_in_a_block(comparisons)
    assert np.mean([one.p < 0.05 / 80 for one in together]) > 0.9
    assert np.mean([compare(*one).p < 0.05 / 80 for one in comparisons]) < 0.3


def test_none_is_taken_to_be_steadier_than_its_block():
    quiet, restless = (drawn(np.random.default_rng(4), 10, apart) for apart in (0.002, 0.05))
    steady = drawn(np.random.default_rng(5), 1, 0.0, shift=0.02)
    among = {
        number: compare_together([*steady, *quiet, *restless], [number, *[0] * 10, *[1] * 10])[0].p
        for number in (0, 1)
    }
    assert among[0] < 0.05 < among[1]


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_equal_kernels_are_rarely_told_apart(spread):
    generator, wrong, covered = np.random.default_rng(2), [], []
    for _ in range(200):
        apart = 0.01 * np.exp(spread * generator.standard_normal(10))
        found = compare_together(drawn(generator, 10, apart), range(10))
        wrong.append(min(one.p for one in found) <= 0.05 / 10)
        covered += [one.low <= 1 <= one.high for one in found]
    assert np.mean(wrong) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)
    assert np.mean(covered) >= 0.94


def test_single_processes_and_equal_times_are_borne():
    same = np.zeros(12), PROCESSES
    single = np.linspace(-0.01, 0.02, 12), np.zeros(12, dtype=int)
    lonely = np.array([0.1]), np.array([0])
    others = drawn(np.random.default_rng(3), 3, 0.01)
    for one in together_in_a_block([same, single, lonely, *others]):
        assert one.low <= one.ratio <= one.high
        assert 0 <= one.p <= 1
    assert together_in_a_block([same])[0] == (1, 1, 1, 1)
