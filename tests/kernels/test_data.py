"""Real inputs come from installed packages, and are what their names say."""

import numpy as np
import pytest

from convgrad.kernels import Case, data, operation

pytest.importorskip("sklearn")
pytest.importorskip("PIL")


def test_photograph():
    luminance, channels = data.photograph((427, 640)), data.photograph((1, 3, 427, 640))
    assert luminance.shape == (427, 640)
    assert channels.shape == (1, 3, 427, 640)
    for pixels in (luminance, channels):
        assert 0 <= pixels.min() < 0.05
        assert 0.95 < pixels.max() <= 1
        assert pixels.std() > 0.1
    assert np.allclose(luminance, np.tensordot([0.299, 0.587, 0.114], channels[0], 1))
    assert np.array_equal(data.photograph((30, 20)), luminance[:30, :20])


def test_membrane():
    voltage = data.membrane((1000,))
    assert voltage.dtype == np.float64
    assert voltage.shape == (1000,)
    assert np.isfinite(voltage).all()
    assert voltage.std() > 0


def test_diabetes():
    features, targets = data.diabetes((442, 10), (442,))
    assert np.allclose(features.mean(axis=0), 0)
    assert np.allclose(np.linalg.norm(features, axis=0), 1)
    assert targets.mean() == pytest.approx(0, abs=1e-9)
    from sklearn.datasets import load_diabetes

    known = load_diabetes()
    assert np.allclose(features, known.data)
    assert np.allclose(targets, known.target - known.target.mean())


@pytest.mark.parametrize("shape", [(1,), (9,), (4, 7), (3, 3, 3)])
def test_gaussian(shape):
    bell = data.gaussian(shape)
    assert bell.shape == shape
    assert bell.sum() == pytest.approx(1)
    assert np.allclose(bell, np.flip(bell))
    assert bell.min() > 0


def test_edge_answers_to_vertical_edges_alone():
    taps = data.edge((5, 7))
    assert np.allclose(taps, -taps[:, ::-1])
    assert np.allclose(taps, taps[::-1])


def test_observed_is_the_start_of_the_full_convolution():
    signal, taps = np.random.default_rng(0).standard_normal((2, 6))
    assert np.allclose(data.observed(signal, taps), np.convolve(signal, taps)[:6])


def test_data_smaller_than_asked():
    with pytest.raises(ValueError, match=r"shape: got \(500, 700\), expected at most \(427, 640\)"):
        data.photograph((500, 700))
    with pytest.raises(ValueError, match="expected at most"):
        data.photograph((2, 3, 10, 10))


def test_missing_package_names_the_cure(monkeypatch):
    monkeypatch.setattr(data, "find_spec", lambda name: None)
    with pytest.raises(data.Missing, match="pip install scikit-learn"):
        data.photograph((4, 4))
    with pytest.raises(data.Missing, match="pip install matplotlib"):
        data.membrane((4,))


def test_missing_file_names_the_cure(monkeypatch, tmp_path):
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(data, "find_spec", lambda name: Spec)
    with pytest.raises(data.Missing, match="is not here: pip install scikit-learn"):
        data.diabetes((442, 10), (442,))


SIZES = {
    ("convolve", "photograph-blur"): {"signal": (40, 50), "taps": (5, 5)},
    ("convolve", "photograph-edge"): {"signal": (40, 50), "taps": (5, 5)},
    ("convolve", "membrane-smooth"): {"signal": (300,), "taps": (31,)},
    ("conv2d", "photograph"): {"channels": 3, "height": 20, "width": 30, "filters": 4},
    ("fit_linear", "diabetes"): {"samples": 442, "features": 10},
    ("fit_filter", "photograph-blur"): {"signal": (40, 50), "taps": (5, 5)},
    ("fit_filter", "membrane-smooth"): {"signal": (300,), "taps": (31,)},
}


def test_every_real_input_is_listed_here():
    names = {
        (o, n) for o in ("convolve", "conv2d", "fit_linear", "fit_filter") for n in data.names(o)
    }
    assert names == set(SIZES)
    assert data.names("conv2d_filter_gradient") == []


@pytest.mark.parametrize(("name", "source"), list(SIZES))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cases_of_real_data(name, source, dtype):
    sizes = SIZES[name, source]
    case = Case.of(name, dtype, source, **sizes)
    arrays, options = case.inputs()
    outline = case.outline()
    assert [a.shape for a in arrays] == [a.shape for a in outline.arrays]
    assert {a.dtype for a in arrays} == {np.dtype(dtype)}
    assert source in case.label
    assert all(np.array_equal(a, b) for a, b in zip(arrays, case.inputs(seed=1).arrays))
    result = operation(name).definition(*arrays, **options)
    assert np.isfinite(result).all()
