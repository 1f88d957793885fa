"""What operations accept, the shapes and costs that they state, and their references."""

import itertools
import math
import re

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

from convgrad.kernels import Case, operation, operations
from convgrad.kernels.examples import BAD_CALLS, EDGE_CASES, LAYER
from convgrad.kernels.gradient_descent.reference import fast_filter_model, filter_model
from convgrad.kernels.vector import lanes_of

EXAMPLES = [example for name in operations() for example in EDGE_CASES[name]]


def bind(example, dtype="float64"):
    definition = operation(example.operation)
    return definition, *definition.bind(**example.arrays(dtype), **example.options)


class TestMessages:
    @pytest.mark.parametrize(
        ("name", "argument", "call"),
        [
            pytest.param(name, argument, call, id=f"{name}-{argument}-{number}")
            for name, calls in BAD_CALLS.items()
            for number, (argument, call) in enumerate(calls)
        ],
    )
    def test_one_line_names_argument_value_and_what_was_expected(self, name, argument, call):
        with pytest.raises((ValueError, TypeError)) as caught:
            operation(name).bind(**call)
        assert re.fullmatch(rf"{argument}: got .+, expected .+", str(caught.value))

    @pytest.mark.parametrize(
        ("name", "call", "message"),
        [
            (
                "convolve",
                {"signal": np.ones((2, 2, 2, 2)), "taps": [1.0]},
                "signal: got shape (2, 2, 2, 2), expected a 1-D or 2-D or 3-D array",
            ),
            (
                "convolve",
                {"signal": np.ones((4, 2)), "taps": np.ones((2, 4)), "mode": "valid"},
                "taps: got shape (2, 4), expected no longer (or no shorter) than the signal (4, 2)"
                " along every axis in mode 'valid'",
            ),
            (
                "conv2d",
                {"images": np.ones((1, 3, 5, 5)), "filters": np.ones((2, 4, 3, 3))},
                "images: got 3 channels, expected 4, the filters' 4 x 1 groups",
            ),
            (
                "conv2d",
                {"images": np.ones((1, 1, 2, 5)), "filters": np.ones((1, 1, 2, 2)), "dilation": 3},
                "filter size: got (4, 4) with dilation, expected at most (2, 5), the padded image",
            ),
            (
                "conv2d",
                {"images": np.ones((1, 4, 5, 5)), "filters": np.ones((3, 2, 3, 3)), "groups": 2},
                "groups: got 2, expected a divisor of the number of filters, 3",
            ),
            (
                "conv2d_filter_gradient",
                {
                    "images": np.ones((2, 1, 5, 5)),
                    "output_gradient": np.ones((2, 3, 4, 4)),
                    "filter_size": 3,
                },
                "output_gradient: got shape (2, 3, 4, 4), expected shape (2, 3, 3, 3)",
            ),
            (
                "fit_linear",
                {"features": np.ones((4, 2)), "targets": np.ones(3), "iterations": 1},
                "targets: got 3 samples, expected 4, as many as features",
            ),
            (
                "fit_filter",
                {"signal": np.ones(4), "targets": np.ones(4), "taps": 5, "iterations": 1},
                "taps: got (5,), expected at most (4,), the samples along each axis",
            ),
        ],
    )
    def test_word_by_word(self, name, call, message):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            operation(name).bind(**call)


