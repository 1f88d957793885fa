"""How far ahead our kernels of convolution and descent are, over sizes drawn at random."""

from functools import partial

from convgrad.suites.aims import Aim, AimSuite, log_uniform
from convgrad.suites.suite import bench

__all__ = ["SUITE", "bench"]

_SCIPY = ("scipy_direct", "scipy_fftconvolve", "scipy_oaconvolve", "scipy_ndimage")
_RIVALS = ("numpy", *_SCIPY, "opencv", "torch", "pyfftw")
_FFT_RIVALS = ("scipy_fftconvolve", "scipy_oaconvolve", "pyfftw")
_LINE, _PLANE = ("numba_toeplitz", "numba_parallel"), ("numba_stripes", "numba_parallel")
_BLOCKS = ("numba_overlap_save",)
_RANK_ONE, _CV = ("separable",), ("opencv_separable", "opencv")
_LINEAR_RIVALS = ("numpy", "scipy_gemv", "torch")
_FILTER = ("numba_parallel", "numba_tiles", "numba_gram", "numba_gram_fft")
_FILTER_RIVALS = ("scipy_correlate", "fft", "normal_equations", "torch_autograd")


def _line(random, taps, signal=(1e4, 1e7)):
    return {"signal": (log_uniform(random, *signal),), "taps": (log_uniform(random, *taps),)}


def _long(random):
    taps = log_uniform(random, 1e3, 1e6)
    return {"signal": (log_uniform(random, max(taps, 1e5), 1e7),), "taps": (taps,)}


def _plane(random, sides, image=(256, 4096)):
    side = log_uniform(random, *sides)
    signal = tuple(log_uniform(random, *image) for _ in range(2))
    return {"signal": signal, "taps": (side, side), "mode": "same"}


def _separable(random):
    return _plane(random, (7, 63)) | {"rank": 1}


def _volume(random):
    side = log_uniform(random, 3, 9)
    signal = tuple(log_uniform(random, 32, 160) for _ in range(3))
    return {"signal": signal, "taps": (side,) * 3, "mode": "same"}


def _fit(random, megabytes, itemsize=4, outputs=(1, 1)):
    features = log_uniform(random, 16, 1024)
    samples = int(random.uniform(*megabytes) * 2**20 / itemsize / features)
    return {
        "samples": samples,
        "features": features,
        "outputs": log_uniform(random, *outputs),
        "iterations": 10,
    }


def _small_fit(random):
    samples, features = int(random.integers(800, 1200)), int(random.integers(80, 120))
    return {"samples": samples, "features": features, "iterations": 100}


def _filter_fit(random):
    taps = log_uniform(random, 8, 1000)
    if random.random() < 0.5:
        return {"signal": (1_000_000,), "taps": (taps,)}
    side = max(round(taps**0.5), 3)
    return {"signal": (1000, 1000), "taps": (side, side)}


_FEW, _MANY = partial(_line, taps=(9, 16)), partial(_line, taps=(257, 512))
_CACHE, _DRAM = (4, 20), (100, 500)  # megabytes of features

SUITE = AimSuite(
    aims=(
        Aim(
            *("fit_linear, from memory", "fit_linear", partial(_fit, megabytes=_DRAM)),
            *(("numba_fused",), _LINEAR_RIVALS),
            roof=0.95,
        ),
        Aim(
            *("fit_linear, from cache", "fit_linear", partial(_fit, megabytes=_CACHE)),
            *(("numba_fused",), _LINEAR_RIVALS),
            ratio=2.5,
        ),
        Aim(
            *("fit_linear, from cache, float64", "fit_linear"),
            *(partial(_fit, megabytes=_CACHE, itemsize=8), ("numba_fused",), _LINEAR_RIVALS),
            ratio=2.5,
            dtype="float64",
        ),
        Aim(
            *("fit_linear, about 1,000 x 100", "fit_linear", _small_fit),
            *(("numba_fused",), _LINEAR_RIVALS),
            ratio=2.5,
        ),
        Aim(
            *("fit_linear, 2 to 16 outputs", "fit_linear"),
            *(partial(_fit, megabytes=(4, 200), outputs=(2, 16)), ("numba_fused",)),
            _LINEAR_RIVALS,
            ratio=2.0,
        ),
        Aim(
            *("1-D, 3 to 256 taps", "convolve", partial(_line, taps=(3, 256))),
            *((*_LINE, *_BLOCKS), _RIVALS),
            ratio=3.0,
        ),
        Aim(
            *("1-D, 257 to 512 taps", "convolve", _MANY, (*_LINE, *_BLOCKS), _RIVALS),
            ratio=1.5,
        ),
        *(
            Aim(
                *(f"1-D direct, {taps} taps{also}", "convolve", draw, _LINE, ()),
                roof=share * part,
                dtype=dtype,
                call="out",  # Clearing new pages may take longer than the sums.
            )
            for also, dtype, part in (("", "float32", 1), (", float64", "float64", 0.9))
            for taps, draw, share in (("257 to 512", _MANY, 0.95), ("9 to 16", _FEW, 0.5))
        ),
        Aim(
            *("1-D, 1,000 to 1,000,000 taps", "convolve", _long, _BLOCKS, ("scipy_oaconvolve",)),
            ratio=1.2,
        ),
        Aim(
            *("1-D, auto", "convolve", partial(_line, taps=(100, 10_000)), ("auto",)),
            ("numba_toeplitz", *_BLOCKS),
            ratio=0.95,
        ),
        Aim(
            *("2-D, 3 a side, from memory", "convolve"),
            *(partial(_plane, sides=(3, 3), image=(2500, 4096)), _PLANE, ()),
            roof=0.95 * 2 / 3,  # The roof is for reading: what is written is read before.
            call="out",
        ),
        Aim(
            *("2-D, 3 to 31 a side, over OpenCV", "convolve", partial(_plane, sides=(3, 31))),
            *((*_PLANE, *_BLOCKS), ("opencv",)),
            ratio=1.8,
        ),
        Aim(
            *("2-D, 3 to 31 a side, over FFT", "convolve", partial(_plane, sides=(3, 31))),
            *((*_PLANE, *_BLOCKS), _FFT_RIVALS),
            ratio=1.2,
        ),
        Aim(
            *("2-D, 32 to 255 a side", "convolve", partial(_plane, sides=(32, 255))),
            *(_BLOCKS, ("opencv",)),
            ratio=1.0,
        ),
        Aim(
            *("2-D separable, 7 to 63 a side", "convolve", _separable, _RANK_ONE, _CV),
            ratio=2.5,
        ),
        Aim(
            *("2-D separable, 7 to 63 a side, float64", "convolve", _separable, _RANK_ONE, _CV),
            ratio=2.5,
            dtype="float64",
        ),
        Aim(
            *("3-D, 3 to 9 a side", "convolve", _volume, (*_PLANE, *_BLOCKS)),
            (*_SCIPY, "torch"),
            ratio=2.0,
        ),
        Aim(
            *("fit_filter, 8 to 1,000 taps", "fit_filter", _filter_fit),
            *(_FILTER, _FILTER_RIVALS),
            ratio=3.0,
        ),
        Aim(
            *("1-D, 200 to 1,000 samples", "convolve"),
            *(partial(_line, taps=(3, 9), signal=(200, 1000)), _LINE, ("numpy",)),
            ratio=1 / 1.2,
        ),
    ),
    counts={"smoke": 1, "laptop": 3, "thorough": 12},
)
