"""Aims are held against paired rounds of the best of ours and the best rival."""

import numpy as np
import pandas as pd
import pytest

from convgrad.results.aims import RATIO, ROOF, aims
from convgrad.results.plots import aims as plot
from convgrad.results.plots.style import applied
from convgrad.results.schema import PEAK, READ, ROOF_PROBES

KEY = {"operation": "convolve", "threads": 2, "cache": "warm", "call": "plain"}
AIM = {
    "name": "few taps",
    "operation": "convolve",
    "cases": ["a", "b"],
    "ours": ["mine", "my_second"],
    "rivals": ["theirs", "absent"],
}


def tables(times):
    """Samples and cells of kernels with these seconds, by case and kernel; the machine wanders."""
    samples, cells = [], []
    for (case, kernel), seconds in times.items():
        key = {**KEY, "case": case, "kernel": kernel}
        for process in range(3):
            for number in range(8):
                weather = 1 + 0.5 * (number % 3)
                wall = 1e9 * seconds * weather
                samples.append(
                    {**key, "process": process, "round": number, "loops": 1, "wall_ns": wall}
                )
        cells.append(
            {
                **key,
                "dtype": "float32",
                "status": "ok",
                "median_s": seconds * 1.5,
                "roof_fraction": 1e-3 / seconds,
                "flags": "above-roof" if case == "impossible" else "",
            }
        )
    return pd.DataFrame(samples), pd.DataFrame(cells)


TIMES = {
    ("a", "mine"): 1e-3,
    ("a", "my_second"): 2e-3,
    ("a", "theirs"): 4e-3,
    ("b", "mine"): 3e-3,
    ("b", "my_second"): 2e-3,
    ("b", "theirs"): 2e-3,
    ("c", "mine"): 1e-3,
}


def held(must_be, measure=RATIO, times=TIMES, **changes):
    info = {"aims": [{**AIM, "must_be": must_be, "measure": measure, **changes}]}
    return aims(*tables(times), info)


def test_the_best_of_both_sides_counts_and_the_mean_is_geometric():
    (row,) = held(1.5).itertuples()
    assert row.found == pytest.approx(2)  # 4 at one case, 1 at the other
    assert row.low == pytest.approx(2)
    assert row.high == pytest.approx(2)
    assert (row.least, row.least_case) == (pytest.approx(1), "b")
    assert (row.cases, row.drawn) == (2, 2)
    assert row.rivals == "theirs 2"


@pytest.mark.parametrize(("must_be", "holds"), [(1.1, True), (1.5, False), (2.1, False)])
def test_an_aim_holds_in_the_mean_and_nowhere_far_below(must_be, holds):
    assert held(must_be).holds.tolist() == [holds]


@pytest.mark.parametrize(("floor", "holds"), [(0.9, True), (1.2, False), (None, False)])
def test_an_aim_may_say_itself_what_holds_everywhere(floor, holds):
    (row,) = held(1.5, nowhere_below=floor).itertuples()
    assert row.holds is holds
    assert row.nowhere_below == (floor or pytest.approx(0.85 * 1.5))


def test_a_share_of_the_roof_is_that_of_the_best_of_ours():
    (row,) = held(0.5, ROOF).itertuples()
    assert row.found == pytest.approx(np.sqrt(1 * 0.5))
    assert np.isnan(row.low)


@pytest.mark.parametrize(("peak_s", "read_s"), [(8e-4, 1e-4), (1e-4, 8e-4)])
def test_the_roof_of_the_very_round_counts_where_it_was_probed(peak_s, read_s):
    probes = {("a", PEAK): peak_s / 1e6, ("a", READ): read_s / 1e5}
    samples, cells = tables(TIMES | probes)
    cells = cells[~cells.kernel.isin(ROOF_PROBES)].assign(flops=1e6, bytes=1e5)
    aim = {**AIM, "must_be": 0.5, "measure": ROOF, "cases": ["a"]}
    (row,) = aims(samples, cells, {"aims": [aim]}).itertuples()
    assert (row.found, row.low, row.high) == pytest.approx((0.8, 0.8, 0.8))


def test_what_is_faster_than_the_machine_does_not_count():
    times = TIMES | {("impossible", "mine"): 1e-4, ("impossible", "theirs"): 1e-3}
    for measure in (RATIO, ROOF):
        (row,) = held(0.5, measure, times, cases=["a", "b", "impossible"]).itertuples()
        assert (row.cases, row.drawn) == (2, 3)


def test_without_a_rival_or_one_of_ours_nothing_is_said():
    for absent in ({"rivals": ["absent"]}, {"ours": ["absent"]}):
        (row,) = held(1.0, **absent).itertuples()
        assert (row.cases, row.drawn, row.holds) == (0, 2, None)
        assert np.isnan(row.found)
    assert aims(*tables(TIMES), {}).empty


def test_cases_that_time_did_not_reach_are_counted():
    samples, cells = tables(TIMES)
    cells.loc[cells.case == "b", ["status", "median_s"]] = "skipped (budget)", np.nan
    samples = samples[samples.case != "b"]
    (row,) = aims(
        samples, cells, {"aims": [{**AIM, "must_be": 2.0, "measure": RATIO}]}
    ).itertuples()
    assert (row.cases, row.drawn, row.holds) == (1, 2, True)


def test_the_figure_shows_every_aim(tmp_path):
    both = pd.concat([held(1.5), held(0.5, ROOF), held(3.0, name="untold", rivals=["absent"])])
    with applied():
        picture = plot.draw(both, "aims", "Aims", "caption", tmp_path)
    assert picture.svg.count("few taps") == 2
    assert "aim 1.5" in picture.svg
    assert "aim 50%" in picture.svg
    assert picture.svg.count("untold") == picture.svg.count("not measured") == 1
    assert (tmp_path / "aims.csv").exists()