class TestBinding:
    def test_valid_puts_the_longer_operand_first(self):
        arrays, options = operation("convolve").bind([1, 2], [3, 4, 5], mode="valid")
        assert [array.tolist() for array in arrays] == [[3, 4, 5], [1, 2]]
        arrays, _ = operation("convolve").bind([1, 2], [3, 4, 5], mode="same")
        assert arrays[0].tolist() == [1, 2]
        assert options == {"mode": "valid"}

    @pytest.mark.parametrize(
        ("padding", "expected"),
        [
            ("valid", ((0, 0), (0, 0))),
            (2, ((2, 2), (2, 2))),
            (np.int64(1), ((1, 1), (1, 1))),
            (((1, 0), (2, 3)), ((1, 0), (2, 3))),
            ([[1, 0], [2, 3]], ((1, 0), (2, 3))),
            (np.array([[1, 0], [2, 3]]), ((1, 0), (2, 3))),
            ("same", ((1, 2), (0, 1))),
        ],
    )
    def test_padding(self, padding, expected):
        images, filters = np.ones((1, 1, 6, 7)), np.ones((1, 1, 4, 2))
        _, options = operation("conv2d").bind(images, filters, padding=padding)
        assert options == {"stride": 1, "padding": expected, "dilation": 1, "groups": 1}
        assert all(type(n) is int for pair in options["padding"] for n in pair)

    def test_same_gives_a_stride_th_of_the_outputs_and_puts_the_odd_row_last(self):
        for n, k, stride, dilation in itertools.product(
            range(1, 9), range(1, 5), (1, 2, 3), (1, 2)
        ):
            images, filters = np.ones((1, 1, n, 9)), np.ones((1, 1, k, 1))
            definition = operation("conv2d")
            arrays, options = definition.bind(
                images, filters, padding="same", stride=stride, dilation=dilation
            )
            before, after = options["padding"][0]
            assert definition.output_shape(*arrays, **options)[2] == math.ceil(n / stride)
            assert after - before in (0, 1)

    def test_numbers_for_pairs(self):
        images, gradient, filters = (np.ones((1, 1, n, n)) for n in (5, 3, 3))
        _, options = operation("conv2d_filter_gradient").bind(images, gradient, filter_size=3)
        assert options["filter_size"] == (3, 3)
        _, options = operation("conv2d_input_gradient").bind(gradient, filters, image_size=[5, 5])
        assert options["image_size"] == (5, 5)
        _, options = operation("fit_filter").bind(images[0, 0], images[0, 0], taps=2, iterations=1)
        assert options["taps"] == (2, 2)

    def test_step_is_found_where_none_is_given(self):
        features = np.random.default_rng(0).standard_normal((40, 30))
        _, options = operation("fit_linear").bind(features, features[:, 0], iterations=1, l2=3)
        largest = np.linalg.eigvalsh(features.T @ features)[-1] + 3
        assert options["step"] == pytest.approx(1 / largest, rel=2e-3)
        assert options["weights"].tolist() == [0] * 30
        signal = np.random.default_rng(1).standard_normal(60)
        _, options = operation("fit_filter").bind(signal, signal, taps=5, iterations=1)
        columns = np.stack([np.convolve(signal, unit)[:60] for unit in np.eye(5)], axis=1)
        assert options["step"] == pytest.approx(1 / np.linalg.norm(columns, 2) ** 2, rel=2e-3)

    def test_a_fit_of_nothing_has_a_step(self):
        _, options = operation("fit_linear").bind(np.zeros((3, 2)), np.ones(3), iterations=1)
        assert options["step"] > 0

    @pytest.mark.parametrize("name", operations())
    def test_one_dtype(self, name):
        example = EDGE_CASES[name][0]
        for dtypes, expected in [
            (("float32",), "float32"),
            (("int16",), "float32"),
            (("int64",), "float64"),
            (("float32", "float64"), "float64"),
        ]:
            arguments = operation(name).bind(**example.arrays(*dtypes), **example.options)
            assert {array.dtype for array in arguments.arrays} == {np.dtype(expected)}
            weights = arguments.options.get("weights")
            assert weights is None or weights.dtype == expected


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_definition_has_the_shape_and_precision_that_is_stated(example):
    for dtype, wide in (("float32", np.float64), ("float64", np.longdouble)):
        definition, arrays, options = bind(example, dtype)
        reference = definition.reference(*arrays, **options)
        assert reference.shape == definition.output_shape(*arrays, **options)
        assert reference.dtype == wide
        for algorithm in ("direct", "fft"):
            bound = definition.bound(algorithm, *arrays, **options)
            assert np.broadcast_shapes(np.shape(bound), reference.shape) == reference.shape
            assert (np.asarray(bound) >= 0).all()
        assert definition.odd in example.shapes


class TestConvolve:
    @pytest.mark.parametrize("example", EDGE_CASES["convolve"], ids=str)
    def test_definition_is_scipys(self, example):
        definition, arrays, options = bind(example)
        given = example.arrays("float64")
        ours = definition.definition(*arrays, **options)
        theirs = scipy.signal.convolve(given["signal"], given["taps"], options["mode"], "direct")
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)

    def test_one_dimension_is_numpys(self):
        signal, taps = np.arange(5.0), np.array([1.0, -2.0])
        for mode in ("full", "same", "valid"):
            ours = operation("convolve").definition(signal, taps, mode=mode)
            assert np.array_equal(ours, np.convolve(signal, taps, mode))

    def test_long_signals_take_an_fft_in_longdouble(self):
        signal, taps = np.random.default_rng(0).standard_normal((2, 20_000))
        ours = operation("convolve").reference(signal, taps, mode="same")
        theirs = scipy.signal.fftconvolve(signal, taps, "same")
        assert ours.dtype == np.longdouble
        np.testing.assert_allclose(ours.astype(float), theirs, atol=1e-9)

    def test_not_finite_reaches_the_outputs_that_see_it(self):
        signal = np.ones(9)
        signal[4] = np.nan
        seen = np.isnan(operation("convolve").reference(signal, np.ones(3), mode="full"))
        assert np.flatnonzero(seen).tolist() == [4, 5, 6]

    @pytest.mark.parametrize("mode", ["full", "same", "valid"])
    @pytest.mark.parametrize(
        ("signal", "taps"),
        [((7,), (3,)), ((3,), (7,)), ((1,), (1,)), ((4, 5), (2, 3)), ((2, 3, 4), (2, 1, 3))],
    )
    def test_flops_are_counted(self, signal, taps, mode):
        if mode == "valid" and signal < taps:
            return
        ones = operation("convolve").definition(np.ones(signal), np.ones(taps), mode=mode)
        cost = operation("convolve").cost(signal=signal, taps=taps, mode=mode)
        assert cost.flops == 2 * ones.sum()  # Each output of ones counts its products.
        assert cost.parameters == math.prod(taps)
        assert cost.elements == math.prod(signal) + math.prod(taps) + ones.size
        assert cost.footprint == cost.elements


