"""What holds for all lists of recipes, and that those of `smoke` learn."""

import pickle

import numpy as np
import pytest

from convgrad.kernels import datasets
from convgrad.kernels.models import load
from convgrad.suites.measure.settings import PRESETS
from convgrad.suites.studies import budget, depth, filter_size, pareto, shape
from convgrad.suites.studies.recipe import FAMILIES, learn

STUDIES = [budget, depth, filter_size, pareto, shape]
SHAPES = {
    "digits": ((1, 8, 8), 10),
    "mnist": ((1, 28, 28), 10),
    "vowels": ((12, 1, 29), 9),
    "languages": ((40, 1, 40), 8),
}
LISTS = pytest.mark.parametrize(
    "recipes",
    [study.RECIPES[preset] for study in STUDIES for preset in PRESETS],
    ids=[
        f"{study.__name__.rpartition('.')[2]} {preset}" for study in STUDIES for preset in PRESETS
    ],
)


@LISTS
def test_names_are_unique_and_what_they_refer_to_is_there(recipes):
    labels = [recipe.label for recipe in recipes]
    assert len(set(labels)) == len(labels)
    for number, recipe in enumerate(recipes):
        assert not recipe.base or f"{recipe.data} {recipe.base}" in labels[:number]
        assert not recipe.compared_to or f"{recipe.data} {recipe.compared_to}" in labels
        assert recipe.compared_to != recipe.name


@LISTS
def test_recipes_either_build_or_shrink(recipes):
    for recipe in recipes:
        assert recipe.family in FAMILIES
        assert bool(recipe.build) == bool(recipe.training) != bool(recipe.shrink)
        assert bool(recipe.shrink) == bool(recipe.base)


@LISTS
def test_networks_take_the_shapes_of_their_data(recipes):
    for recipe in recipes:
        if recipe.build:
            shape, classes = SHAPES[recipe.data]
            model = recipe.build(shape, classes, 0)
            assert model.layers.input_shape == shape
            assert model.layers.output_shape == (classes,)


@LISTS
def test_recipes_travel_to_other_processes(recipes):
    labels = [recipe.label for recipe in recipes]
    assert [recipe.label for recipe in pickle.loads(pickle.dumps(recipes))] == labels


@pytest.mark.parametrize("preset", PRESETS)
def test_one_name_one_recipe_in_all_studies(preset):
    seen = {}
    for study in STUDIES:
        for recipe in study.RECIPES[preset]:
            assert seen.setdefault(recipe.label, recipe) == recipe


def test_all_families_are_there():
    laptop = [recipe for study in STUDIES for recipe in study.RECIPES["laptop"]]
    assert {recipe.family for recipe in laptop} == set(FAMILIES)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """Models and rows of all recipes of `smoke` by name, bases read from their files."""
    folder, digits, found = tmp_path_factory.mktemp("models"), datasets.load("digits"), {}
    recipes = [recipe for study in STUDIES for recipe in study.RECIPES["smoke"]]
    for number, recipe in enumerate(recipes):
        assert recipe.data == "digits"
        if recipe.name not in found:
            base = load(found[recipe.base][2]) if recipe.base else None
            model, row = learn(recipe, 0, digits, base)
            path = folder / str(number)
            model.save(path)
            found[recipe.name] = model, row, path
    return found


def test_all_recipes_of_smoke_learn_more_than_chance(learned):
    accuracies = {name: row["accuracy"] for name, (_, row, _) in learned.items()}
    assert min(accuracies.values()) > 0.5, accuracies


def test_what_is_made_smaller_is_smaller_in_its_file(learned):
    for name, (_, row, path) in learned.items():
        if row["base"]:
            base = learned[row["base"]]
            assert path.stat().st_size < base[2].stat().st_size, name


def test_smaller_models_count_what_was_learned_and_what_is_stored(learned):
    row = {name: row for name, (_, row, _) in learned.items()}
    maps, biases = 64 * 16 + 16 * 10, 16 + 10
    assert row["mlp 16"]["parameters"] == maps + biases
    for way in ("50 % zeros", "50 % zeros, gradual"):
        assert row[f"mlp 16, {way}"]["parameters"] == maps + biases
        assert row[f"mlp 16, {way}"]["stored_parameters"] == maps // 2 + biases
    assert row["mlp 16, 50 % fewer"]["parameters"] == 64 * 8 + 8 * 10 + 8 + 10
    assert row["mlp 16, 50 % of the rank"]["parameters"] == 8 * (64 + 16) + 160 + biases
    for way in ("8 bits", "8 bits, tuned", "4 bits", "50 % zeros, 8 bits"):
        assert row[f"mlp 16, {way}"]["parameters"] == maps + biases
    assert row["mlp 16, taught"]["parameters"] == row["mlp 16"]["parameters"]


def test_ways_are_repeatable_and_leave_the_base_alone(learned):
    digits = datasets.load("digits")
    before = learned["mlp 16"][0].values.copy()
    for recipe in pareto.RECIPES["smoke"]:
        if recipe.base == "mlp 16":
            again, _ = learn(recipe, 0, digits, learned["mlp 16"][0])
            outputs = learned[recipe.name][0].predict(digits.test.inputs)
            np.testing.assert_array_equal(again.predict(digits.test.inputs), outputs)
    np.testing.assert_array_equal(learned["mlp 16"][0].values, before)
