from dataclasses import replace

import numpy as np
import pytest

from convgrad.kernels import datasets
from convgrad.suites.studies.networks import Joined, Network
from convgrad.suites.studies.recipe import Recipe, Schedule, learn

RECIPE = Recipe("mlp 8", "digits", "dense", Network(widths=(8,)), Schedule(2))


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def test_one_seed_one_model(digits):
    models = [learn(RECIPE, seed, digits)[0] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(models[0].values, models[1].values)
    assert np.any(models[0].values != models[2].values)


def test_row_says_what_was_learned_and_from_what(digits):
    model, row = learn(RECIPE, 3, digits)
    assert row["seed"] == 3
    assert row["model"] == "mlp 8"
    assert row["sha256"] == digits.sha256
    assert row["parameters"] == row["stored_parameters"] == 64 * 8 + 8 + 8 * 10 + 10
    assert row["flops"] == 2 * (64 * 8 + 8 * 10)
    assert row["accuracy"] == model.accuracy(*digits.test)
    assert row["validation_accuracy"] == model.accuracy(*digits.validation)
    assert row["train_s"] > 0


def test_validation_and_test_are_not_learned_from(digits):
    other = datasets.Part(digits.test.inputs[::-1], digits.test.targets)
    changed = replace(digits, validation=other, test=other)
    models = [learn(RECIPE, 0, dataset)[0] for dataset in (digits, changed)]
    np.testing.assert_array_equal(models[0].values, models[1].values)


@pytest.mark.parametrize(
    ("network", "name", "parameters"),
    [
        (Network(), "softmax", 64 * 10 + 10),
        (Network(widths=(16, 8)), "mlp 16-8", 64 * 16 + 16 + 16 * 8 + 8 + 8 * 10 + 10),
        (Network((4,)), "cnn 4", 4 * 9 + 4 + 4 * 16 * 10 + 10),
        (Network((4,), taps=5), "cnn 4", 4 * 25 + 4 + 4 * 16 * 10 + 10),
        (Network((4, 8), (16,)), "cnn 4-8 + 16", 40 + 8 * 36 + 8 + 8 * 4 * 16 + 16 + 170),
        (Joined((4,)), "joined 4", 640 + 4 * 9 + 4 + 4 * 16 * 10 + 10),
    ],
)
def test_networks_are_called_and_count_by_their_sizes(network, name, parameters):
    assert str(network) == name
    assert network((1, 8, 8), 10, 0).parameters == parameters


def test_filters_of_sound_and_text_have_one_row():
    model = Network((4,), taps=5)((12, 1, 29), 9, 0)
    assert model.layers.arrays["0.filters"].shape == (4, 12, 1, 5)
