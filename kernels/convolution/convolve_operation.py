"""What `convolve` computes, what it accepts, and what it costs."""

import math
import operator
from functools import reduce

import numpy as np

from convgrad.kernels.convolution import bounds, reference
from convgrad.kernels.convolution.geometry import MODES, convolve_window, layout, window_shape
from convgrad.kernels.operation import Arguments, Cost, Operation
from convgrad.kernels.registry import register_operation
from convgrad.kernels.validation import arrays, choice, rank, reject


@register_operation
class Convolve(Operation):
    """True N-D convolution, ``y(s) = sum_t x(s - t) k(t)``, N = 1, 2, 3."""

    name = "convolve"
    odd = "signal"
    weights = "taps"
    sizes = {"signal": None, "taps": None, "mode": "full", "rank": "any"}
    """``rank`` is that of the taps: "any", or 1 for products of a factor for each axis."""
    named_cases = {
        "tiny": {"signal": (200,), "taps": (5,)},
        "audio second, room echo": {"signal": (48_000,), "taps": (4_800,)},
        "photograph, blur": {"signal": (427, 640), "taps": (9, 9)},
        "volume, smoothing": {"signal": (64, 64, 64), "taps": (3, 3, 3)},
    }

    def bind(self, signal, taps, *, mode="full"):
        """Validate a call.

        Parameters
        ----------
        signal, taps : array_like, 1-D, 2-D or 3-D, of equal rank
        mode : {"full", "same", "valid"}
            As `scipy.signal.convolve` defines them: sides ``n + k - 1``; sides ``n`` about the
            centre of the full result; only outputs that see no border. For "valid" one operand
            has to be at least as long as the other along every axis; kernels get the longer one
            as ``signal``.

        Returns
        -------
        Arguments
            (signal, taps), {mode}
        """
        signal, taps = arrays(signal=signal, taps=taps)
        rank("signal", signal, 1, 2, 3)
        rank("taps", taps, signal.ndim)
        choice("mode", mode, MODES)
        if mode == "valid":
            shapes = signal.shape, taps.shape
            if any(map(operator.lt, *shapes)):
                if any(map(operator.gt, *shapes)):
                    reject(
                        "taps",
                        f"shape {taps.shape}",
                        f"no longer (or no shorter) than the signal {signal.shape} along every "
                        "axis in mode 'valid'",
                    )
                signal, taps = taps, signal
        return Arguments((signal, taps), {"mode": mode})

    def partner_shape(self, taps, **_):
        rank("taps", taps, 1, 2, 3)
        return taps.shape

    def output_shape(self, signal, taps, *, mode):
        return layout(signal.shape, taps.shape, mode).shape

    def definition(self, signal, taps, *, mode):
        return reference.convolve(signal, taps, mode=mode)

    def bound(self, algorithm, signal, taps, *, mode):
        if algorithm == "fft":
            points = math.prod(n + k - 1 for n, k in zip(signal.shape, taps.shape))
            size = bounds.norms(signal) * bounds.norms(taps)
            return bounds.fft(points, size, signal.dtype)
        magnitude = self.magnitude(signal, taps, mode=mode)
        terms = math.prod(map(min, signal.shape, taps.shape))
        bound = bounds.direct(terms, magnitude, signal.dtype)
        if algorithm == "separable":
            bound = bound + bounds.underflow(terms, signal, taps)
        return bound

    def traits(self, signal, taps, *, mode):
        """Outputs and taps, whichever operand is the filter; and in images, the borders."""
        outputs = self.output_shape(signal, taps, mode=mode)
        shorter = min(signal, taps, key=lambda array: array.size)
        sizes = [math.prod(outputs), shorter.size]
        if signal.ndim > 1:
            sizes.append(4 ** MODES.index(mode))  # libraries of image filters pad for "full"
        return f"{signal.ndim}-D", tuple(map(math.log2, sizes))

    def cost(self, *, signal, taps, mode, rank="any"):
        window = convolve_window(signal, taps, mode)
        products = math.prod(
            _products_before(part.stop, n, k) - _products_before(part.start, n, k)
            for n, k, part in zip(signal, taps, window)
        )
        elements = math.prod(signal) + math.prod(taps) + math.prod(window_shape(window))
        return Cost(math.prod(taps), 2 * products, elements, elements)

    def shapes(self, *, signal, taps, mode, rank="any"):
        if rank not in ("any", 1):
            reject("rank", repr(rank), "'any' or 1")
        return {"signal": signal, "taps": taps}, {"mode": mode}

    def random_arrays(self, generator, shapes, *, rank="any", **_):
        if rank == "any":
            return super().random_arrays(generator, shapes)
        factors = map(generator.standard_normal, shapes["taps"])
        return generator.standard_normal(shapes["signal"]), reduce(np.multiply.outer, factors)


def _products_before(outputs, n, k):
    """Count the products in the first outputs of a full convolution of n samples and k taps."""
    return int(np.clip(outputs - np.arange(k), 0, n).sum())
