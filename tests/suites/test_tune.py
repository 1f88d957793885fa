"""Random sizes, their times, and the tables made of them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from convgrad import kernels
from convgrad.kernels import auto
from convgrad.kernels.timetable import PREPARED, Timetable
from convgrad.suites import tune, tune_table
from convgrad.suites.cli import app
from convgrad.suites.tune_display import print_regret


@pytest.mark.parametrize("operation", tune.SPACES)
def test_sizes_are_valid_and_random(operation):
    random = np.random.default_rng(0)
    for kind in tune.SPACES[operation][1]:
        stratum = tune.Stratum(operation, kind)
        drawn = [stratum.draw(random, "float32") for _ in range(40)]
        assert len(set(drawn)) > 30
        for case in drawn:
            found, point = tune._where(case, 2)
            assert found == kind.removesuffix(PREPARED)
            assert np.isfinite(point).all()


def test_turns_that_share_workers_are_side_by_side():
    own = tune.turns(["convolve", "fit_filter"])
    workers = [(turn.stratum.operation, turn.threads) for turn in own]
    assert len({(id(turn.stratum), turn.dtype, turn.threads) for turn in own}) == len(own)
    assert sum(a != b for a, b in zip(workers, workers[1:])) == len(set(workers)) - 1
    assert {turn.stratum.kind for turn in own} == {"1-D", "2-D", "3-D"}


def test_strata_with_more_coordinates_get_more_time():
    share = {turn.stratum.kind: turn.share for turn in tune.turns(["convolve"])}
    assert share["1-D"] < share["2-D"]


def test_a_table_keeps_what_came_close_to_the_fastest():
    stratum, random = tune.Stratum("convolve", "1-D"), np.random.default_rng(0)
    for found, able in (
        ({"numpy": 1.0, "slow": 9.0, "torch": 3.123456}, ["numpy", "slow", "torch"]),
        ({"numpy": 1.0}, ["numpy", "slow", "torch"]),
        ({"numpy": 1.0}, ["numpy"]),
    ):
        stratum.learn(stratum.draw(random, "float32"), 2, found, {}, able)
    group = stratum.group()
    assert group["seconds"] == {"numpy": [1.0] * 3, "torch": [3.123, 6.0, None]}
    assert len(group["points"]) == 3
    assert group["kind"] == "1-D"


def test_what_was_not_called_is_foretold_by_the_cases_before():
    stratum, random = tune.Stratum("convolve", "1-D"), np.random.default_rng(0)
    able = ["numpy", "torch"]
    assert stratum.foretell(stratum.draw(random, "float32"), 2, able) == {}
    for _ in range(tune._FORETELLING):
        stratum.learn(stratum.draw(random, "float32"), 2, {"numpy": 1.0, "torch": 3.0}, {}, able)
    case = stratum.draw(random, "float32")
    assert stratum.foretell(case, 2, ["torch"]) == pytest.approx({"torch": 3.0})
    foretold = stratum.foretell(case, 2, able)
    assert foretold == pytest.approx({"numpy": 1.0, "torch": 3.0})
    stratum.learn(case, 2, {"numpy": 2.0}, foretold, able)  # the machine was half as fast
    assert stratum.seconds[-1] == pytest.approx({"numpy": 2.0, "torch": 6.0})


@pytest.fixture
def small(monkeypatch):
    """Two turns, of one size, two kernels and one thread."""
    monkeypatch.setattr(tune, "_BATCH", 2)
    space = {"convolve": (lambda random, rank: {"signal": (99,), "taps": (5,)}, ("1-D",))}
    monkeypatch.setattr(tune, "SPACES", space)
    monkeypatch.setattr(tune.environment, "usable_cores", lambda: 1)
    chosen = [kernels.get("convolve", name) for name in ("numpy", "overlap_save")]
    monkeypatch.setattr(auto, "candidates", lambda operation, threads: chosen)


def test_half_of_the_time_goes_where_the_choice_is_hard(monkeypatch, small):
    seconds = {"numpy": 1e-3, "overlap_save": 2e-3}
    hard, clock = tune.DTYPES[0], [0.0]

    class Stopwatch(tune.Stopwatch):
        measured = property(lambda self: clock[0])

        def start(self, turn):
            return dict.fromkeys(seconds)

        def times(self, candidates, case, *_, foretold, **__):
            clock[0] += 1
            chance = self.random.choice([1.0, 3.0]) if case.dtype == hard else 1.0
            return {"numpy": [seconds["numpy"] * chance], "overlap_save": [seconds["overlap_save"]]}

    monkeypatch.setattr(tune, "Stopwatch", Stopwatch)
    monkeypatch.setattr(tune, "_able", lambda candidates, case: list(candidates))
    *_, whole = tune.tune(
        tune.turns(["convolve"]), 400, lambda line: None, np.random.default_rng(0)
    )
    sizes = [point[-2] for point in whole["timings"]["convolve"][0]["points"]]
    counts = [sizes.count(size) for size in sorted(set(sizes))]
    assert sum(counts) >= 400
    assert counts[0] > 2 * counts[1] > 190


def test_measuring_makes_a_table_that_auto_can_read(tmp_path, monkeypatch, small):
    lines, random = [], np.random.default_rng(0)
    path = tmp_path / "deep" / "table.json"
    half, *_, whole = tune.tune(tune.turns(["convolve"]), 0.1, lines.append, random)
    assert {point[2] for point in half["timings"]["convolve"][0]["points"]} == {4.0}
    tune_table.write(whole, path)
    table = Timetable.read(path)
    assert "numpy" in table.kernels("convolve")
    assert "compiling; measured for 0 of 0 s, compiled for 0 s" in lines[0]
    assert json.loads(path.read_text())["machine"]
    monkeypatch.setattr(auto, "table_of", lambda operation: table)
    rows = tune.check(tune.turns(["convolve"]), 2, lines.append, random)
    assert [row["choice"] in ("numpy", "overlap_save") for row in rows] == [True, True]
    assert all(row["regret"] > -1 for row in rows)


def test_the_choice_is_timed_whatever_is_foretold_of_it():
    case = kernels.Case.of("convolve", "float32", signal=(99,), taps=(5,))
    names = "numpy", "overlap_save"
    with tune.Stopwatch(np.random.default_rng(0)) as stopwatch:
        candidates = stopwatch.start(tune.Turn(tune.Stratum("convolve", "1-D"), "float32", 1))
        candidates = {name: candidates[name] for name in names}
        slow = {"numpy": 1e-6, "overlap_save": 1.0}
        assert set(stopwatch.times(candidates, case, 1, 2, foretold=slow)) == {"numpy"}
        found = stopwatch.times(candidates, case, 1, 2, ("overlap_save",), slow)
    assert {name: len(times) for name, times in found.items()} == dict.fromkeys(names, 2)


@pytest.mark.parametrize(("times", "called"), [(10, True), (40, False)])
def test_work_alone_rules_out_only_what_is_hopeless(times, called, monkeypatch):
    case = kernels.Case.of("convolve", "float32", signal=(99,), taps=(5,))
    with tune.Stopwatch(np.random.default_rng(0)) as stopwatch:
        candidates = {name: kernels.get("convolve", name) for name in ("numpy", "overlap_save")}
        soon = {"numpy": 1e-4, "overlap_save": times * 1e-4}
        stopwatch.forecast = SimpleNamespace(
            seconds=lambda kernel, *_: soon[kernel.name], learn=lambda *_: None
        )
        monkeypatch.setattr(stopwatch, "_first", lambda *_: 1e-4)
        monkeypatch.setattr(stopwatch, "_pace", lambda *_: 1e-4)
        found = stopwatch.times(candidates, case, 1, 1)
    assert found.keys() == (candidates.keys() if called else {"numpy"})


def a_table(machine="a", **timings):
    """Of groups by operation: the kernels' seconds at each (size, dtype, threads)."""
    return {
        "machine": {"cpu": machine},
        "libraries": {"numpy": "2"},
        "timings": {
            name: [
                {"kind": kind, "points": [list(p) for p in points], "seconds": seconds}
                for kind, (points, seconds) in groups.items()
            ]
            for name, groups in timings.items()
        },
    }


