"""Quantisation: within the stated bound of floats, small files, straight-through gradients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convgrad.kernels import models
from convgrad.kernels.compression import (
    Int4,
    Int8,
    Rounded,
    chain,
    distil,
    prune,
    quantise,
    quantise_aware,
    round_to_levels,
)
from convgrad.kernels.datasets import Part
from convgrad.kernels.layers import Convolution, Dense

IMAGE, CLASSES = (2, 8, 8), 3


def cnn(seed=0):
    return models.cnn(IMAGE, [(6, (3, 3)), (4, (3, 3))], [10], CLASSES, seed=seed)


def examples(count=60):
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((count, *IMAGE), np.float32)
    return Part(inputs, (inputs[:, 0, 2, 2] > 0).astype(int))


def training(model):
    return models.Training(model, models.Adam(0.01), batch=20)


def layers(generator, dtype):
    yield Dense(IMAGE, (7,), generator, dtype)
    yield Convolution(IMAGE, 5, (3, 2), generator, dtype=dtype)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([np.float32, np.float64]))
def test_a_layer_of_bytes_is_within_the_bound_of_its_twin(seed, dtype):
    generator = np.random.default_rng(seed)
    for layer in layers(generator, dtype):
        inputs = generator.standard_normal((4, *IMAGE)).astype(dtype)
        scale = float(abs(inputs).max()) / 127
        bytes_ = Int8.of(layer, scale)
        (weights,) = layer.arrays.values()
        apart = abs(bytes_.forward(inputs) - layer.forward(inputs))
        worth = bytes_.stored["scales"].reshape(-1, *[1] * (len(layer.output_shape) - 1))
        norms = abs(weights).reshape(len(weights), -1).sum(axis=1).reshape(worth.shape)
        terms = weights[0].size
        weights[...] = 1
        seen = layer.forward(abs(inputs))
        bound = scale / 2 * norms + worth / 2 * seen + terms * scale * worth / 4
        assert (apart <= 1.0001 * bound + 1e-5).all()
        assert apart.max() > 0


def test_a_model_of_bytes_does_nearly_the_same_and_its_file_is_small(tmp_path):
    model = models.mlp(IMAGE, [200, 100], CLASSES)
    training(model).run(examples(), 3)
    small, report = quantise(model, examples().inputs)
    outputs = [one.predict(examples().inputs) for one in (model, small)]
    assert abs(outputs[0] - outputs[1]).max() < 0.05 * abs(outputs[0]).max()
    sizes = [one.save(tmp_path / f"{i}.safetensors") for i, one in enumerate((model, small))]
    assert [report.bytes_before, report.bytes_after] == sizes
    assert sizes[1] < 0.3 * sizes[0]
    assert report.parameters_after <= report.parameters_before + 300 + CLASSES + 3  # scales
    other, _ = quantise(models.mlp(IMAGE, [200, 100], CLASSES, seed=1), examples().inputs)
    other.predict(examples().inputs)
    other.load(tmp_path / "1.safetensors")
    assert np.array_equal(other.predict(examples().inputs), outputs[1])


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 1000),
    st.integers(1, 70),
    st.sampled_from([np.float32, np.float64]),
    st.floats(0, 1),
)
def test_a_layer_of_halves_of_bytes_is_within_the_bound_of_its_twin(seed, features, dtype, zeros):
    generator = np.random.default_rng(seed)
    twin = Dense((features,), (7,), generator, dtype)
    weights = twin.arrays["weights"]
    weights *= generator.random(weights.shape) >= zeros
    small = Int4.of(twin)
    assert small.stored["levels"].nbytes == 7 * -(-features // 2)
    assert not small.weights().levels[weights == 0].any()
    assert small.stored_parameters == np.count_nonzero(small.weights().levels) + 7
    for batch in (1, 5):
        inputs = generator.standard_normal((batch, features)).astype(dtype)
        apart = abs(small.forward(inputs) - twin.forward(inputs))
        bound = small.stored["scales"] / 2 * abs(inputs).sum(axis=1, keepdims=True)
        assert (apart <= 1.0001 * bound + 1e-5).all()


def test_four_bits_are_for_dense_layers_and_halve_their_file():
    model = models.cnn(IMAGE, [(6, (3, 3))], [200], CLASSES)
    small, report = quantise(model, examples().inputs, bits=4)
    kinds = [type(leaf) for leaf in small.layers.leaves()]
    assert (kinds.count(Int8), kinds.count(Int4)) == (1, 2)
    assert report.way == "4-bit levels after training"
    eight = quantise(model, examples().inputs)[1]
    half = 200 * (6 * 16 + CLASSES) / 2
    assert eight.bytes_after - report.bytes_after == pytest.approx(half, abs=300)
    with pytest.raises(ValueError, match="^bits: got 3, expected 8 or 4"):
        quantise(model, examples().inputs, bits=3)


def test_zeros_of_pruned_models_stay_zeros():
    pruned, _ = prune(models.mlp(IMAGE, [200, 100], CLASSES), 0.9)
    small, report = quantise(pruned, examples().inputs)
    levels = small.layers.stored["0.levels"]
    assert levels.dtype == np.int8
    assert not levels[pruned.layers.arrays["0.weights"] == 0].any()
    assert report.bytes_after < 0.7 * report.bytes_before


def test_models_of_bytes_do_not_learn():
    small, _ = quantise(cnn(), examples().inputs)
    with pytest.raises(TypeError, match="^layer: got Int8, which infers only, expected floats to"):
        small.loss_and_gradient(*examples())


def test_quantising_twice_changes_nothing():
    inputs = examples().inputs
    small, _ = quantise(cnn(), inputs)
    again, report = quantise(small, inputs)
    assert np.array_equal(again.predict(inputs), small.predict(inputs))
    assert report.bytes_after == report.bytes_before


def test_quantising_needs_examples():
    with pytest.raises(ValueError, match="^examples: got none, expected at least one"):
        quantise(cnn(), examples().inputs[:0])


def test_gradients_pass_the_rounding_straight():
    generator = np.random.default_rng(0)
    for layer in layers(generator, np.float64):
        inputs = generator.standard_normal((4, *IMAGE))
        rounded = Rounded(layer, 1 / 127)  # inputs beyond 1 saturate
        (name,) = layer.arrays
        exact = layer.arrays[name].copy()
        outputs = rounded.forward(inputs).copy()
        slope = generator.standard_normal(outputs.shape)
        back = rounded.backward(slope).copy()
        gradient = rounded.gradients[name].copy()
        assert np.array_equal(rounded.arrays[name], exact)
        # The same layer with the rounded numbers in place of the exact ones.
        scales = abs(exact).reshape(len(exact), -1).max(axis=1) / 127
        scales = scales.reshape(-1, *[1] * (exact.ndim - 1))
        layer.arrays[name][...] = np.rint(exact / scales) * scales
        assert np.allclose(layer.forward(np.rint(inputs.clip(-1, 1) * 127) / 127), outputs)
        expected = layer.backward(slope)
        assert np.allclose(layer.gradients[name], gradient)
        assert np.allclose(np.where(abs(inputs) <= 1, expected, 0), back)


def test_what_rounding_aware_training_saw_is_what_bytes_compute():
    generator = np.random.default_rng(0)
    for layer in layers(generator, np.float32):
        inputs = generator.standard_normal((4, *IMAGE), np.float32)
        scale = float(abs(inputs).max()) / 127
        bytes_ = Int8.of(layer, scale)
        expected = bytes_.forward(inputs)
        assert np.allclose(Rounded(layer, scale).forward(inputs), expected, atol=1e-5)


def test_training_aware_of_rounding_keeps_masks_and_learns():
    pruned, _ = prune(models.mlp(IMAGE, [16], CLASSES), 0.5)
    small, report = quantise_aware(pruned, examples().inputs, training, examples(), 30)
    assert report.bytes_before > report.bytes_after
    assert small.accuracy(*examples()) > 0.9
    weights = pruned.layers.arrays["0.weights"]
    assert not small.layers.stored["0.levels"][weights == 0].any()


def test_a_teacher_for_what_is_pruned_and_rounded():
    part, inputs = examples(), examples().inputs
    teacher = models.mlp(IMAGE, [40], CLASSES)
    training(teacher).run(part, 30)
    small, reports = chain(
        teacher,
        lambda model: prune(model, 0.8),
        lambda model: round_to_levels(model, inputs),
        lambda student: distil(teacher, student, training, part, 20),
        lambda model: quantise(model, inputs),
    )
    assert [report.way.split()[0] for report in reports] == [
        *("magnitude", "8-bit", "distillation", "8-bit")
    ]
    assert reports[-1].bytes_after < 0.2 * reports[0].bytes_before
    assert reports[-1].parameters_after < 0.3 * teacher.parameters
    untaught, _ = quantise(prune(teacher, 0.8)[0], inputs)
    wanted = teacher.predict(inputs)

    def apart(model):
        return np.linalg.norm(model.predict(inputs) - wanted)

    assert apart(small) < 0.5 * apart(untaught)
    assert isinstance(small.loss, models.CrossEntropy)
