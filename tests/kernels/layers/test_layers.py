"""Layers: gradients against finite differences, counts against closed formulas, files."""

import os
from math import prod

import numpy as np
import pytest

from convgrad.kernels import layers, operation
from convgrad.kernels.layers.choice import compute

IMAGE, TAPS, FILTERS, RANK = (4, 5, 6), (3, 2), 6, 3
PIXELS = IMAGE[1] * IMAGE[2]
OUTPUT = (FILTERS, *IMAGE[1:])

MAPS = {
    "dense": (
        lambda g: layers.Dense(IMAGE, OUTPUT, g, np.float64),
        prod(IMAGE) * prod(OUTPUT),
    ),
    "low-rank dense": (
        lambda g: layers.low_rank_dense(IMAGE, OUTPUT, RANK, g, np.float64),
        RANK * (prod(IMAGE) + prod(OUTPUT)),
    ),
    "locally connected": (
        lambda g: layers.LocallyConnected(IMAGE, FILTERS, TAPS, g, np.float64),
        PIXELS * FILTERS * 4 * 6,
    ),
    "convolution": (
        lambda g: layers.Convolution(IMAGE, FILTERS, TAPS, g, dtype=np.float64),
        FILTERS * 4 * 6,
    ),
    "grouped": (
        lambda g: layers.Convolution(IMAGE, FILTERS, TAPS, g, groups=2, dtype=np.float64),
        FILTERS * 2 * 6,
    ),
    "depthwise separable": (
        lambda g: layers.depthwise_separable(IMAGE, FILTERS, TAPS, g, np.float64),
        4 * (6 + FILTERS),
    ),
    "spatially separable": (
        lambda g: layers.spatially_separable(IMAGE, FILTERS, TAPS, RANK, g, np.float64),
        RANK * (4 * 3 + FILTERS * 2),
    ),
    "low-rank convolution": (
        lambda g: layers.low_rank_convolution(IMAGE, FILTERS, TAPS, RANK, g, np.float64),
        RANK * (4 * 6 + FILTERS),
    ),
}
"""One map of the same shapes, and how many parameters each way takes."""

OTHERS = {
    "bias": lambda: layers.Bias(IMAGE, np.float64),
    "bias of features": lambda: layers.Bias((7,), np.float64),
    "rectifier": lambda: layers.ReLU(IMAGE),
    "pooling": lambda: layers.MaxPool(IMAGE),
    "pooling of a row": lambda: layers.MaxPool((3, 1, 7)),
    "sum": lambda: sum_of_maps(),
    "dropout": lambda: layers.Dropout(IMAGE, 0.3),
}


def differences(function, array, few, step=1e-5):
    """Central differences of a scalar function by some elements of an array."""
    found = []
    for index in few:
        kept = array.flat[index]
        array.flat[index] = kept + step
        above = function()
        array.flat[index] = kept - step
        found.append((above - function()) / (2 * step))
        array.flat[index] = kept
    return np.array(found)


def sum_of_maps():
    generator = np.random.default_rng(0)
    bias = layers.Bias(IMAGE, np.float64)
    deep = layers.Sequence([bias, layers.Dense(IMAGE, (3,), generator, np.float64)])
    return layers.Sum([layers.Dense(IMAGE, (3,), generator, np.float64), deep])


def check_gradients(layer):
    generator = np.random.default_rng(1)
    inputs = generator.standard_normal((3, *layer.input_shape))
    slope = generator.standard_normal((3, *layer.output_shape))

    def value():
        return float((layer.forward(inputs, np.random.default_rng(2)) * slope).sum())

    value()
    back = layer.backward(slope.copy()).copy()
    assert back.shape == inputs.shape
    gradients = {name: array.copy() for name, array in layer.gradients.items()}
    for array, gradient in [(inputs, back), *((layer.arrays[n], gradients[n]) for n in gradients)]:
        few = generator.choice(array.size, min(array.size, 12), replace=False)
        assert differences(value, array, few) == pytest.approx(gradient.flat[few], abs=1e-7)


@pytest.mark.parametrize("name", MAPS)
def test_gradients_of_maps(name):
    make, _ = MAPS[name]
    layer = make(np.random.default_rng(0))
    assert (layer.input_shape, layer.output_shape) == (IMAGE, OUTPUT)
    check_gradients(layer)


@pytest.mark.parametrize("name", OTHERS)
def test_gradients_of_what_stands_between(name):
    check_gradients(OTHERS[name]())