LAYERS = [
    {"channels": 2, "height": 5, "width": 6, "filters": 3},
    {"channels": 2, "height": 5, "width": 6, "filters": 3, "padding": "valid", "batch": 2},
    {"channels": 1, "height": 7, "width": 4, "filters": 2, "stride": 2, "padding": 1},
    {"channels": 1, "height": 7, "width": 8, "filters": 2, "dilation": 2},
    {"channels": 4, "height": 4, "width": 4, "filters": 6, "groups": 2},
    {"channels": 1, "height": 2, "width": 2, "filters": 1, "padding": ((0, 3), (2, 2))},
    {"channels": 2, "height": 3, "width": 3, "filters": 1, "filter_height": 1, "filter_width": 1},
]


class TestLayer:
    @staticmethod
    def loops(images, filters, stride, padding, dilation, groups):
        """Every product of every output, one at a time: the result and their number."""
        (top, _), (left, _) = padding
        per_group, count = filters.shape[1], filters.shape[0] // groups
        shape = operation("conv2d").output_shape(
            images, filters, stride=stride, padding=padding, dilation=dilation, groups=groups
        )
        result, products = np.zeros(shape), 0
        for b, o, y, x in np.ndindex(shape):
            for c, i, j in np.ndindex(filters.shape[1:]):
                row, column = y * stride + i * dilation - top, x * stride + j * dilation - left
                if 0 <= row < images.shape[2] and 0 <= column < images.shape[3]:
                    channel = o // count * per_group + c
                    result[b, o, y, x] += images[b, channel, row, column] * filters[o, c, i, j]
                    products += 1
        return result, products

    @pytest.mark.parametrize("sizes", LAYERS)
    def test_conv2d_and_flops_by_loops(self, sizes):
        case = Case.of("conv2d", "float64", **sizes)
        (images, filters), options = case.inputs()
        result, products = self.loops(images, filters, **options)
        definition = operation("conv2d")
        np.testing.assert_allclose(definition.definition(images, filters, **options), result)
        assert case.flops == 2 * products
        assert case.parameters == filters.size
        assert case.cost.elements == images.size + filters.size + result.size
        for name in LAYER:
            assert Case.of(name, "float64", **sizes).cost == case.cost

    @pytest.mark.parametrize("example", EDGE_CASES["conv2d"], ids=str)
    def test_gradients_are_the_adjoints(self, example):
        """``<conv2d(x, w), g> = <x, input gradient> = <w, filter gradient>``, exactly."""
        definition, (images, filters), options = bind(example)
        outputs = definition.definition(images, filters, **options)
        gradient = np.random.default_rng(1).standard_normal(outputs.shape)
        by_filters = operation("conv2d_filter_gradient").definition(
            images, gradient, filter_size=filters.shape[2:], **options
        )
        by_images = operation("conv2d_input_gradient").definition(
            gradient, filters, image_size=images.shape[2:], **options
        )
        inner = np.vdot(outputs, gradient)
        assert np.vdot(by_filters, filters) == pytest.approx(inner, rel=1e-10, abs=1e-10)
        assert np.vdot(by_images, images) == pytest.approx(inner, rel=1e-10, abs=1e-10)

    def test_one_channel_is_scipys_correlation(self):
        image, taps = (
            np.random.default_rng(2).standard_normal(shape) for shape in ((9, 8), (3, 5))
        )
        definition = operation("conv2d")
        arrays, options = definition.bind(image[None, None], taps[None, None], padding="same")
        ours = definition.definition(*arrays, **options)[0, 0]
        np.testing.assert_allclose(ours, scipy.ndimage.correlate(image, taps, mode="constant"))

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize(("part", "half", "whole"), [(1, 1, 1), (0.5, 1, 2), (1.5, 1, 4 / 3)])
    def test_traits_tell_how_far_filters_fill_vectors(self, part, half, whole, dtype):
        filters = round(part * lanes_of(dtype))
        case = Case.of("conv2d", dtype, channels=3, height=9, width=9, filters=filters)
        arguments = case.outline()
        _, point = case.definition.traits(*arguments.arrays, **arguments.options)
        assert 2 ** np.array(point[-2:]) == pytest.approx([half, whole])


