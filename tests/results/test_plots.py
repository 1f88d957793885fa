import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from convgrad.results.plots import TITLES, main_view, select, series, style, write_plots
from convgrad.results.plots.labels import spread
from convgrad.results.plots.over_size import crossovers
from convgrad.results.summary import cells as summarise


def table_of(run):
    return summarise(run.samples(), run.facts(), run.info)


def view_of(sizes, parameters, **columns):
    """Cells of one kernel at cases of these sizes."""
    table = pd.DataFrame(sizes)
    table.insert(0, "call", "plain")
    table.insert(0, "cache", "warm")
    table.insert(0, "threads", 1)
    table.insert(0, "case", [f"case {number}" for number in range(len(table))])
    told = {"dtype": "float32", "data": "random", "status": "ok", "median_s": 1e-3}
    told |= {"parameters": parameters, "flops": range(1, len(table) + 1)}
    return table.assign(**told | columns)


def test_a_grid_is_a_panel_for_each_fixed_size():
    grid = [{"signal": n, "taps": t} for n in (1000, 50_000) for t in (3, 9, 27)]
    panels = series.by_parameters(view_of(grid, [size["taps"] for size in grid]))
    assert [(panel.varies, panel.fixed) for panel in panels] == [
        ("taps 3 … 27", "signal 1000"),
        ("taps 3 … 27", "signal 50k"),
    ]
    assert panels[0].cells.x.tolist() == [3, 9, 27]


def test_over_size_the_parameters_stay():
    grid = [{"signal": n, "taps": t} for n in (1000, 50_000) for t in (3, 9, 27)]
    panels = series.by_size(view_of(grid, [size["taps"] for size in grid]))
    assert [panel.fixed for panel in panels] == ["taps 3", "taps 9", "taps 27"]
    assert panels[0].cells.x.tolist() == [1000, 50_000]
    assert panels[0].x_label == "signal"


def test_a_case_may_belong_to_two_series():
    sizes = [{"channels": c, "side": s} for c, s in ((8, 3), (8, 5), (8, 7), (16, 3), (32, 3))]
    panels = series.by_parameters(
        view_of(sizes, [size["channels"] * size["side"] for size in sizes])
    )
    assert {panel.varies for panel in panels} == {"side 3 … 7", "channels 8 … 32"}
    assert [len(panel.cells) for panel in panels] == [3, 3]


def test_series_of_coupled_sizes_may_share_a_case():
    filters = [{"channels": 8, "filters": 8, "height": n, "width": n} for n in (1, 3, 5)]
    channels = [{"channels": c, "filters": c, "height": 3, "width": 3} for c in (16, 32)]
    panels = series.by_parameters(view_of(filters + channels, [64, 576, 1600, 2304, 9216]))
    assert {(panel.varies, len(panel.cells)) for panel in panels} == {
        ("height = width 1 … 5", 3),
        ("channels = filters 8 … 32", 3),
    }


def test_two_cases_that_differ_in_everything_are_no_series():
    sizes = [{"channels": 3, "side": 224, "stride": 2}, {"channels": 64, "side": 56, "stride": 1}]
    (panel,) = series.by_parameters(view_of(sizes, [10, 20]))
    assert not panel.joined


def test_layers_of_a_network_are_a_series_beside_others():
    sweep = [{"channels": c, "side": 56} for c in (16, 32, 64)]
    layers = [{"channels": c, "side": s} for c, s in ((128, 28), (256, 14), (512, 7))]
    panels = series.by_parameters(view_of(sweep + layers, [1, 2, 4, 8, 16, 32]))
    assert [panel.varies for panel in panels] == [
        "channels 16 … 64",
        "channels 128 … 512, side 28 … 7",
    ]


def test_sizes_that_vary_together_are_one_series():
    sizes = [{"channels": c, "filters": c, "side": s} for c, s in ((64, 56), (128, 28), (256, 14))]
    (panel,) = series.by_parameters(view_of(sizes, [10, 20, 30]))
    assert panel.joined
    assert panel.varies == "channels = filters 64 … 256, side 56 … 14"


def test_sizes_drawn_at_random_are_no_series():
    sizes = [{"signal": n, "taps": t} for n, t in ((100_000, 9), (50_000, 16), (200_000, 64))]
    (panel,) = series.by_parameters(view_of(sizes, [9, 16, 64]))
    assert not panel.joined


def test_what_forms_no_series_stands_side_by_side_and_is_not_joined():
    sizes = [{"taps": t, "mode": m} for t, m in ((3, "full"), (3, "same"), (3, "valid"))]
    (panel,) = series.by_parameters(view_of(sizes, [3, 3, 3]))
    assert not panel.joined
    assert panel.cells.x.tolist() == [1, 10, 100]
    assert panel.fixed == "1: mode full; 2: mode same; 3: mode valid"


def test_sizes_that_time_did_not_reach_take_no_room():
    view = view_of([{"taps": taps} for taps in (3, 9, 27, 81)], [3, 9, 27, 81])
    view["status"] = ["ok", "skipped (budget)", "crashed", "unsupported"]
    view.loc[1:, "median_s"] = np.nan
    (panel,) = series.by_parameters(view)
    assert panel.cells.x.tolist() == [3, 27]


def test_no_case_is_lost():
    generator = np.random.default_rng(3)
    for _ in range(30):
        sizes = [
            {name: int(generator.integers(1, 4)) for name in "abcd"}
            for _ in range(generator.integers(1, 12))
        ]
        view = view_of(sizes, [size["a"] * size["b"] for size in sizes])
        for panels in (series.by_parameters(view), series.by_size(view)):
            shown = pd.concat([panel.cells for panel in panels])
            missing = set(view.case) - set(shown.case)
            assert not missing or len(panels[-1].places) == series.MOST_UNRELATED


