import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convgrad.results.choosing import timed_models, within

MODELS = pd.DataFrame(
    {
        "model": ["small", "middle", "large", "never timed"],
        "operation": "predict",
        "data": "digits",
        "batch": 1,
        "flags": "",
        "validation_accuracy": [0.8, 0.9, 0.95, 0.99],
        "median_s": [1e-5, 2e-5, 4e-5, np.nan],
        "high_s": [1.2e-5, 2.1e-5, 4.4e-5, np.nan],
        "file_bytes": [1000, 500, 9000, 1],
        "stored_parameters": [250, 400, 2200, 1],
    }
)


def test_only_what_was_timed_can_be_chosen():
    assert timed_models(MODELS, "digits").model.tolist() == ["small", "middle", "large"]
    assert timed_models(MODELS, "mnist").empty


def test_of_several_sizes_of_a_call_the_smallest_counts():
    both = pd.concat([MODELS, MODELS.assign(batch=64, median_s=1.0, high_s=1.0)])
    assert set(timed_models(both, "digits").batch) == {1}


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, ["large", "middle", "small"]),
        ({"seconds": 4.2e-5}, ["middle", "small"]),  # the upper end of large's interval is beyond
        ({"file_bytes": 1000}, ["middle", "small"]),
        ({"parameters": 300}, ["small"]),
        ({"seconds": 2.5e-5, "file_bytes": 600, "parameters": 399}, []),
    ],
)
def test_all_limits_are_kept_and_the_best_comes_first(limits, expected):
    assert within(timed_models(MODELS, "digits"), **limits).model.tolist() == expected


@given(st.floats(0, 1e-4), st.floats(0, 1e4), st.floats(0, 3e3))
def test_a_looser_limit_never_makes_the_best_worse(seconds, file_bytes, parameters):
    models = timed_models(MODELS, "digits")
    tight = within(models, seconds=seconds, file_bytes=file_bytes, parameters=parameters)
    loose = within(models, seconds=2 * seconds, file_bytes=file_bytes, parameters=parameters)
    assert set(tight.model) <= set(loose.model)
    if len(tight):
        assert loose.validation_accuracy.iloc[0] >= tight.validation_accuracy.iloc[0]
