"""Random sizes, their times, and the tables made of them."""

import json

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from convgrad import kernels
from convgrad.kernels import auto
from convgrad.kernels.timetable import Timetable
from convgrad.suites import tune
from convgrad.suites.cli import app
from convgrad.suites.tune_display import print_regret


@pytest.mark.parametrize("operation", tune.SPACES)
def test_sizes_are_valid_and_random(operation):
    random = np.random.default_rng(0)
    for rank in tune.SPACES[operation][1]:
        stratum = tune.Stratum(operation, rank, "float32", 1)
        drawn = [stratum.draw(random) for _ in range(40)]
        assert len(set(drawn)) > 30
        for case in drawn:
            kind, point = tune._traits(case)
            assert kind == f"{rank}-D float32"
            assert np.isfinite(point).all()


def test_a_stratum_for_each_number_of_threads_rank_and_dtype():
    own = tune.strata(["convolve"])
    assert len(set(map(repr, own))) == len(own)
    assert {s.rank for s in own} == {1, 2, 3}
    assert own == sorted(own, key=lambda s: -s.threads)


def test_a_table_keeps_what_came_close_to_the_fastest():
    stratum = tune.Stratum("convolve", 1, "float32", 2)
    stratum.cases = [stratum.draw(np.random.default_rng(0)) for _ in range(2)]
    stratum.seconds = [{"numpy": 1.0, "slow": 9.0, "torch": 3.123456}, {"numpy": 1.0}]
    group = stratum.group()
    assert group["seconds"] == {"numpy": [1.0, 1.0], "torch": [3.123, None]}
    assert len(group["points"]) == 2
    assert (group["kind"], group["threads"]) == ("1-D float32", 2)


def test_what_was_not_called_is_foretold_by_the_cases_before():
    random = np.random.default_rng(0)
    stratum = tune.Stratum("convolve", 1, "float32", 2)
    assert stratum.foretell(stratum.draw(random)) == {}
    for _ in range(tune._FORETELLING):
        stratum.learn(stratum.draw(random), {"numpy": 1.0, "torch": 3.0}, {})
    case = stratum.draw(random)
    foretold = stratum.foretell(case)
    assert foretold == pytest.approx({"numpy": 1.0, "torch": 3.0})
    stratum.learn(case, {"numpy": 2.0}, foretold)  # the machine was half as fast
    assert stratum.seconds[-1] == pytest.approx({"numpy": 2.0, "torch": 6.0})


def test_measuring_makes_a_table_that_auto_can_read(tmp_path, monkeypatch):
    monkeypatch.setattr(tune, "_BATCH", 2)
    small = {"convolve": (lambda random, rank: {"signal": (99,), "taps": (5,)}, (1,))}
    monkeypatch.setattr(tune, "SPACES", small)
    monkeypatch.setattr(tune, "DTYPES", ("float32",))
    monkeypatch.setattr(tune.environment, "usable_cores", lambda: 1)
    lines = []
    chosen = [kernels.get("convolve", name) for name in ("numpy", "overlap_save")]
    monkeypatch.setattr(auto, "candidates", lambda operation: chosen)
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
