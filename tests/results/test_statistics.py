import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, t, ttest_1samp

from convgrad.results.statistics import (
    ENOUGH,
    STOPPING,
    compare,
    holm,
    mean_interval,
    median_interval,
    process_medians,
    published,
    quartiles,
)

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


@pytest.mark.parametrize("count", [2, 5, 12])
def test_the_interval_of_a_mean_covers_it_as_often_as_it_says(count):
    generator = np.random.default_rng(count)
    intervals = [mean_interval(generator.normal(3, 2, count)) for _ in range(3000)]
    covered = np.mean([low <= 3 <= high for low, high, _ in intervals])
    assert covered == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 3000))


def test_of_a_single_value_no_interval_is_known():
    assert np.isnan(mean_interval([3.0])[:2]).all()


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


PROCESSES = np.repeat([0, 1, 2], 4)


def lasting(generator, count, rounds, rho):
    """Noise that lasts (first-order autoregression), a row a process, with a spike now and then."""
    noise = generator.standard_normal((count, 3, rounds))
    for before, now in zip(range(rounds), range(1, rounds)):
        noise[..., now] = rho * noise[..., before] + np.sqrt(1 - rho**2) * noise[..., now]
    spikes = (generator.random(noise.shape) < 0.02) * generator.exponential(0.5, noise.shape)
    return 0.03 * noise + spikes


@pytest.mark.parametrize("rho", [0, 0.5, 0.9])
@pytest.mark.parametrize("target", [0.02, 0.04, 0.08])
def test_published_intervals_cover_even_where_a_run_stops_once_they_are_narrow(rho, target):
    generator = np.random.default_rng(3)
    median = np.median(lasting(generator, 20_000, 4, rho))
    covered = 0
    for logs in lasting(generator, 600, 16, rho):
        for rounds in (4, 8, 12, 16):
            processes = np.repeat([0, 1, 2], rounds)
            low, high, _ = np.log(published(np.exp(logs[:, :rounds].ravel()), processes))
            if high - low < 2 * target:
                break
        covered += low <= median <= high
    # at least 94 %, give or take two standard deviations of a share over 600 draws
    assert covered / 600 >= 0.94 - 2 * np.sqrt(0.94 * 0.06 / 600)


def test_the_wider_interval_is_published():
    generator = np.random.default_rng(0)
    noise = 0.01 * generator.standard_normal(12)
    calm, unlike = np.exp(noise), np.exp(noise + 0.2 * PROCESSES)
    assert published(np.exp(noise), 0 * PROCESSES) == pytest.approx(median_interval(calm))
    low, high, coverage = published(unlike, PROCESSES)
    medians = np.log(unlike).reshape(3, 4)
    medians = np.median(medians, axis=1)
    error = medians.std(ddof=1) / np.sqrt(3)
    expected = t.interval(1 - 0.05 * STOPPING, 2, medians.mean(), error)
    assert np.log([low, high]) == pytest.approx(expected)
    assert coverage == 0.95


@given(st.lists(st.tuples(st.floats(1e-9, 1e3), st.integers(0, 3)), min_size=1, max_size=30))
def test_published_intervals_contain_the_median_and_what_order_statistics_do(samples):
    values, processes = np.array(samples).T
    low, high, _ = published(values, processes)
    assert low <= np.median(values) <= high
    inner = median_interval(values)
    assert np.log(high) - np.log(low) >= np.log(inner.high) - np.log(inner.low) - 1e-9


def test_comparisons_are_those_of_students_t():
    generator = np.random.default_rng(4)
    for shift in (0, 0.01, 0.1):
        ratios = shift + 0.02 * generator.standard_normal(12)
        result = compare(ratios, PROCESSES)
        medians = process_medians(ratios, PROCESSES)
        assert medians == pytest.approx(np.median(ratios.reshape(3, 4), axis=1))
        single = compare(ratios, 0 * PROCESSES).p
        assert single == pytest.approx(min(ttest_1samp(ratios, 0).pvalue / STOPPING, 1))
        assert result.p == pytest.approx(min(ttest_1samp(medians, 0).pvalue / STOPPING, 1))
        assert result.low <= result.ratio <= result.high
        assert result.ratio == pytest.approx(np.exp(np.median(ratios)))


def test_equal_times_are_no_evidence():
    assert compare(np.zeros(12), PROCESSES) == (1, 1, 1, 1)
    assert compare([0.0, 1.0] * 6, [0] * 12).p < 0.05 < compare([-1.0, 1.0] * 6, [0] * 12).p
    assert compare([], [])[3] == 1
    assert np.isnan(compare([], [])[:3]).all()


def test_equal_kernels_are_rarely_told_apart():
    generator = np.random.default_rng(8)
    p = [compare(ratios.ravel(), PROCESSES).p for ratios in lasting(generator, 1000, 4, 0.9)]
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 1000)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1, 1]
    assert holm([]).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_no_correction_and_bonferroni(p_values):
    adjusted = holm(p_values)
    assert (adjusted >= p_values).all()
    assert (adjusted <= np.minimum(len(p_values) * np.array(p_values), 1)).any()
    assert (np.diff(adjusted[np.argsort(p_values, kind="stable")]) >= 0).all()


def test_only_positive_times_can_be_published():
    with pytest.raises(ValueError, match="values: got 0.0, expected numbers greater than 0"):
        published([1.0, 0.0], [0, 0])
    assert np.isnan(published([], [])[:2]).all()