def test_crossovers_are_where_the_lines_meet():
    cells = pd.DataFrame(
        [
            {
                "kernel": kernel,
                "x": x,
                "median_s": time,
                "low_s": time * 0.99,
                "high_s": time * 1.01,
            }
            for x in (1.0, 10.0, 100.0, 1000.0)
            for kernel, time in (("linear", x), ("constant", 30.0))
        ]
    )
    ((x, y),) = crossovers(cells)
    assert (x, y) == pytest.approx((30, 30))


def test_a_crossover_that_is_not_resolved_is_not_marked():
    cells = pd.DataFrame(
        [
            {"kernel": kernel, "x": x, "median_s": time, "low_s": time * 0.8, "high_s": time * 1.2}
            for x, times in ((1.0, (1.0, 1.01)), (2.0, (1.01, 1.0)))
            for kernel, time in zip("ab", times)
        ]
    )
    assert crossovers(cells) == []


@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0.001, 0.2))
def test_labels_do_not_lie_on_each_other(wanted, gap):
    placed = spread(wanted, gap)
    gap = min(gap, 1 / max(len(wanted) - 1, 1))
    ordered = np.sort(placed)
    assert (np.diff(ordered) >= gap - 1e-9).all()
    assert ((placed >= -1e-9) & (placed <= 1 + 1e-9)).all()
    assert (np.sort(wanted) == np.asarray(wanted)[np.argsort(placed, kind="stable")]).all()


def test_labels_with_room_stay_where_they_want_to_be():
    assert spread([0.9, 0.1, 0.5], 0.1).tolist() == pytest.approx([0.9, 0.1, 0.5])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (style.seconds(0.00123456), "1.23 ms"),
        (style.seconds(9.999e-4), "1 ms"),
        (style.seconds(12), "12 s"),
        (style.seconds(float("nan")), ""),
        (style.bytes_text(4096), "4.1 kB"),
        (style.count(1023), "1023"),
        (style.count(36864), "36.9k"),
        (style.count(262144), "262k"),
        (style.factor(1.066), "1.07×"),
        (style.factor(46.3), "46×"),
        (style.factor(0.0031), "0.0031×"),
    ],
)
def test_numbers_as_text(text, expected):
    assert text == expected


@pytest.mark.parametrize("family", [*style.FAMILIES, "of somebody else"])
def test_names_contrast_with_white(family):
    channels = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in to_rgb(style.text_color(family))
    ]
    luminance = np.dot((0.2126, 0.7152, 0.0722), channels)
    assert 1.05 / (luminance + 0.05) >= 4.5  # WCAG AA


def test_the_main_view_has_all_threads_and_the_gpu(full_run):
    table = table_of(full_run)
    assert main_view(table) == ("float32", 2, "warm", "plain")
    gpu_once = table[~((table.device == "cuda") & (table.threads == 2))]
    view = select(gpu_once, "float32", 2)
    assert set(view.threads[view.device == "cuda"]) == {1}
    assert set(view.threads[view.device == "cpu"]) == {2}
    assert not view.duplicated(["operation", "case", "kernel"]).any()


@pytest.fixture(scope="module")
def drawn(full_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plots")
    table = table_of(full_run)
    some = (table.operation == "fit_linear") | table.case.str.contains("signal=1000,")
    table = table[some & (table.threads == 2)].assign(relative_error=1e-7)
    return write_plots(table, full_run.info, folder), folder, table


def test_every_figure_is_svg_png_and_csv(drawn):
    pictures, folder, _ = drawn
    names = {picture.name for some in pictures.values() for picture in some}
    kinds = {f"{o}-{k}" for o in ("convolve", "fit_linear") for k in TITLES} - {
        "convolve-efficiency",
        "fit_linear-efficiency",
    }  # only one thread count is drawn
    assert {"overview", *kinds} <= names
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{kind}" for name in names for kind in ("svg", "png", "csv")
    }
    assert all(len(some) <= 11 for some in pictures.values())


def test_the_csv_beside_a_figure_holds_what_it_shows(drawn):
    _, folder, table = drawn
    rows = pd.read_csv(folder / "fit_linear-time.csv")
    view = select(table[table.operation == "fit_linear"], "float32", 2)
    assert rows.median_s.notna().sum() == view.median_s.notna().sum()
    assert set(rows.x) == {10, 50, 200, 1000}
    assert rows["flags"].str.contains("noisy").any()


def test_figures_name_their_kernels_failures_and_machine(drawn):
    pictures, _, _ = drawn
    time = pictures["fit_linear"][0].svg
    for text in (
        "torch_channels_last",
        "numba_blocked",
        "Synthetic CPU of the tests",
        "2 threads",
        "float32",
    ):
        assert text in time
    assert "cuda_direct" not in time  # it could not run: the report says so, not the figure
    assert "cannot be told apart here today" in pictures["fit_linear"][0].caption


def test_what_is_above_the_roof_is_not_drawn(full_run, tmp_path):
    table = table_of(full_run)
    few = (table.operation == "fit_linear") & table.case.str.contains("samples=200,")
    table = table[few & (table.threads == 2)].reset_index(drop=True)
    table.loc[table.kernel == "torch", "flags"] = "above-roof"
    pictures = write_plots(table, full_run.info, tmp_path)
    assert ">torch_channels_last<" in pictures["fit_linear"][0].svg
    assert ">torch<" not in "".join(picture.svg for some in pictures.values() for picture in some)
