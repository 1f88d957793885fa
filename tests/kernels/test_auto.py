"""The kernel that chooses among the others, and the tables that it chooses by."""

import json

import numba
import numpy as np
import pytest

from convgrad import kernels
from convgrad.kernels import Case, auto, registry
from convgrad.kernels.timetable import SHIPPED, Timetable, place


def content(operation="convolve", kind="1-D", **laws):
    """A table of kernels whose seconds are laws of the numbers of outputs and taps."""
    sizes = [(n, k) for n in range(4, 20, 2) for k in range(0, 11, 2)]
    points = [place(point, 8, 1) for point in sizes]
    seconds = {name: [law(2.0**n, 2.0**k) for n, k in sizes] for name, law in laws.items()}
    group = {"kind": kind, "points": points, "seconds": seconds}
    return {"machine": {"cpu": "imagined"}, "timings": {operation: [group]}}


def numpy_law(n, k):
    return 1e-9 * n * k + 1e-6


def fft_law(n, k):
    return 3e-8 * n + 5e-5


@pytest.fixture
def table():
    return Timetable(content(numpy=numpy_law, overlap_save=fft_law), "by hand")


@pytest.fixture
def choosing(table):
    function, declared = auto.make("convolve", table)
    declared["prepares"] = declared.pop("prepare")
    return registry.Kernel("auto", "convolve", function, "auto", **declared)


def test_between_measured_sizes_times_are_close(table):
    random = np.random.default_rng(0)
    for n, k in zip(random.uniform(4, 18, 50), random.uniform(0, 10, 50)):
        found = table.predict("convolve", "1-D", place((n, k), 8, 1))
        assert found["numpy"] == pytest.approx(numpy_law(2**n, 2**k), rel=0.6)
        assert found["overlap_save"] == pytest.approx(fft_law(2**n, 2**k), rel=0.6)


def test_a_slow_moment_of_the_machine_changes_no_order():
    laws = {"numpy": lambda n, k: 1.0, "overlap_save": lambda n, k: 1.01}
    shaken = content(**laws)
    (group,) = shaken["timings"]["convolve"]
    moments = np.random.default_rng(0).uniform(1, 3, len(group["points"]))
    for seconds in group["seconds"].values():
        seconds[:] = list(seconds * moments)
    found = Timetable(shaken, "").predict("convolve", "1-D", place((9.5, 5.5), 8, 1))
    assert found["overlap_save"] / found["numpy"] == pytest.approx(1.01)


def test_outside_of_what_was_measured_its_edge_is_taken(table):
    edge, beyond = (
        table.predict("convolve", "1-D", place(point, 8, 1)) for point in ((18, 10), (30, 10))
    )
    assert edge == beyond


@pytest.mark.parametrize("axis", ["threads", "itemsize"])
def test_threads_and_dtype_are_told_apart(axis):
    told = content(numpy=numpy_law)
    (group,) = told["timings"]["convolve"]
    other = [
        place(point[:2], *((8, 8) if axis == "threads" else (4, 1))) for point in group["points"]
    ]
    group["seconds"]["numpy"] += [1.0] * len(other)
    group["points"] += other
    table = Timetable(told, "")

    def predicted(itemsize, threads):
        return table.predict("convolve", "1-D", place((9, 5), itemsize, threads))["numpy"]

    assert predicted(8, 1) == pytest.approx(numpy_law(2**9, 2**5), rel=0.6)
    assert predicted(*((8, 8) if axis == "threads" else (4, 1))) == pytest.approx(1.0, rel=0.6)


def test_few_points_are_no_plane():
    told = content(numpy=numpy_law)
    (group,) = told["timings"]["convolve"]
    for count in (1, 2, 3):
        few = {"kind": "1-D", "points": group["points"][:count]}
        few["seconds"] = {"numpy": [1e-6] * count}
        table = Timetable({"timings": {"convolve": [few]}}, "")
        found = table.predict("convolve", "1-D", place((9, 5), 4, 2))
        assert found == pytest.approx({"numpy": 1e-6})


