"""Error bounds hold for honest arithmetic, and catch a single wrong term."""

import math

import numpy as np
import pytest
import scipy.fft

from convgrad.kernels import operation
from convgrad.kernels.convolution import bounds as convolution_bounds
from convgrad.kernels.gradient_descent import bounds as descent_bounds
from convgrad.kernels.gradient_descent.reference import descend, linear_model
from convgrad.kernels.operation import error_ratio, gamma, higher_precision

UNIT = {"float32": 2.0**-24, "float64": 2.0**-53}


class TestErrorRatio:
    def test_is_the_largest_error_over_its_bound(self):
        output, reference = np.array([1.0, 2.0, 3.5]), np.array([1.0, 2.5, 3.0])
        assert error_ratio(output, reference, np.array([1, 0.25, 1])) == 2
        assert error_ratio(output, reference, 0.5) == 1

    @pytest.mark.parametrize("place", [0, 8_191, 8_192, 19_999])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_one_wrong_element_among_many_is_found(self, place, order):
        reference, output = np.zeros((100, 200)), np.zeros((100, 200), order=order)
        output.flat[place] = 3
        assert error_ratio(output, reference, 1.0) == 3
        assert error_ratio(output, reference, np.full((100, 1), 2.0)) == 1.5
        assert error_ratio(output[:0], reference[:0], 1.0) == 0

    def test_equal_is_right_even_against_zero(self):
        assert error_ratio(np.zeros(3), np.zeros(3), 0.0) == 0
        assert error_ratio(np.full(2, 1e-300), np.zeros(2), 0.0) == math.inf

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_not_finite(self, value):
        one, bad = np.array([1.0, 1.0]), np.array([1.0, value])
        assert error_ratio(bad, one, 1e9) == math.inf
        assert error_ratio(one, bad, np.array([1e9, np.nan])) == math.inf
        assert error_ratio(bad, bad.copy(), np.array([0.0, np.nan])) == 0

    def test_wrong_infinity(self):
        assert error_ratio(np.array([np.inf]), np.array([-np.inf]), np.inf) == math.inf
        assert error_ratio(np.array([np.inf]), np.array([np.nan]), np.nan) == math.inf

    def test_an_infinite_bound_admits_what_is_finite(self):
        assert error_ratio(np.array([5.0]), np.array([1.0]), np.inf) == 0

    def test_broadcasts_and_keeps_precision(self):
        reference = np.ones((2, 3), np.longdouble)
        output = np.ones((2, 3))
        output[1, 2] += 1e-10
        assert error_ratio(output, reference, np.full((2, 1), 1e-10)) == pytest.approx(1, rel=1e-5)


class TestGamma:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_is_n_u_to_first_order(self, dtype):
        for terms in (1, 10, 1000):
            assert gamma(terms, np.dtype(dtype)) == pytest.approx(terms * UNIT[dtype], rel=1e-2)

    def test_grows_and_becomes_infinite(self):
        values = [gamma(n, np.dtype(np.float32)) for n in (1, 2, 1000, 2**23, 2**24)]
        assert values == sorted(values)
        assert values[-1] == math.inf

    def test_higher_precision(self):
        assert higher_precision(np.dtype(np.float32)) == np.float64
        assert higher_precision(np.dtype(np.float64)) == np.longdouble


class TestDirect:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("terms", [1, 2, 7, 100, 3000])
    def test_holds_in_any_order(self, dtype, terms):
        generator = np.random.default_rng(terms)
        x, k = generator.standard_normal((2, 50, terms)).astype(dtype)
        wide = higher_precision(np.dtype(dtype))
        exact = (x.astype(wide) * k.astype(wide)).sum(axis=1)
        magnitude = np.abs(x * k).astype(np.float64).sum(axis=1)
        bound = convolution_bounds.direct(terms, magnitude, np.dtype(dtype))
        products = x * k
        for ordered in (products, products[:, ::-1], np.sort(products, axis=1)):
            total = np.add.accumulate(ordered, axis=1)[:, -1]
            assert error_ratio(total, exact, bound) <= 1
        assert error_ratio(products.sum(axis=1, dtype=dtype), exact, bound) <= 1

    def test_allows_for_underflow(self):
        tiny = np.float32(1e-30)
        exact = float(tiny) ** 2
        bound = convolution_bounds.direct(1, np.array([exact]), np.dtype(np.float32))
        assert error_ratio(np.array([tiny * tiny]), np.array([exact]), bound) <= 1

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("name", ["convolve", "conv2d"])
    def test_one_missing_product_is_far_outside(self, dtype, name):
        definition = operation(name)
        generator = np.random.default_rng(0)
        shapes = ((40,), (16,)) if name == "convolve" else ((2, 8, 7, 7), (4, 8, 3, 3))
        x, k = (generator.standard_normal(shape).astype(dtype) for shape in shapes)
        arguments = definition.bind(x, k)
        reference = definition.reference(*arguments.arrays, **arguments.options)
        bound = definition.bound("direct", *arguments.arrays, **arguments.options)
        k = k.copy()
        k.flat[3] = 0
        wrong = definition.definition(x, k, **arguments.options)
        assert error_ratio(wrong, reference, bound) > 1e3


