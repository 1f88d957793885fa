import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from convgrad.results.statistics import ENOUGH, median_interval, quartiles

finite = st.floats(-1e9, 1e9)


@pytest.mark.parametrize("count", [6, 7, 15, 40])
@pytest.mark.parametrize("draw", ["lognormal", "exponential", "standard_cauchy"])
def test_the_interval_covers_the_median_as_often_as_it_says(count, draw):
    generator = np.random.default_rng(count)
    sample = getattr(generator, draw)
    median = {"lognormal": 1.0, "exponential": np.log(2), "standard_cauchy": 0.0}[draw]
    intervals = [median_interval(sample(size=count)) for _ in range(3000)]
    covered = np.mean([low <= median <= high for low, high, _ in intervals])
    said = intervals[0].coverage
    assert said >= 0.95
    # three standard deviations of a share over 3000 draws
    assert covered == pytest.approx(said, abs=3 * np.sqrt(said * (1 - said) / 3000))


@pytest.mark.parametrize("count", [6, 9, 10, 25, 100, 1000])
def test_it_is_the_narrowest_of_order_statistics(count):
    low, high, coverage = median_interval(np.arange(count) + 1.0)
    rank = int(low)
    assert high == count + 1 - rank
    assert coverage == pytest.approx(1 - 2 * binom.cdf(rank - 1, count, 0.5))
    assert 1 - 2 * binom.cdf(rank, count, 0.5) < 0.95


@pytest.mark.parametrize(
    ("count", "coverage"), [(1, 0.0), (2, 0.5), (3, 0.75), (5, 0.9375), (6, 0.96875)]
)
def test_few_samples_give_their_range_and_admit_the_coverage(count, coverage):
    values = np.random.default_rng(1).standard_normal(count)
    interval = median_interval(values)
    assert interval == (values.min(), values.max(), pytest.approx(coverage))
    assert (interval.coverage >= 0.95) == (count >= ENOUGH)


def test_nothing_is_known_of_no_sample():
    low, high, coverage = median_interval([])
    assert np.isnan([low, high, *quartiles([])]).all()
    assert coverage == 0


@given(st.lists(finite, min_size=1, max_size=40), st.floats(0.5, 0.99))
def test_the_interval_encloses_the_median_of_the_sample(values, confidence):
    low, high, _ = median_interval(values, confidence)
    assert low <= np.median(values) <= high
    assert {low, high} <= set(values)


@given(st.lists(finite, min_size=6, max_size=30))
def test_one_outlier_does_not_move_the_far_end(values):
    assert median_interval([*values[:-1], 1e12]).low >= median_interval([*values[:-1], -1e12]).low
    assert median_interval([*sorted(values)[:-1], 1e12]).low == median_interval(values).low


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(([1.0, np.nan],), "values: got nan"), (([1.0], 95), "confidence: got 95")],
)
def test_what_cannot_be_meant_is_refused(arguments, named):
    with pytest.raises(ValueError, match=named):
        median_interval(*arguments)
