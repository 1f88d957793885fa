"""What the two fits minimise, what they accept, and what they cost."""

import math
from abc import abstractmethod

import numpy as np

from convgrad.kernels.convolution.bounds import FFT_STAGE
from convgrad.kernels.gradient_descent import bounds, reference
from convgrad.kernels.operation import Arguments, Cost, Operation, gamma
from convgrad.kernels.registry import register_operation
from convgrad.kernels.validation import arrays, finite, integer, number, rank, reject

_SMALL_GRAM = 512
"""Side of a Gram matrix that takes less time than the products of an iteration."""


class _Fit(Operation):
    """What both fits share: the objective, its reference, and the bound by the recurrence."""

    design: str
    """Name of what the model is linear in, besides the weights."""
    odd = "targets"
    outline_options = {"step": 1.0}

    @abstractmethod
    def model(self, design, weights_shape):
        """``(predict, correlate)`` of the linear model that ``design`` makes."""

    @abstractmethod
    def curvature(self, design, weights_shape):
        """Largest eigenvalue of ``A^T A``."""

    @abstractmethod
    def roundings(self, design, weights):
        """Longest chain of additions in one step: samples, then parameters, of one output."""

    @abstractmethod
    def norm(self, weights):
        """2-norm of the weights of each output."""

    def options(self, design, start, *, iterations, step, l2, l1):
        """Check the options that both fits take, and find the step 1/L where none is given."""
        iterations = integer("iterations", iterations, at_least=1)
        l2, l1 = number("l2", l2), number("l1", l1)
        if step is None:
            steepest = self.curvature(design, start.shape) + l2
            step = 1 / steepest if steepest > 0 else 1.0
        step = number("step", step, positive=True)
        return {"iterations": iterations, "step": step, "l2": l2, "l1": l1, "weights": start}

    def examine(self, result, arguments):
        """Reject arguments that are not finite, which spoil every result.

        To read them before takes as long as a step; an array to write into is overwritten by then.
        A result may also be that of steps which are too long.
        """
        if not math.isfinite(np.einsum(result, range(result.ndim), [])):
            (design, targets), weights = arguments.arrays, arguments.options["weights"]
            finite(**{self.design: design, "targets": targets, "weights": weights})

    def definition(self, design, targets, *, weights, taps=None, **options):
        return reference.descend(*self.model(design, weights.shape), targets, weights, **options)

    def bound(self, algorithm, design, targets, *, iterations, step, l2, l1, weights, taps=None):
        dtype = design.dtype
        curvature = self.curvature(design, weights.shape)
        options = {"step": step, "l2": l2}
        # The largest weights on the way: the path is bracketed by its own iterates.
        predict, correlate = self.model(design.astype(np.float64), weights.shape)
        largest, current = np.abs(weights).astype(np.float64), weights.astype(np.float64)
        for _ in range(iterations):
            current = reference.descend(
                predict, correlate, targets, current, iterations=1, l1=l1, **options
            )
            largest = np.maximum(largest, np.abs(current))
        if algorithm in ("fft", "gram-fft"):
            residual = np.abs(predict(current) - targets) + np.abs(targets)
            stages = math.log2(4 * design.size) + 3
            error = bounds.fft_step(
                design,
                residual,
                largest,
                transform_error=gamma(3 * FFT_STAGE * stages, dtype),
                curvature=curvature,
                dtype=dtype,
                **options,
            )
        else:
            predict, correlate = self.model(np.abs(design).astype(np.float64), weights.shape)
            error = self.norm(
                bounds.direct_step(
                    predict,
                    correlate,
                    np.abs(targets),
                    largest,
                    terms=self.roundings(design, weights) + 3,
                    dtype=dtype,
                    **options,
                )
            )
        factor = bounds.contraction(step, curvature, l2)
        return bounds.accumulated(error, contraction=factor, iterations=iterations)


