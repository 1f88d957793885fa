from dataclasses import replace
from types import SimpleNamespace

import pytest

from convgrad import kernels
from convgrad.kernels import Case
from convgrad.suites.measure.admission import Admission
from convgrad.suites.measure.block import Block
from convgrad.suites.measure.forecast import Forecast

DIRECT = SimpleNamespace(operation="convolve", name="direct", algorithm="direct", family="numba")
FFT = SimpleNamespace(operation="convolve", name="fft", algorithm="fft", family="fft")
NAIVE = SimpleNamespace(operation="convolve", name="loops", algorithm="direct", family="naive")


def case(signal, taps, dtype="float32"):
    return Case.of("convolve", dtype, signal=(signal,), taps=(taps,))


def test_nothing_is_known_at_first():
    assert Forecast().seconds(DIRECT, case(1000, 3), 2) is None


def test_time_grows_with_the_work():
    forecast = Forecast()
    forecast.learn(DIRECT, case(100_000, 10), 2, 0.01)
    assert forecast.seconds(DIRECT, case(100_000, 100), 2) == pytest.approx(0.1, rel=1e-6)


def test_fft_does_not_grow_with_the_taps():
    forecast = Forecast()
    forecast.learn(FFT, case(100_000, 10), 2, 0.01)
    assert forecast.seconds(FFT, case(100_000, 1000), 2) == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("tried", [0.5, 0.002])
def test_a_trial_that_was_disturbed_counts_no_longer_once_it_is_measured(tried):
    forecast = Forecast()
    forecast.learn_trial(DIRECT, case(100_000, 10), 2, tried)
    forecast.learn(DIRECT, case(100_000, 10), 2, 0.01)
    assert forecast.seconds(DIRECT, case(100_000, 100), 2) == pytest.approx(0.1, rel=1e-6)


def test_a_trial_may_have_taken_four_times_as_long_as_the_call():
    forecast = Forecast()
    forecast.learn_trial(DIRECT, case(100_000, 10), 2, 0.04)
    forecast.learn_trial(NAIVE, case(100_000, 10), 2, 0.04)
    assert forecast.seconds(DIRECT, case(100_000, 100), 2) == pytest.approx(0.1, rel=1e-6)
    assert forecast.seconds(NAIVE, case(100_000, 100), 2) == pytest.approx(0.4, rel=1e-6)


def test_the_shortest_of_several_calls_counts():
    forecast = Forecast()
    forecast.learn(DIRECT, case(100_000, 10), 2, 0.5)
    forecast.learn(DIRECT, case(100_000, 10), 2, 0.01)
    assert forecast.seconds(DIRECT, case(100_000, 100), 2) == pytest.approx(0.1, rel=1e-6)


def test_short_calls_and_larger_cases_say_nothing():
    forecast = Forecast()
    forecast.learn(DIRECT, case(1000, 3), 2, 1e-5)
    forecast.learn(DIRECT, case(1_000_000, 100), 2, 1.0)
    assert forecast.seconds(DIRECT, case(10_000, 3), 2) is None


def test_threads_and_dtypes_are_apart():
    forecast = Forecast()
    forecast.learn(DIRECT, case(100_000, 10), 2, 0.01)
    assert forecast.seconds(DIRECT, case(100_000, 10), 1) is None
    assert forecast.seconds(DIRECT, case(100_000, 10, "float64"), 2) is None


def test_plain_loops_are_predicted_from_a_tiny_case():
    forecast = Forecast()
    forecast.learn(NAIVE, case(100, 10), 1, 1e-4)
    assert forecast.seconds(NAIVE, case(100_000, 10), 1) == pytest.approx(0.1, rel=1e-2)


def test_short_calls_say_nothing_of_far_larger_cases():
    forecast = Forecast()
    forecast.learn(DIRECT, case(1000, 3), 2, 0.005)
    assert forecast.seconds(DIRECT, case(1_000_000, 2), 2) == pytest.approx(10 / 3, rel=1e-2)
    assert forecast.seconds(DIRECT, case(1_000_000, 30), 2) is None
    forecast.learn(FFT, case(1000, 3), 2, 0.02)
    assert forecast.seconds(FFT, case(10_000_000, 3), 2) > 200


def test_the_best_pace_of_smaller_cases_counts():
    forecast = Forecast()
    forecast.learn(DIRECT, case(100_000, 100), 2, 0.002)
    forecast.learn(DIRECT, case(10_000_000, 3), 2, 0.01)  # waits for memory
    assert forecast.seconds(DIRECT, case(1_000_000, 300), 2) == pytest.approx(0.06, rel=1e-3)


def test_a_block_may_grant_its_kernels_more_time_than_the_preset():
    admission = Admission(0.01)
    names = "numba_parallel", "numba_toeplitz"
    contenders = {name: kernels.get("convolve", name) for name in names}
    block = Block(case(1_000_000, 10), 1, names, names[0])
    for kernel in contenders.values():
        admission.forecast.learn(kernel, case(100_000, 10), 1, 0.002)  # 0.02 s of ten times more
    facts = {name: {} for name in names}
    assert admission.drop_slow(block, contenders, facts) == {}
    assert facts[names[0]]["predicted_s"] == pytest.approx(0.02, rel=1e-3)
    patient = replace(block, slowest_call_s=0.03)
    assert admission.drop_slow(patient, contenders, {}) == contenders
