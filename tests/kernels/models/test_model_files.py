"""Files of models: whatever it is made of, it is built again from its file alone."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from convgrad.kernels import models
from convgrad.kernels.compression import (
    Distillation,
    Pruned,
    compact,
    factorise,
    prune,
    quantise,
    remove_filters,
    round_to_levels,
)
from convgrad.kernels.datasets import Part
from convgrad.kernels.layers import (
    Bias,
    Convolution,
    LocallyConnected,
    Sequence,
    depthwise_separable,
    low_rank_dense,
    spatially_separable,
)
from convgrad.kernels.layers.description import describe

IMAGE, CLASSES = (2, 8, 8), 3
STAGES = [(6, (3, 3)), (4, (3, 2))]


def of_all_maps(seed, dtype):
    generator = np.random.default_rng(seed)
    maps = [
        LocallyConnected(IMAGE, 4, (3, 3), generator, dtype),
        Convolution((4, 8, 8), 4, (3, 1), generator, groups=2, dtype=dtype),
        depthwise_separable((4, 8, 8), 3, (3, 3), generator, dtype),
        spatially_separable((3, 8, 8), 3, (3, 3), 2, generator, dtype),
        Bias((3, 8, 8), dtype),
        low_rank_dense((3, 8, 8), (CLASSES,), 2, generator, dtype),
    ]
    return models.Model(Sequence(maps), models.CrossEntropy(), l2=0.1, l1=0.3)


ARCHITECTURES = {
    "softmax regression": lambda s, d: models.softmax_regression(IMAGE, CLASSES, seed=s, dtype=d),
    "mlp": lambda s, d: models.mlp(IMAGE, [9], CLASSES, dropout=0.2, l2=0.1, seed=s, dtype=d),
    "cnn": lambda s, d: models.cnn(IMAGE, STAGES, [8], CLASSES, dropout=0.2, seed=s, dtype=d),
    "joined": lambda s, d: models.joined(IMAGE, STAGES, CLASSES, seed=s, dtype=d),
    "all maps": of_all_maps,
}


WAYS = {
    "pruned": lambda model: prune(model, 0.8),
    "rounded": lambda model: round_to_levels(model, inputs(8)),
    "low rank": lambda model: factorise(model, 0.3),
    "bytes": lambda model: quantise(model, inputs(8)),
    "halves": lambda model: quantise(model, inputs(8), bits=4),
    "sparse": compact,
    "fewer filters": lambda model: remove_filters(model, 0.4),
}


def inputs(count):
    return np.random.default_rng(0).standard_normal((count, *IMAGE))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    models.mlp(IMAGE, [5], CLASSES).save(path)
    return path


@settings(max_examples=40, deadline=None)
@given(
    architecture=st.sampled_from(list(ARCHITECTURES)),
    ways=st.lists(st.sampled_from(list(WAYS)), max_size=3),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 100),
)
def test_a_file_alone_gives_the_same_model(tmp_path_factory, architecture, ways, dtype, seed):
    model = ARCHITECTURES[architecture](seed, dtype)
    for way in ways:
        try:
            model, _ = WAYS[way](model)
        except TypeError:  # Not all ways take all layers.
            continue
    folder = tmp_path_factory.mktemp("models")
    size = model.save(folder / "model.safetensors")
    found = models.load(folder / "model.safetensors")
    assert np.array_equal(found.predict(inputs(7)), model.predict(inputs(7)))
    assert found.values.dtype == dtype
    assert describe(found) == describe(model)
    assert found.save(folder / "again.safetensors") == size
    same = "parameters", "stored_parameters", "flops", "bytes"
    assert [getattr(found, n) for n in same] == [getattr(model, n) for n in same]


def test_what_is_built_again_learns_as_before(tmp_path):
    generator = np.random.default_rng(0)
    examples = Part(inputs(40), generator.integers(0, CLASSES, 40))
    small, _ = prune(models.mlp(IMAGE, [9], CLASSES, l2=0.1), 0.8)
    small.save(tmp_path / "model.safetensors")
    found = models.load(tmp_path / "model.safetensors")
    for model in (small, found):
        models.Training(model, models.Adam(0.01), batch=8).run(examples, 2)
    assert np.array_equal(found.values, small.values)
    assert isinstance(found.layers.layers[0], Pruned)


def test_losses_are_kept_with_their_numbers(tmp_path):
    model = models.linear(4, l2=0.5, l1=0.25)
    model.save(tmp_path / "model.safetensors")
    found = models.load(tmp_path / "model.safetensors")
    assert (found.l2, found.l1) == (0.5, 0.25)
    assert isinstance(found.loss, models.SquaredError)
    model = models.mlp(IMAGE, [], CLASSES)
    model.loss = Distillation(3.0, 0.1)
    model.save(tmp_path / "model.safetensors")
    loss = models.load(tmp_path / "model.safetensors").loss
    assert (loss.temperature, loss.weight) == (3.0, 0.1)


def test_masked_weights_that_an_optimiser_has_moved_are_not_saved(tmp_path):
    small, _ = prune(models.mlp(IMAGE, [9], CLASSES), 0.8)
    stored = small.stored_parameters
    small.values += 1
    small.save(tmp_path / "model.safetensors")
    assert models.load(tmp_path / "model.safetensors").stored_parameters == stored


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-5],
        lambda content: content[:100],
        lambda content: b"",
        lambda content: b"a letter to a friend",
        lambda content: content.replace(b"Dense", b"Tense"),
        lambda content: content.replace(b"input_shape", b"other_shape"),
        lambda content: content.replace(b'"F32"', b'"F16"'),
    ],
)
def test_damaged_files(saved, damage):
    saved.write_bytes(damage(saved.read_bytes()))
    with pytest.raises(ValueError, match=r"^path: got .*model.safetensors \(.*\), expected an und"):
        models.load(saved)


@pytest.mark.parametrize(
    "texts",
    [
        None,
        {"model": "Dense"},
        {"model": "[1]"},
        {"model": json.dumps({"kind": "ReLU", "input_shape": [3]})},
        {"model": json.dumps({"kind": "Model", "layers": 3, "loss": None})},
    ],
)
def test_foreign_files(saved, texts):
    save_file(load_file(saved), saved, texts)
    with pytest.raises(ValueError, match=r"^path: got .*, expected an undamaged file that Model"):
        models.load(saved)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.safetensors"):
        models.load(tmp_path / "none.safetensors")