@pytest.mark.parametrize("name", MAPS)
def test_parameters_follow_the_closed_formula(name):
    make, parameters = MAPS[name]
    layer = make(np.random.default_rng(0))
    assert layer.parameters == parameters
    assert layer.bytes == 8 * parameters


def test_flops_are_the_operations():
    layer = MAPS["grouped"][0](np.random.default_rng(0))
    sizes = {"channels": 4, "height": 5, "width": 6, "filters": 6, "filter_height": 3}
    conv2d = operation("conv2d")
    sizes = conv2d.sizes | sizes | {"filter_width": 2, "groups": 2}
    assert layer.flops == conv2d.cost(**sizes).flops
    assert MAPS["dense"][0](np.random.default_rng(0)).flops == 2 * MAPS["dense"][1]


@pytest.mark.parametrize("name", MAPS)
def test_files(name, tmp_path):
    make, _ = MAPS[name]
    saved, loaded = (make(np.random.default_rng(seed)) for seed in (0, 1))
    size = saved.save(tmp_path / "layer.safetensors")
    assert size == os.path.getsize(tmp_path / "layer.safetensors") > saved.bytes
    loaded.load(tmp_path / "layer.safetensors")
    assert loaded.arrays.keys() == saved.arrays.keys()
    assert all(np.array_equal(loaded.arrays[n], saved.arrays[n]) for n in saved.arrays)
    other = layers.Dense((3,), (2,), np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"^path: got a file with .*, expected weights \(2, 3\)"):
        other.load(tmp_path / "layer.safetensors")


def test_maps_in_vectors_are_views_of_them():
    layer = MAPS["depthwise separable"][0](np.random.default_rng(0))
    before = {name: array.copy() for name, array in layer.arrays.items()}
    values, gradients = np.empty((2, layer.parameters))
    layer.keep_in(values, gradients)
    assert all(np.array_equal(layer.arrays[n], before[n]) for n in before)
    values += 1
    assert all(np.array_equal(layer.arrays[n], before[n] + 1) for n in before)
    check_gradients(layer)
    assert np.array_equal(gradients, np.concatenate([g.ravel() for g in layer.gradients.values()]))


def test_no_gradient_for_inputs_that_do_not_train():
    sequence = layers.Sequence(
        [layers.ReLU((4,)), layers.Dense((4,), (3,), np.random.default_rng(0), np.float64)]
    )
    inputs = np.ones((2, 4))
    sequence.forward(inputs)
    assert sequence.backward(np.ones((2, 3)), to_inputs=False) is None
    assert sequence.gradients["1.weights"].tolist() == [[2] * 4] * 3


def test_pooling_takes_the_first_of_equal_pixels_and_drops_odd_rows():
    layer = layers.MaxPool((1, 3, 3))
    assert layer.forward(np.ones((1, 1, 3, 3))).tolist() == [[[[1]]]]
    back = layer.backward(np.full((1, 1, 1, 1), 5.0))
    assert back[0, 0].tolist() == [[5, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_dropout_keeps_the_mean_and_rests_outside_training():
    layer = layers.Dropout((1000,), 0.25)
    inputs = np.ones((50, 1000))
    assert layer.forward(inputs) is inputs
    outputs = layer.forward(inputs, np.random.default_rng(0))
    assert set(np.unique(outputs)) == {0, 1 / 0.75}
    assert outputs.mean() == pytest.approx(1, abs=0.02)
    with pytest.raises(ValueError, match="share: got 1.0, expected a number below 1"):
        layers.Dropout((3,), 1.0)


def test_memory_is_kept_from_call_to_call():
    layer = MAPS["convolution"][0](np.random.default_rng(0))
    first = layer.forward(np.ones((2, *IMAGE)))
    assert layer.forward(np.zeros((2, *IMAGE))) is first
    assert not first.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compute_is_the_operation(dtype):
    inputs, weights = np.ones((2, 5), dtype), np.arange(15, dtype=dtype).reshape(3, 5)
    out = np.empty((2, 3), dtype)
    assert compute("dense", inputs, weights, out=out) is out
    assert np.array_equal(out, inputs @ weights.T)
    assert np.array_equal(compute("dense", inputs, weights), out)
    with pytest.raises(ValueError, match="inputs: got 4 features, expected 5"):
        compute("dense", inputs[:, :4], weights)