@register_operation
class FitLinear(_Fit):
    """Gradient descent on ``1/2 sum((y - X w)^2) + l2/2 |w|^2 + l1 |w|_1``."""

    name, design = "fit_linear", "features"
    sizes = {
        "samples": None,
        "features": None,
        "outputs": 1,
        "iterations": 10,
        "l2": 0.0,
        "l1": 0.0,
    }
    named_cases = {
        "tiny": {"samples": 30, "features": 4, "iterations": 3},
        "table": {"samples": 1_000, "features": 100},
        "cache": {"samples": 20_000, "features": 100},
        "memory": {"samples": 200_000, "features": 256},
    }

    def bind(self, features, targets, *, iterations, step=None, l2=0.0, l1=0.0, weights=None):
        """Validate a call.

        Parameters
        ----------
        features : array_like, shape (samples, features)
        targets : array_like, shape (samples,) or (samples, outputs)
        iterations : int
            Steps to take, at least 1.
        step : float, optional
            1 / L unless given, L the largest eigenvalue of ``X^T X + l2``.
        l2, l1 : float
            Weights of the penalties; l1 by the proximal step.
        weights : array_like, shape (features,) or (features, outputs), optional
            Where to start; zero unless given.

        Returns
        -------
        Arguments
            (features, targets), {iterations, step, l2, l1, weights}; the result has the shape of
            ``weights``.
        """
        given = {"features": features, "targets": targets}
        if weights is not None:
            given["weights"] = weights
        features, targets, *start = arrays(**given)
        rank("features", features, 2)
        rank("targets", targets, 1, 2)
        if len(targets) != len(features):
            reject("targets", f"{len(targets)} samples", f"{len(features)}, as many as features")
        shape = (features.shape[1], *targets.shape[1:])
        start = start[0] if start else np.zeros(shape, features.dtype)
        if start.shape != shape:
            reject("weights", f"shape {start.shape}", f"shape {shape}")
        if step is None:
            finite(features=features)
        options = self.options(features, start, iterations=iterations, step=step, l2=l2, l1=l1)
        return Arguments((features, targets), options)

    def model(self, design, weights_shape):
        return reference.linear_model(design)

    def curvature(self, design, weights_shape):
        # Products run in the design's own precision: a copy in float64 would double the
        # memory, and a step only has to be below 2/L.
        if 20 <= min(design.shape) <= _SMALL_GRAM:
            tall = design if len(design) >= design.shape[1] else design.T
            gram = (tall.T @ tall).astype(np.float64)
            if np.isfinite(gram).all():
                return max(float(np.linalg.eigvalsh(gram)[-1]), 0.0)
        model = reference.linear_model(design)
        return reference.largest_curvature(*model, weights_shape[:1])

    def roundings(self, design, weights):
        return sum(design.shape)

    def norm(self, weights):
        return np.linalg.norm(weights, axis=0)

    def output_shape(self, features, targets, **_):
        return (features.shape[1], *targets.shape[1:])

    def traits(self, features, targets, *, iterations, **_):
        """Samples, features, outputs and iterations, as far as each decides who is fast."""
        sizes = (*features.shape, math.prod(targets.shape[1:]) ** 2, iterations**0.2)
        return "2-D", tuple(map(math.log2, sizes))

    def cost(self, *, samples, features, outputs, iterations, l2, l1):
        parameters = features * outputs
        passes = samples * features + samples * outputs + parameters
        return Cost(parameters, iterations * 4 * samples * parameters, iterations * passes, passes)

    def shapes(self, *, samples, features, outputs, iterations, l2, l1):
        shapes = {"features": (samples, features), "targets": (samples, outputs)}
        if outputs == 1:
            shapes["targets"] = (samples,)
        return shapes, {"iterations": iterations, "l2": l2, "l1": l1}

    def random_arrays(self, generator, shapes, *, features, outputs, **_):
        """Draw features, true weights, and targets with noise of a tenth of their size."""
        x = generator.standard_normal(shapes["features"], np.float32)
        truth = generator.standard_normal((features, outputs), np.float32)
        y = x @ truth
        y += 0.1 * y.std() * generator.standard_normal(y.shape, np.float32)
        return x, y.reshape(shapes["targets"])


