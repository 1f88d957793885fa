import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from convgrad.results.page import MOST_BYTES, render
from convgrad.results.plots import TITLES
from convgrad.results.plots.figure import Picture
from convgrad.results.report import write_report
from convgrad.results.schema import CELL_COLUMNS
from convgrad.results.store import Run
from convgrad.results.summary import cells as summarise

CASE = {
    "operation": "convolve",
    "case": "signal=9,taps=3,float32",
    "threads": 1,
    "cache": "warm",
    "call": "plain",
}


def digests(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def page_of(run):
    return (run.path / "report.html").read_text(encoding="utf-8")


class Page(HTMLParser):
    """What a page refers to, what can be referred to in it, and its words."""

    def __init__(self, text):
        super().__init__()
        self.targets, self.used, self.tags, self.words = [], set(), set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            if name == "id":
                self.targets.append(value)
            elif name in ("href", "xlink:href", "src"):
                self.used.add(value)
            else:
                self.used.update(re.findall(r"url\(([^)]*)\)", value or ""))

    def handle_data(self, data):
        self.words.append(data)


def test_the_same_facts_give_the_same_bytes(reported_run, tmp_path):
    again = Run.create(tmp_path / "elsewhere", **reported_run.info)
    for name in ("samples.csv", "journal.jsonl"):
        (again.path / name).write_bytes((reported_run.path / name).read_bytes())
    write_report(again)
    first, second = digests(reported_run.path), digests(again.path)
    assert len(first) > 15
    assert first == second


def test_the_page_stands_alone(reported_run):
    text = page_of(reported_run)
    page = Page(text)
    assert not {"link", "img", "iframe"} & page.tags
    beside = {one for one in page.used if one.startswith("samples.txt#")}
    assert page.used - beside <= {f"#{target}" for target in page.targets}
    assert "@import" not in text
    assert len(text.encode()) < 5_000_000


def test_drawings_have_names_of_their_own(reported_run):
    page = Page(page_of(reported_run))
    drawings = [target for target in page.targets if target.startswith("drawing-")]
    assert len(drawings) == len(set(drawings)) >= 5
    sections = ["fit_filter", "machine", "absent", "cells"]
    assert [target for target in page.targets if target in sections] == sections


def test_the_page_says_what_was_measured_and_what_was_not(reported_run):
    text = " ".join(Page(page_of(reported_run)).words)
    for words in (
        "Synthetic CPU of the tests",
        "numba_blocked",
        "no CUDA device",
        "unavailable",
        "90 GFLOP/s",
    ):
        assert words in text


def test_one_thread_and_double_precision_have_figures_where_they_differ(reported_run):
    names = {path.stem for path in (reported_run.path / "plots").glob("*.svg")}
    assert names >= {f"fit_filter-{kind}" for kind in TITLES if kind != "accuracy"}
    assert len(names) <= 1 + 11


def test_the_page_suits_phones_and_dark_rooms(reported_run):
    text = page_of(reported_run)
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text


def test_cells_csv_has_a_row_a_cell_and_whole_numbers(reported_run):
    table = pd.read_csv(reported_run.path / "cells.csv", dtype=str, keep_default_na=False)
    assert len(table) == len(reported_run.facts())
    assert set(CELL_COLUMNS) <= set(table.columns)
    assert set(table.taps) == {"8", "32", "128", "512"}
    assert "." not in "".join(table.parameters + table.flops + table.sample_count)


def test_a_second_report_leaves_no_figures_of_the_first(new_run):
    run = new_run(operations=("fit_filter",), rounds=6)
    write_report(run)
    assert (run.path / "plots" / "overview.svg").exists()
    (run.path / "samples.csv").unlink()
    (run.path / "plots" / "notes.txt").write_text("mine")
    write_report(run)
    left = {path.name for path in (run.path / "plots").iterdir()}
    assert "notes.txt" in left
    assert not {name for name in left if name.startswith(("overview", "fit_filter-time"))}


def test_a_run_of_nothing(tmp_path):
    run = Run.create(tmp_path / "run")
    assert write_report(run).empty
    text = page_of(run)
    assert "Nothing has been measured yet" in text
    assert "The run is running" in text


def test_a_run_of_failures_only(tmp_path):
    run = Run.create(tmp_path / "run")
    run.append([], [{**CASE, "kernel": "k", "status": "crashed", "detail": "signal 11 <SIGSEGV>"}])
    write_report(run)
    assert "signal 11 &lt;SIGSEGV&gt;" in page_of(run)
    assert list((run.path / "plots").iterdir()) == []


@pytest.mark.parametrize("rounds", [1, 8])
def test_a_run_of_one_cell_with_the_least_that_can_be_known(tmp_path, rounds):
    run = Run.create(tmp_path / "run", state="interrupted")
    rest = {"process": 0, "position": 0, "loops": 1, "wall_ns": 2e6, "cpu_ns": 2e6}
    run.append(
        [{**CASE, "kernel": "$a_b$", "round": number, **rest} for number in range(rounds)],
        [{**CASE, "kernel": "$a_b$", "status": "ok", "dtype": "float32"}],
    )
    cells = write_report(run)
    assert cells.median_s.tolist() == [0.002]
    assert "$a_b$" in page_of(run)
    assert "overview.svg" in {path.name for path in (run.path / "plots").iterdir()}


def test_names_cannot_write_html(tmp_path):
    run = Run.create(tmp_path / "run", machine={"cpu": "<script>alert(1)</script>"})
    nasty = {**CASE, "case": "<img src=x>,float32", "kernel": "<b>&", "status": "wrong"}
    run.append([], [{**nasty, "detail": "<i>"}])
    write_report(run)
    text = page_of(run)
    assert not {"img", "i"} & Page(text).tags
    assert text.count("<script") == 1  # the page's own


def test_a_page_that_would_be_too_large_names_its_figures_instead(reported_run):
    cells = summarise(reported_run.samples(), reported_run.facts(), reported_run.info)
    svg = f"<svg><defs></defs><path d='{'M 0 0 ' * 300_000}'/></svg>"
    pictures = {
        "fit_filter": [
            Picture(f"figure-{n}", "t", "r", "c", svg, (10, 10), [(0, 0, 10, 10)]) for n in range(5)
        ]
    }
    text = render(reported_run.info, cells, pictures)
    assert len(text.encode()) < MOST_BYTES + 100_000
    assert "plots/figure-4.svg" in text
    assert "drawing-figure-0" in text


def test_medians_on_the_page_are_those_of_the_samples(reported_run):
    samples = reported_run.samples()
    best = samples[(samples.kernel == "torch") & (samples.threads == 2)]
    best = best[best.case == "signal=10000,taps=8,iterations=50,float32"]
    median = np.median(best.wall_ns / best.loops) / 1e3
    assert f"{median:.3g} µs" in page_of(reported_run)


def test_the_ledger_is_a_table_beside_the_page_and_in_it(reported_run):
    table = pd.read_csv(reported_run.path / "ledger.csv")
    assert set(table.kernel) == {"numba_parallel", "numba_blocked"}
    assert (table.compile_s == 2.5).all()
    assert "What compiling costs" in page_of(reported_run)


def test_cells_are_one_table_that_leads_to_samples(reported_run):
    text = page_of(reported_run)
    assert text.count('id="every-cell"') == 1
    cells = pd.read_csv(reported_run.path / "cells.csv")
    measured = [number for number, n in enumerate(cells.sample_count, start=1) if n > 0]
    linked = [int(n) for n in re.findall(r'href="samples\.txt#:~:text=cell%20(\d+)%3A"', text)]
    assert linked == measured
    samples = (reported_run.path / "samples.txt").read_text(encoding="utf-8")
    assert [int(n) for n in re.findall(r"(?m)^cell (\d+):", samples)] == measured


def test_the_page_shows_its_evidence(tmp_path):
    run = Run.create(
        tmp_path / "run",
        environment_taken_out={"OMP_NUM_THREADS": "1"},
        pools=[{"name": "openblas", "version": "0.3.31", "architecture": "SkylakeX", "threads": 2}],
        roofs=[
            {
                "dtype": "float32",
                "threads": 2,
                "flops_per_s": 2e11,
                "gemm_flops_per_s": 1.9e11,
                "bandwidth": [[1e4, 4e11], [1e9, 5e10]],
                "triad": [[1e4, 3e11], [1e9, 4e10]],
            }
        ],
        time_spent={"roofs": 12.0},
    )
    write_report(run)
    words = " ".join(Page(page_of(run)).words)
    for told in ("OMP_NUM_THREADS", "SkylakeX", "190 GFLOP/s", "memory 40 GB/s", "12 s"):
        assert told in words


def test_what_the_twins_could_tell_is_on_the_page(reported_run):
    assert "What could be told apart" in page_of(reported_run)