class TestFft:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("shapes", [((1,), (1,)), ((3000,), (257,)), ((33, 65), (9, 4))])
    def test_holds_for_a_plain_fft_and_catches_a_missing_tap(self, dtype, shapes):
        generator = np.random.default_rng(1)
        signal, taps = (generator.standard_normal(shape).astype(dtype) for shape in shapes)
        definition = operation("convolve")
        reference = definition.reference(signal, taps, mode="full")
        bound = definition.bound("fft", signal, taps, mode="full")
        sides, axes = reference.shape, tuple(range(signal.ndim))
        product = scipy.fft.rfftn(signal, sides, axes) * scipy.fft.rfftn(taps, sides, axes)
        result = scipy.fft.irfftn(product, sides, axes)
        assert result.dtype == dtype
        assert error_ratio(result, reference, bound) <= 0.5
        taps = taps.copy()
        taps.flat[taps.size // 2] = 0
        wrong = definition.definition(signal, taps, mode="full")
        assert error_ratio(wrong, reference, bound) > 100

    def test_admits_what_elementwise_bounds_forbid(self):
        """An impulse far away: direct sums give an exact zero there, an FFT does not."""
        signal, taps = np.zeros(500, np.float32), np.ones(3, np.float32)
        signal[0] = 1e6
        definition = operation("convolve")
        reference = definition.reference(signal, taps, mode="full")
        off = reference.copy()
        off[400] = 0.5
        elementwise = definition.bound("direct", signal, taps, mode="full")
        assert error_ratio(off, reference, elementwise) > 1
        assert error_ratio(off, reference, definition.bound("fft", signal, taps, mode="full")) < 1

    def test_conv2d_is_normwise_for_each_image_and_filter(self):
        images, filters = np.ones((2, 3, 6, 6)), np.ones((4, 3, 3, 3))
        images[1] *= 1e3
        filters[2] *= 1e3
        definition = operation("conv2d")
        arguments = definition.bind(images, filters)
        bound = definition.bound("fft", *arguments.arrays, **arguments.options)
        assert bound.shape == (2, 4, 1, 1)
        assert np.allclose(bound / bound[0, 0], np.outer([1, 1e3], [1, 1, 1e3, 1])[..., None, None])


class TestDescent:
    @pytest.mark.parametrize("contraction", [0.0, 0.5, 0.999, 1, 1.5])
    def test_accumulated_is_the_recurrence(self, contraction):
        error = 0.0
        for _ in range(20):
            error = contraction * error + 3.0
        total = descent_bounds.accumulated(3.0, contraction=contraction, iterations=20)
        assert total == pytest.approx(error)

    @pytest.mark.parametrize(("step", "l2"), [(0.01, 0.0), (0.04, 0.0), (0.01, 2.0), (0.2, 0.5)])
    def test_contraction_bounds_how_far_a_step_moves_points_apart(self, step, l2):
        generator = np.random.default_rng(3)
        features, targets = generator.standard_normal((12, 5)), generator.standard_normal(12)
        curvature = np.linalg.norm(features, 2) ** 2
        factor = descent_bounds.contraction(step, curvature, l2)
        model = linear_model(features)
        for _ in range(50):
            v, w = generator.standard_normal((2, 5))
            moved = [
                descend(*model, targets, start, iterations=1, step=step, l2=l2, l1=0.3)
                for start in (v, w)
            ]
            assert np.linalg.norm(moved[0] - moved[1]) <= factor * np.linalg.norm(v - w) + 1e-12

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("l1", [0.0, 0.3])
    @pytest.mark.parametrize("name", ["fit_linear", "fit_filter"])
    def test_working_precision_is_within_and_one_step_less_is_not(self, name, l1, dtype):
        definition = operation(name)
        generator = np.random.default_rng(4)
        if name == "fit_linear":
            given = (generator.standard_normal((200, 7)), generator.standard_normal((200, 2)))
            options = {}
        else:
            given, options = generator.standard_normal((2, 300)), {"taps": 6}
        arguments = definition.bind(
            *(array.astype(dtype) for array in given),
            iterations=4,
            step=1e-3,
            l1=l1,
            l2=0.1,
            **options,
        )
        arrays, options = arguments
        reference = definition.reference(*arrays, **options)
        options["weights"] = options["weights"].astype(dtype)
        for algorithm in ("direct", "gram", "fft", "gram-fft"):
            bound = definition.bound(algorithm, *arrays, **options)
            result = definition.definition(*arrays, **options).astype(dtype)
            assert error_ratio(result, reference, bound) <= 1
            short = definition.definition(*arrays, **options | {"iterations": 3})
            if dtype == "float64" or algorithm == "direct":
                assert error_ratio(short, reference, bound) > 1

    def test_fits_bound_each_output_by_itself(self):
        generator = np.random.default_rng(5)
        targets = generator.standard_normal((30, 2)) * [1, 1e4]
        definition = operation("fit_linear")
        arrays, options = definition.bind(generator.standard_normal((30, 4)), targets, iterations=3)
        bound = definition.bound("direct", *arrays, **options)
        assert bound.shape == (2,)
        assert bound[1] > 1e3 * bound[0]