class TestFits:
    @staticmethod
    def descend(design, targets, weights, *, iterations, step, l2, l1):
        """One sample and one weight at a time."""
        weights = weights.copy()
        for _ in range(iterations):
            gradient = l2 * weights
            for row, target in zip(design, targets):
                gradient += (sum(row * weights) - target) * row
            weights = weights - step * gradient
            for j, weight in enumerate(weights):
                weights[j] = math.copysign(max(abs(weight) - step * l1, 0), weight)
        return weights

    @pytest.mark.parametrize("example", EDGE_CASES["fit_linear"], ids=str)
    def test_fit_linear_by_loops(self, example):
        definition, (features, targets), options = bind(example)
        ours = definition.definition(features, targets, **options)
        start = options.pop("weights").reshape(len(ours), -1)
        columns = targets.reshape(len(targets), -1)
        theirs = [
            self.descend(features, target, weights, **options)
            for target, weights in zip(columns.T, start.T)
        ]
        np.testing.assert_allclose(
            ours, np.stack(theirs, 1).reshape(ours.shape), rtol=1e-9, atol=1e-12
        )

    @pytest.mark.parametrize("example", EDGE_CASES["fit_filter"], ids=str)
    def test_fit_filter_is_the_linear_fit_of_shifted_signals(self, example):
        definition, (signal, targets), options = bind(example)
        ours = definition.definition(signal, targets, **options)
        taps, start = options.pop("taps"), options.pop("weights")
        crop = tuple(slice(n) for n in signal.shape)
        columns = []
        for tap in np.ndindex(*taps):
            unit = np.zeros(taps)
            unit[tap] = 1
            columns.append(scipy.signal.convolve(signal, unit, method="direct")[crop].ravel())
        theirs = self.descend(np.stack(columns, 1), targets.ravel(), start.ravel(), **options)
        np.testing.assert_allclose(ours, theirs.reshape(taps), rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize(("signal", "taps"), [((60,), (9,)), ((12, 15), (3, 4)), ((5,), (5,))])
    def test_fast_model_is_the_model(self, signal, taps):
        generator = np.random.default_rng(0)
        x, residuals = generator.standard_normal((2, *signal))
        weights = generator.standard_normal(taps)
        for slow, fast, argument in zip(
            filter_model(x, taps), fast_filter_model(x, taps), (weights, residuals)
        ):
            np.testing.assert_allclose(slow(argument), fast(argument), atol=1e-10)

    def test_models_are_adjoint(self):
        generator = np.random.default_rng(1)
        x, residuals = generator.standard_normal((2, 9, 8))
        weights = generator.standard_normal((3, 2))
        predict, correlate = filter_model(x, (3, 2))
        assert np.vdot(predict(weights), residuals) == pytest.approx(
            np.vdot(weights, correlate(residuals))
        )

    def test_fit_linear_costs(self):
        sizes = {"samples": 7, "features": 3, "outputs": 2, "iterations": 5, "l2": 0.0, "l1": 0.0}
        cost = operation("fit_linear").cost(**sizes)
        products = 7 * 3 * 2  # forward, and as many back
        assert cost.parameters == 6
        assert cost.flops == 5 * 2 * (2 * products)
        assert cost.footprint == 7 * 3 + 7 * 2 + 6
        assert cost.elements == 5 * cost.footprint

    @pytest.mark.parametrize(("signal", "taps"), [((7,), (3,)), ((5, 4), (2, 4)), ((3,), (3,))])
    def test_fit_filter_costs(self, signal, taps):
        crop = tuple(slice(n) for n in signal)
        ones = scipy.signal.convolve(np.ones(signal), np.ones(taps), method="direct")[crop]
        cost = operation("fit_filter").cost(signal=signal, taps=taps, iterations=5, l2=0.0, l1=0.0)
        assert cost.flops == 5 * 2 * 2 * round(ones.sum())
        assert cost.parameters == math.prod(taps)
        assert cost.footprint == 2 * math.prod(signal) + math.prod(taps)


@pytest.mark.parametrize("name", operations())
def test_sign_law(name):
    definition = operation(name)
    for example in EDGE_CASES[name]:
        arrays = example.arrays("float64")
        arguments = definition.bind(**arrays, **example.options)
        start = {"weights"} & set(arguments.options)
        negated = {
            key: -array if key in {definition.odd} | start else array
            for key, array in arrays.items()
        }
        opposite = definition.bind(**negated, **example.options)
        assert np.array_equal(
            definition.definition(*arguments.arrays, **arguments.options),
            -definition.definition(*opposite.arrays, **opposite.options),
        )