@register_operation
class FitFilter(_Fit):
    """Gradient descent for a filter: ``h_w(x)`` is the first ``len(x)`` outputs of ``x * w``."""

    name, design = "fit_filter", "signal"
    sizes = {"signal": None, "taps": None, "iterations": 5, "l2": 0.0, "l1": 0.0}
    named_cases = {
        "tiny": {"signal": (60,), "taps": (4,), "iterations": 3},
        "photograph, blur": {"signal": (427, 640), "taps": (9, 9)},
    }

    def bind(self, signal, targets, *, taps, iterations, step=None, l2=0.0, l1=0.0, weights=None):
        """Validate a call.

        Parameters
        ----------
        signal, targets : array_like, 1-D or 2-D, of one shape
        taps : int or tuple of int
            Sides of the filter; an int serves every axis.
        iterations, step, l2, l1
            As in ``fit_linear``, with L of the operator ``w -> first outputs of x * w``.
        weights : array_like, shape ``taps``, optional
            Where to start; zero unless given.

        Returns
        -------
        Arguments
            (signal, targets), {taps as a tuple, iterations, step, l2, l1, weights}; the result
            has shape ``taps``.
        """
        given = {"signal": signal, "targets": targets}
        if weights is not None:
            given["weights"] = weights
        signal, targets, *start = arrays(**given)
        rank("signal", signal, 1, 2)
        if targets.shape != signal.shape:
            reject("targets", f"shape {targets.shape}", f"the signal's shape {signal.shape}")
        sides = taps if isinstance(taps, (tuple, list)) else (taps,) * signal.ndim
        if len(sides) != signal.ndim:
            reject("taps", taps, f"an integer or {signal.ndim} of them")
        sides = tuple(integer("taps", side, at_least=1) for side in sides)
        if any(k > n for k, n in zip(sides, signal.shape)):
            reject("taps", sides, f"at most {signal.shape}, the samples along each axis")
        start = start[0] if start else np.zeros(sides, signal.dtype)
        if start.shape != sides:
            reject("weights", f"shape {start.shape}", f"shape {sides}")
        if step is None:
            finite(signal=signal)
        options = self.options(signal, start, iterations=iterations, step=step, l2=l2, l1=l1)
        return Arguments((signal, targets), {"taps": sides, **options})

    def model(self, design, weights_shape):
        return reference.filter_model(design, weights_shape)

    def curvature(self, design, weights_shape):
        return reference.largest_curvature(
            *reference.fast_filter_model(design.astype(np.float64), weights_shape), weights_shape
        )

    def roundings(self, design, weights):
        return design.size + weights.size

    def norm(self, weights):
        return np.linalg.norm(weights)

    def output_shape(self, signal, targets, *, taps, **_):
        return taps

    def traits(self, signal, targets, *, taps, iterations, **_):
        """Samples, taps and iterations, as far as each decides who is fast."""
        sizes = [signal.size, math.prod(taps), iterations**0.2]
        return f"{signal.ndim}-D", tuple(map(math.log2, sizes))

    def cost(self, *, signal, taps, iterations, l2, l1):
        # The first n outputs of n samples and k taps have n k - k (k - 1) / 2 products an axis.
        products = math.prod(n * k - k * (k - 1) // 2 for n, k in zip(signal, taps))
        parameters = math.prod(taps)
        elements = 2 * math.prod(signal) + parameters
        return Cost(parameters, iterations * 4 * products, iterations * elements, elements)

    def shapes(self, *, signal, taps, iterations, l2, l1):
        options = {"taps": taps, "iterations": iterations, "l2": l2, "l1": l1}
        return {"signal": signal, "targets": signal}, options

    def random_arrays(self, generator, shapes, *, signal, taps, **_):
        """Draw a signal, a true filter, and targets with noise of a tenth of their size."""
        x = generator.standard_normal(signal)
        y = reference.fast_filter_model(x, taps)[0](generator.standard_normal(taps))
        return x, y + 0.1 * y.std() * generator.standard_normal(signal)
