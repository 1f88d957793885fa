import json

import pytest

from convgrad.results.report import write_report
from convgrad.results.store import Run
from convgrad.suites.certify import kept
from convgrad.suites.certify.claims import Budget


@pytest.fixture
def budget(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scratch").mkdir()
    return Budget(False, tmp_path / "scratch")


@pytest.fixture
def run(budget, tmp_path):
    """A kept run that spent two thirds of its time on samples."""
    info = {"preset": "laptop", "start": "2026-01-01", "time_spent": {"samples": 60, "total": 80}}
    with Run.create(tmp_path / "results" / "runs" / "one", **info) as made:
        made.update(state="finished", report_s=10.0)
        write_report(made)
    return made


def test_without_a_run_nothing_is_claimed(budget):
    assert kept.overhead(budget).holds is None
    assert kept.again(budget).holds is None


def test_share_of_time_in_samples(run, budget):
    assert kept.overhead(budget).holds
    run.update(time_spent={"samples": 50, "total": 80})
    assert not kept.overhead(budget).holds


def test_report_that_was_changed_is_found(run, budget, tmp_path):
    assert kept.again(budget).holds
    path = run.path / "report.html"
    path.write_text(path.read_text().replace("finished", "complete") + " ")
    assert json.loads((run.path / "run.json").read_text())["state"] == "finished"
    assert not kept.again(Budget(False, tmp_path / "other")).holds