def test_what_is_not_measured_anew_stays():
    group = [(1, 4, 0)], {"numpy": [1.0]}
    older = a_table(convolve={"1-D": group, "2-D": group}, fit_filter={"1-D": group})
    newer = a_table(convolve={"1-D": ([(2, 4, 0)], {"torch": [2.0]})})
    assert tune_table.with_older(newer, None) == newer
    older = Timetable(older, "")
    kinds = {"1-D": ([(2, 4, 0)], {"torch": [2.0]}), "2-D": group}
    assert tune_table.with_older(newer, older) == a_table(convolve=kinds, fit_filter={"1-D": group})
    elsewhere = newer | {"machine": {"cpu": "b"}}
    assert tune_table.with_older(elsewhere, older) == elsewhere


def test_of_a_kind_other_dtypes_and_threads_stay_or_all():
    known = [(1, 4, 0), (2, 4, 2), (3, 6, 2)]
    times = {"numpy": [1.0, None, 3.0], "torch": [None, 2.0, 1]}
    older = Timetable(a_table(convolve={"1-D": (known, times)}), "")
    newer = a_table(convolve={"1-D": ([(9, 4, 2), (8, 4, 2)], {"numba": [5.0, 6.0]})})
    expected = {
        "numba": [None, None, 5.0, 6.0],
        "numpy": [1.0, 3.0, None, None],
        "torch": [None, 1, None, None],
    }
    points = [(1, 4, 0), (3, 6, 2), (9, 4, 2), (8, 4, 2)]
    both = tune_table.with_older(newer, older)
    assert both == a_table(convolve={"1-D": (points, expected)})
    expected = {
        "numba": [None, None, None, 5.0, 6.0],
        **{name: [*seconds, None, None] for name, seconds in times.items()},
    }
    added = tune_table.with_older(newer, older, add=True)
    assert added == a_table(convolve={"1-D": ([*known, (9, 4, 2), (8, 4, 2)], expected)})


