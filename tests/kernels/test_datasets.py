"""Datasets are what their files hold, and their parts have nothing in common."""

import hashlib

import numpy as np
import pytest

from convgrad.kernels import data, datasets

SHAPES = {
    "digits": ((1, 8, 8), (1237, 200, 360)),
    "mnist": ((1, 28, 28), (3500, 500, 1000)),
    "vowels": ((12, 1, 29), (216, 54, 370)),
    "languages": ((40, 1, 40), None),
    "diabetes": ((10,), (282, 80, 80)),
}


def load(name):
    try:
        return datasets.load(name)
    except data.Missing as missing:
        pytest.skip(str(missing))


def test_all_are_listed_here():
    assert datasets.names() == list(SHAPES)
    with pytest.raises(ValueError, match="^name: got 'cifar', expected one of 'digits', 'mnist'"):
        datasets.load("cifar")


@pytest.mark.parametrize("name", SHAPES)
def test_parts(name):
    dataset = load(name)
    shape, counts = SHAPES[name]
    parts = dataset.train, dataset.validation, dataset.test
    assert counts is None or tuple(len(part.inputs) for part in parts) == counts
    for inputs, targets in parts:
        assert inputs.shape == (len(targets), *shape)
        assert inputs.dtype == np.float32
        assert np.isfinite(inputs).all()
        if dataset.classes:
            assert set(targets) == set(range(dataset.classes))
    assert len(dataset.development.targets) == len(parts[0].targets) + len(parts[1].targets)
    assert dataset.version[0].isdigit()
    assert len(dataset.sha256) == 64


@pytest.mark.parametrize("name", SHAPES)
def test_nothing_leaks_from_one_part_to_another(name):
    dataset = load(name)
    texts = [
        {inputs.tobytes() for inputs in part.inputs}
        for part in (dataset.train, dataset.validation, dataset.test)
    ]
    if name == "languages":  # Messages that begin alike: no more than one in a hundred.
        assert len(texts[0] & (texts[1] | texts[2])) < len(texts[2]) / 100
    else:
        assert not texts[0] & texts[1] | texts[0] & texts[2] | texts[1] & texts[2]


@pytest.mark.parametrize("name", ["vowels", "diabetes"])
def test_scaled_by_the_training_part(name):
    inputs = load(name).train.inputs
    columns = np.moveaxis(inputs, 1, -1).reshape(-1, inputs.shape[1])
    spoken = columns[np.any(columns != 0, axis=1)]
    assert spoken.mean(axis=0) == pytest.approx(0, abs=1e-4)
    assert spoken.std(axis=0) == pytest.approx(1, abs=1e-3)


def test_images_are_what_others_read():
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    dataset = load("digits")
    known = {
        (image / 16).astype(np.float32).tobytes(): target
        for image, target in zip(digits.data, digits.target)
    }
    for part in (dataset.train, dataset.validation, dataset.test):
        assert all(known[image.tobytes()] == target for image, target in zip(*part))


def test_sha_is_the_files():
    path = data.packaged("sklearn", "datasets/data/digits.csv.gz", "scikit-learn")
    assert load("digits").sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_to_install_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr(data, "find_spec", lambda name: None)
    for name in datasets.names():
        with pytest.raises(data.Missing) as caught:
            datasets.load(name)
        assert "is not here: pip install " in str(caught.value)
        assert "\n" not in str(caught.value)
