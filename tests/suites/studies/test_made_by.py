"""Hashes of what made a model: of all recipes that there are, here and in other processes."""

import pickle

import pytest

from convgrad.suites.measure.settings import PRESETS
from convgrad.suites.studies import budget, depth, filter_size, pareto, shape
from convgrad.suites.studies.made_by import made_by
from convgrad.suites.studies.networks import Network
from convgrad.suites.studies.recipe import Recipe, Schedule

STUDIES = [budget, depth, filter_size, pareto, shape]
RECIPES = {
    (preset, recipe.label): recipe
    for study in STUDIES
    for preset in PRESETS
    for recipe in study.RECIPES[preset]
}


@pytest.fixture
def of(tmp_path):
    """What made a model by recipes."""
    path = tmp_path / "model"
    path.write_text("numbers")

    def of(*recipes, seed=0, data="sha256 of the data", saved="numbers"):
        path.write_text(saved)
        return made_by(recipes, seed, data, path)

    return of


@pytest.mark.parametrize("preset", PRESETS)
def test_every_recipe_has_a_hash_of_its_own(of, preset):
    recipes = [recipe for (own, _), recipe in RECIPES.items() if own == preset]
    assert len({of(recipe) for recipe in recipes}) == len(recipes)


def test_it_is_the_same_in_another_process(of):
    recipes = list(RECIPES.values())
    assert [of(one) for one in pickle.loads(pickle.dumps(recipes))] == [of(one) for one in recipes]


def test_seed_data_file_and_base_count(of):
    recipe = Recipe("mine", "digits", "dense", Network(widths=(4,)), Schedule(1))
    others = [
        of(recipe, seed=1),
        of(recipe, data="other data"),
        of(recipe, saved="other numbers"),
        of(recipe, recipe),
    ]
    assert len({of(recipe), *others}) == 5


def test_a_recipe_that_has_no_lasting_description_is_refused(of):
    with pytest.raises(TypeError, match=r"recipe: got <object .*, expected data, named functions"):
        of(Recipe("mine", "digits", "dense", object(), Schedule(1)))