def test_points_of_other_coordinates_are_dropped():
    older = Timetable(a_table(conv2d={"3 x 3": ([(1, 1, 6, 0)], {"numpy": [1.0]})}), "")
    newer = a_table(conv2d={"3 x 3": ([(2, 4, 0)], {"numba": [2.0]})})
    for add in (False, True):
        assert tune_table.with_older(newer, older, add) == newer


@pytest.mark.parametrize("finished", [0, 1])
def test_an_interrupted_command_keeps_what_was_measured(tmp_path, monkeypatch, small, finished):
    path, measure = tmp_path / "table.json", tune.Stopwatch.start

    def interrupted(stopwatch, turn):
        if len(started) == finished:
            raise KeyboardInterrupt
        started.append(turn)
        return measure(stopwatch, turn)

    started = []
    monkeypatch.setattr(tune.Stopwatch, "start", interrupted)
    arguments = ["tune", "--operation", "convolve", "--seconds", "0.1", "--out", str(path)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 130
    if finished:
        assert f"{path} has what was measured, 1 of 4 parts" in done.output
        assert json.loads(path.read_text())["timings"]["convolve"][0]["points"]
    else:
        assert "stopped before anything was measured" in done.output
        assert not path.exists()


def test_regret_is_printed(capsys):
    row = {"operation": "convolve", "case": "c", "threads": 2, "choice": "a", "fastest": "b"}
    print_regret(Console(width=120), [{**row, "regret": r} for r in (0.0, 0.1)])
    text = capsys.readouterr().out
    assert "5.0%" in text
    assert "10%: convolve c, 2 threads: a, b is the fastest" in text


def test_what_cannot_be_tuned():
    done = CliRunner().invoke(app, ["tune", "--operation", "convolute"])
    assert done.exit_code == 2
    assert "--operation: got convolute, expected one of convolve" in done.output
    done = CliRunner().invoke(app, ["tune", "--operation", "convolve", "--kind", "4-D"])
    assert done.exit_code == 2
    assert "--kind: got 4-D, expected one of 1-D, 2-D, 3-D" in done.output


def test_turns_of_a_kind_are_those_of_prepared_calls_too():
    own = tune.turns(["conv2d"], ["one channel"])
    assert {turn.stratum.kind for turn in own} == {"one channel", "one channel" + PREPARED}
    assert len(own) < len(tune.turns(["conv2d"]))
