import numpy as np
import pytest

from convgrad.suites.studies import shape

# A 3 x 3 convolution of one image to 4, its biases; biases of the map; the dense layer behind.
AROUND = 4 * 9 + 4 + 8 + 10 * 8 * 7 * 7 + 10
PLACES = 14 * 14
MAPS = {
    "convolution": 8 * 4 * 9,
    "dense": (4 * PLACES) * (8 * PLACES),
    "dense, rank 16": 16 * (4 * PLACES + 8 * PLACES),
    "local": PLACES * 8 * 4 * 9,
    "convolution, 2 groups": 8 * 2 * 9,
    "columns, then rows": 4 * (4 * 3 + 8 * 3),
    "convolution, rank 2": 2 * (4 * 9 + 8),
    "depthwise separable": 4 * (9 + 8),
}
RECIPES = {recipe.name: recipe for recipe in shape.RECIPES["laptop"]}


def test_all_maps_are_counted():
    assert RECIPES.keys() == MAPS.keys()


@pytest.mark.parametrize("name", MAPS)
def test_parameters_are_those_of_the_closed_formula(name):
    model = RECIPES[name].build((1, 28, 28), 10, seed=0)
    assert model.parameters == AROUND + MAPS[name]


def test_only_the_map_differs():
    models = [recipe.build((1, 28, 28), 10, seed=3) for recipe in RECIPES.values()]
    first, *others = [model.layers.arrays for model in models]
    for arrays in others:
        np.testing.assert_array_equal(arrays["0.filters"], first["0.filters"])
        np.testing.assert_array_equal(arrays["9.weights"], first["9.weights"])
    assert len({model.layers.layers[4].output_shape for model in models}) == 1
    assert len({recipe.training for recipe in RECIPES.values()}) == 1
