"""Random sizes, their times, and the tables made of them."""

import json

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from convgrad import kernels
from convgrad.kernels import auto
from convgrad.kernels.timetable import PREPARED, Timetable
from convgrad.suites import tune
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
    assert len({(id(turn.stratum), *turn[1:]) for turn in own}) == len(own)
    assert sum(a != b for a, b in zip(workers, workers[1:])) == len(set(workers)) - 1
    assert {turn.stratum.kind for turn in own} == {"1-D", "2-D", "3-D"}


def test_strata_with_more_coordinates_get_more_time():
    share = {turn.stratum.kind: turn.share for turn in tune.turns(["convolve"])}
    assert share["1-D"] < share["2-D"]


def test_a_table_keeps_what_came_close_to_the_fastest():
    stratum, random = tune.Stratum("convolve", "1-D"), np.random.default_rng(0)
    for found in ({"numpy": 1.0, "slow": 9.0, "torch": 3.123456}, {"numpy": 1.0}):
        stratum.learn(stratum.draw(random, "float32"), 2, found, {})
    group = stratum.group()
    assert group["seconds"] == {"numpy": [1.0, 1.0], "torch": [3.123, None]}
    assert len(group["points"]) == 2
    assert group["kind"] == "1-D"


def test_what_was_not_called_is_foretold_by_the_cases_before():
    stratum, random = tune.Stratum("convolve", "1-D"), np.random.default_rng(0)
    assert stratum.foretell(stratum.draw(random, "float32"), 2) == {}
    for _ in range(tune._FORETELLING):
        stratum.learn(stratum.draw(random, "float32"), 2, {"numpy": 1.0, "torch": 3.0}, {})
    case = stratum.draw(random, "float32")
    foretold = stratum.foretell(case, 2)
    assert foretold == pytest.approx({"numpy": 1.0, "torch": 3.0})
    stratum.learn(case, 2, {"numpy": 2.0}, foretold)  # the machine was half as fast
    assert stratum.seconds[-1] == pytest.approx({"numpy": 2.0, "torch": 6.0})


def test_measuring_makes_a_table_that_auto_can_read(tmp_path, monkeypatch):
    monkeypatch.setattr(tune, "_BATCH", 2)
    small = {"convolve": (lambda random, rank: {"signal": (99,), "taps": (5,)}, ("1-D",))}
    monkeypatch.setattr(tune, "SPACES", small)
    monkeypatch.setattr(tune, "DTYPES", ("float32",))
    monkeypatch.setattr(tune.environment, "usable_cores", lambda: 1)
    lines = []
    chosen = [kernels.get("convolve", name) for name in ("numpy", "overlap_save")]
    monkeypatch.setattr(auto, "candidates", lambda operation, threads: chosen)
    random = np.random.default_rng(0)
    path = tmp_path / "deep" / "table.json"
    tune.write(tune.tune(["convolve"], 0.1, lines.append, random), path)
    table = Timetable.read(path)
    assert "numpy" in table.kernels("convolve")
    assert lines
    assert json.loads(path.read_text())["machine"]
    monkeypatch.setattr(auto, "table_of", lambda operation: table)
    rows = tune.check(["convolve"], 2, lines.append, random)
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


def test_what_is_known_of_other_operations_stays(tmp_path):
    path, here = tmp_path / "table.json", {"machine": {"cpu": "a"}, "libraries": {"numpy": "2"}}
    group = {"kind": "1-D", "points": [[1.0]], "seconds": {"numpy": [1.0]}}
    older = here | {"timings": {"convolve": [group], "fit_filter": [group]}}
    newer = here | {"timings": {"convolve": [group | {"points": [[2.0]]}]}}
    assert tune.with_others(newer, path) == newer
    tune.write(older, path)
    both = tune.with_others(newer, path)["timings"]
    assert both == older["timings"] | newer["timings"]
    elsewhere = newer | {"machine": {"cpu": "b"}}
    assert tune.with_others(elsewhere, path) == elsewhere


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
