import csv
from datetime import datetime

import pytest
from rich.console import Console
from typer.testing import CliRunner

from convgrad.suites import cli
from convgrad.suites.certify import certificate, claims, simulated
from convgrad.suites.certify.claims import Claim, Outcome


def planted(name, outcome=None, error=None, quick=True):
    def measure(budget):
        budget.progress("half of it")
        assert not list(budget.scratch.iterdir())
        if error:
            raise error
        return outcome

    return Claim(name, "looked at", "<= 5 %", measure, quick=quick, seconds=200)


GOOD = planted("good", Outcome("3 %", True))
BAD = planted("bad", Outcome("7 % <of> [all]", False))
ABSENT = planted("absent", Outcome("no GPU here", None))
BROKEN = planted("broken", error=ValueError("first line\nsecond line"))
SLOW = planted("slow", Outcome("4 %", True), quick=False)


@pytest.fixture
def certify(monkeypatch, tmp_path):
    """Run the command with planted claims; returns status, output and rows of the CSV."""

    def run(planted, *options):
        monkeypatch.setattr(claims, "all_claims", lambda: planted)
        monkeypatch.setattr(cli, "console", console := Console(width=200, record=True))
        result = CliRunner().invoke(cli.app, ["certify", "--out", str(tmp_path / "c"), *options])
        if not (tmp_path / "c").exists():
            return result.exit_code, result.output, []
        with open(tmp_path / "c" / "certificate.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        return result.exit_code, console.export_text(), rows

    return run


def test_files_say_what_was_found(certify, tmp_path):
    status, output, rows = certify([GOOD, ABSENT])
    assert status == 0
    assert rows[0] == list(certificate.COLUMNS)
    assert rows[1][:4] == ["good", "looked at", "<= 5 %", "3 %"]
    assert datetime.fromisoformat(rows[1][4])
    assert rows[1][5] == "yes"
    assert rows[2][3::2] == ["no GPU here", "not measured"]
    assert "2 claims, about 7 min" in output
    assert "holds good" in output
    page = (tmp_path / "c" / "certificate.html").read_text(encoding="utf-8")
    assert "no GPU here" in page
    assert "&lt;= 5 %" in page
    assert "src=" not in page
    assert "href=" not in page


def test_claim_that_does_not_hold_is_an_error(certify):
    status, output, rows = certify([GOOD, BAD])
    assert status == 1
    assert rows[2][3::2] == ["7 % <of> [all]", "no"]
    assert "does not hold bad" in output
    assert "7 % <of> [all]" in output


def test_exception_is_one_line(certify):
    status, output, rows = certify([BROKEN])
    assert status == 1
    assert rows[1][3::2] == ["failed: ValueError: first line second line", "no"]
    assert "Traceback" not in output


def test_quick_leaves_out_what_is_slow(certify):
    _, output, rows = certify([GOOD, SLOW], "--quick")
    assert [row[0] for row in rows[1:]] == ["good"]
    assert "about" not in output


def test_only(certify):
    _, _, rows = certify([GOOD, BAD, SLOW], "--only", "slow", "--only", "good")
    assert [row[0] for row in rows[1:]] == ["good", "slow"]


def test_other_claims_of_an_earlier_certificate_are_kept(certify):
    certify([BAD, GOOD])
    _, _, rows = certify([planted("bad", Outcome("2 %", True)), GOOD], "--only", "bad")
    assert [(row[0], row[3]) for row in rows[1:]] == [("bad", "2 %"), ("good", "3 %")]


def test_unknown_claim(certify):
    status, output, _ = certify([GOOD, BAD], "--only", "best")
    assert status == 2
    assert "--only: got best, expected one of good, bad" in output


def test_claims_on_a_fake_clock_come_first(certify):
    fake = next(claim for claim in simulated.CLAIMS if claim.name == "power, busy neighbour")
    status, _, rows = certify([BAD, fake], "--quick")
    assert status == 1
    assert [row[0] for row in rows[1:]] == [fake.name, "bad"]
    assert rows[1][-1] == "yes"