def test_what_takes_no_part_on_several_threads_is_as_fast_on_one():
    told = content(numpy=numpy_law, overlap_save=lambda n, k: 2 * numpy_law(n, k))
    (group,) = told["timings"]["convolve"]
    group["points"] += [place(point[:2], 8, 2) for point in group["points"]]
    group["seconds"]["numpy"] *= 2
    group["seconds"]["overlap_save"] += [None] * (len(group["points"]) // 2)
    table = Timetable(told, "")
    for threads in (1, 2):
        found = table.predict("convolve", "1-D", place((9, 5), 8, threads))
        assert found["overlap_save"] / found["numpy"] == pytest.approx(2, rel=1e-3)


def test_what_takes_no_part_at_some_sizes_is_as_fast_beside_them():
    told = content(numpy=lambda n, k: 1e-6, overlap_save=lambda n, k: 4e-7 if k < 8 else None)
    found = Timetable(told, "").predict("convolve", "1-D", place((9, 2.9), 8, 1))
    assert found["overlap_save"] / found["numpy"] == pytest.approx(0.4, rel=0.2)


def test_by_other_coordinates_nothing_is_predicted(table):
    known = place((10, 5), 4, 1)
    assert table.predict("convolve", "1-D", known)
    assert table.predict("convolve", "1-D", (*known, 0.0)) == {}


def test_of_other_kinds_nothing_is_predicted(table):
    assert table.predict("convolve", "2-D", place((9, 5), 8, 1)) == {}


@pytest.mark.parametrize(("taps", "name"), [(2, "numpy"), (900, "overlap_save")])
def test_it_chooses_by_the_table(choosing, table, taps, name, monkeypatch):
    called = []
    for other in ("numpy", "overlap_save"):
        k = kernels.get("convolve", other)

        def function(*arrays, k=k, **options):
            called.append(k.name)
            return k.function(*arrays, **options)

        spy = registry.Kernel(other, "convolve", function, k.family, algorithm=k.algorithm)
        monkeypatch.setitem(registry._kernels["convolve"], other, spy)
    signal, filter_ = np.random.default_rng(0).standard_normal((2, 5000))
    arguments = signal, filter_[:taps]
    expected = np.convolve(*arguments)
    for _ in range(2):
        np.testing.assert_allclose(choosing(*arguments), expected, atol=1e-9)
    assert called == [name] * 2


def test_a_choice_is_made_once_for_each_shape_dtype_option_and_threads(choosing, monkeypatch):
    made = []
    explained = auto.explained
    monkeypatch.setattr(auto, "explained", lambda *a: made.append(a) or explained(*a))
    x, k = np.ones(50), np.ones(3)
    for _ in range(3):
        choosing(x, k)
    assert len(made) == 1
    choosing(2 * x, k)
    assert len(made) == 1
    choosing(x, k, mode="same")
    choosing(x[:40], k)
    choosing(x.astype(np.float32), k.astype(np.float32))
    assert len(made) == 4
    before = numba.get_num_threads()
    if numba.config.NUMBA_NUM_THREADS > 1:
        numba.set_num_threads(1 if before > 1 else 2)
        choosing(x, k)
        numba.set_num_threads(before)
        assert len(made) == 5


@pytest.mark.parametrize("taps", [2, 900])
def test_it_writes_into_a_given_array_whatever_it_chooses(choosing, taps):
    x, k = np.random.default_rng(0).standard_normal((2, 5000))
    k = k[:taps]
    out = np.empty(4999 + taps)
    assert choosing(x, k, out=out) is out
    np.testing.assert_allclose(out, np.convolve(x, k), atol=1e-9)


def test_exact_keeps_to_direct_sums(choosing):
    x, k = np.random.default_rng(0).standard_normal((2, 5000))
    expected = kernels.get("convolve", "numpy")(x, k[:900])
    assert not np.array_equal(choosing(x, k[:900]), expected)
    np.testing.assert_array_equal(choosing(x, k[:900], exact=True), expected)
    with pytest.raises(ValueError, match="exact: got 3"):
        choosing(x, k, exact=3)
    with pytest.raises(TypeError, match="exact"):
        kernels.get("convolve", "numpy")(x, k, exact=True)


def layer_content(kind, **seconds):
    """A table of layers in which every size takes a kernel the same time."""
    arguments = kernels.operation("conv2d").bind(*layer(), padding=1)
    _, point = kernels.operation("conv2d").traits(*arguments.arrays, **arguments.options)
    group = {"kind": kind, "points": [place(point, 4, 1)]}
    return group | {"seconds": {name: [time] for name, time in seconds.items()}}


def layer(channels=20):
    random = np.random.default_rng(0)
    images = random.standard_normal((1, channels, 6, 6), dtype=np.float32)
    return images, random.standard_normal((2, channels, 3, 3), dtype=np.float32)


@pytest.fixture
def choosing_layers():
    plain = layer_content("3 x 3", numba_blocked=1.0, winograd_4x4=2.0, im2col=3.0)
    kept = layer_content("3 x 3, prepared", numba_blocked=2.0, winograd_4x4=1.0, im2col=3.0)
    table = Timetable({"timings": {"conv2d": [plain, kept]}}, "by hand")
    function, declared = auto.make("conv2d", table)
    declared["prepares"] = declared.pop("prepare")
    return registry.Kernel("auto", "conv2d", function, "auto", **declared)


@pytest.mark.parametrize(
    ("exact", "name"), [(False, "winograd_4x4"), (True, "numba_blocked")], ids=["any", "exact"]
)
def test_where_weights_are_kept_other_times_count(choosing_layers, exact, name):
    images, filters = layer()
    plain = kernels.get("conv2d", "numba_blocked")(images, filters, padding=1)
    np.testing.assert_array_equal(choosing_layers(images, filters, padding=1), plain)
    expected = kernels.get("conv2d", name)(images, filters, padding=1)
    kept = choosing_layers.prepare(filters, padding=1, exact=exact)
    out = np.empty_like(expected)
    assert kept(images, out=out) is out
    for found in (kept(images), out):
        np.testing.assert_array_equal(found, expected)


def test_a_kernel_whose_stated_error_is_large_is_left_out():
    definition, winograd = kernels.operation("conv2d"), kernels.get("conv2d", "winograd_4x4")
    for channels, reason in ((512, None), (2**15, "its error may be 2e-04 of the largest output")):
        arguments = definition.outline("float32", channels=channels, height=6, width=6, filters=1)
        assert auto.why_not_exact(winograd, arguments, False) == reason
        assert "not direct" in auto.why_not_exact(winograd, arguments, True)


@pytest.mark.parametrize("name", ["winograd_2x2", "winograd_4x4"])
@pytest.mark.parametrize("channels", [3, 100, 600])
def test_winograd_is_as_exact_as_it_states(name, channels):
    images, filters = layer(channels)
    kernel, definition = kernels.get("conv2d", name), kernels.operation("conv2d")
    arguments = definition.bind(images, filters)
    reference = definition.reference(*arguments.arrays, **arguments.options)
    error = abs(kernel(images, filters) - reference).max() / abs(reference).max()
    assert error < kernel.error(*arguments.arrays, **arguments.options)


def test_any_algorithm_is_held_to_the_loosest_bound():
    definition = kernels.operation("conv2d")
    for sizes in ({}, {"filter_height": 5}, {"stride": 2}):
        case = Case.of("conv2d", channels=4, height=9, width=9, filters=3, **sizes)
        arrays, options = case.inputs()
        loosest = definition.bound("any", *arrays, **options)
        for algorithm in definition.algorithms(*arrays, **options):
            assert (definition.bound(algorithm, *arrays, **options) <= loosest).all()
        assert ("winograd-4" in definition.algorithms(*arrays, **options)) == (not sizes)


def test_it_serves_what_the_table_does_not_know(choosing):
    image = np.random.default_rng(0).standard_normal((9, 9))
    expected = kernels.get("convolve", "scipy_direct")(image, image[:3, :3])
    np.testing.assert_allclose(choosing(image, image[:3, :3]), expected, atol=1e-12)


def test_errors_are_bounded_as_its_candidates_are(table):
    direct, _ = content(numpy=numpy_law), None
    assert auto.make("convolve", Timetable(direct, ""))[1]["algorithm"] == "direct"
    assert auto.make("convolve", table)[1]["algorithm"] == "fft"


def test_no_candidate_has_a_worse_bound_or_is_auto_itself():
    for name in kernels.operations():
        for k in auto.candidates(name, threads=1):
            assert k.algorithm in ("direct", "int8", "fft") or k.error
            assert k.family != "auto"
            assert k.device == "cpu"
            assert k.family != "peer"


def test_threads_of_other_libraries_are_left_alone():
    gemm, peer = kernels.get("conv2d", "im2col"), kernels.get("conv2d", "torch")
    assert auto.why_never(gemm, threads=1) is None
    assert "threads of its own" in auto.why_never(gemm, threads=2)
    assert "threads of its own" in auto.why_never(peer, threads=1)


def test_sums_of_integers_are_exact_enough_and_have_their_own_bound():
    kind, point = kernels.operation("dense_int8").traits(np.ones((1, 9)), np.ones((5, 9)))
    group = {"kind": kind, "points": [place(point, 4, 1)], "seconds": {"numba_bytes": [1.0]}}
    function, declared = auto.make(
        "dense_int8", Timetable({"timings": {"dense_int8": [group]}}, "")
    )
    assert declared["algorithm"] == "int8"
    options = {"scale_per": "output", "input_scale": None}
    x, w = np.ones((1, 9), np.float32), np.ones((5, 9), np.float32)
    assert np.array_equal(function(x, w, **options), function(x, w, exact=True, **options))


def test_where_nothing_else_serves_blas_does():
    sizes = {"channels": 4, "height": 5, "width": 5, "filters": 4, "groups": 2}
    arguments = Case.of("conv2d_int8", **sizes).inputs()
    for threads in (1, 2):
        assert auto._without_times("conv2d_int8", arguments, threads, False) == "numpy_doubles"


@pytest.mark.parametrize("call", ["plain", "prepared"])
def test_the_share_of_zeros_has_a_say(call):
    definition = kernels.operation("dense_pruned")

    def weights(left):
        return np.repeat(np.arange(64) < left, 32).reshape(64, 32).T.astype(np.float32)

    x, few, many = np.ones((1, 64), np.float32), weights(2), weights(32)
    points = [place(definition.traits(x, w)[1], 4, 1) for w in (few, many)]
    seconds = {"numba_csr": [1.0, 9.0], "numba_blocks": [9.0, 1.0]}
    group = {"kind": "2-D", "points": points, "seconds": seconds}
    table = Timetable({"timings": {"dense_pruned": [group]}}, "")
    for w, name in ((few, "numba_csr"), (many, "numba_blocks"), (few, "numba_csr")):
        assert auto.explained("dense_pruned", table, definition.bind(x, w)).choice == name
    made = []
    function, declared = auto.make("dense_pruned", table)
    for w in (few, many):
        result = function(x, w) if call == "plain" else declared["prepare"](w)(x)
        made.append(np.allclose(result, x @ w.T))
    assert made == [True, True]
    assert definition.pattern(few) != definition.pattern(many)


def test_explain(monkeypatch, table):
    monkeypatch.setattr(auto, "tables", lambda: [table])
    auto.register()
    try:
        told = kernels.explain("convolve", np.ones(5000), np.ones(900))
    finally:
        monkeypatch.undo()
        auto.register()
    assert told.choice == "overlap_save"
    assert list(told.seconds) == ["overlap_save", "numpy"]
    assert "the table has no time of it" in told.left_out["numba_parallel"]
    text = str(told)
    for part in ("convolve by overlap_save (fft)", "us predicted", "by hand", "cpu imagined"):
        assert part in text
    with pytest.raises(ValueError, match="mode: got 'x'"):
        kernels.explain("convolve", np.ones(5), np.ones(3), mode="x")
    with pytest.raises(KeyError, match="no operation"):
        kernels.explain("convolute", np.ones(5), np.ones(3))


def test_one_cannot_choose_what_is_not_installed(table, monkeypatch):
    k = kernels.get("convolve", "overlap_save")
    lacking = registry.Kernel(k.name, "convolve", k.function, k.family, requires=("no_such",))
    monkeypatch.setitem(registry._kernels["convolve"], k.name, lacking)
    arguments = kernels.operation("convolve").bind(np.ones(5000), np.ones(900))
    told = auto.explained("convolve", table, arguments)
    assert told.choice == "numpy"
    assert told.left_out["overlap_save"] == "no_such is not installed"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"timings": 3}'])
def test_a_table_that_cannot_be_read_is_none(text, tmp_path):
    path = tmp_path / "table.json"
    assert Timetable.read(path) is None
    path.write_text(text)
    assert Timetable.read(path) is None


def test_the_nearest_class_of_machines(tmp_path, monkeypatch):
    for name in ("512-bit-2-cores", "256-bit-4-cores", "256-bit-64-cores"):
        (tmp_path / f"{name}.json").write_text("{}")
    monkeypatch.setattr(auto, "SHIPPED", tmp_path)
    monkeypatch.setattr(auto, "cores", lambda: 16)
    for width, expected in ((64, "512-bit-2-cores"), (32, "256-bit-4-cores")):
        monkeypatch.setattr(auto.vector, "register_bytes", lambda width=width: width)
        assert auto.shipped_path().stem == expected
    monkeypatch.setattr(auto, "SHIPPED", tmp_path / "none")
    assert auto.shipped_path() is None


def test_shipped_tables_are_whole():
    for path in SHIPPED.glob("*.json"):
        table = Timetable.read(path)
        assert table.operations <= set(kernels.operations())
        for groups in json.loads(path.read_text())["timings"].values():
            for group in groups:
                count = len(group["points"])
                assert all(len(seconds) == count for seconds in group["seconds"].values())
