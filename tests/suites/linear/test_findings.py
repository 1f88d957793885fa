"""What linear analysis finds is what the functions of `kernels.analysis` say."""

import json

import numpy as np
import pytest

from convgrad import kernels
from convgrad.results.findings import COEFFICIENT, findings
from convgrad.suites.linear import findings as found
from convgrad.suites.linear.suite import EXAMPLES, SETTINGS, Extent, LinearSuite
from convgrad.suites.workers.process import Lost


@pytest.fixture(scope="module")
def lasso():
    pytest.importorskip("sklearn")
    return found.path("l1", folds=3)


def test_the_lasso_begins_with_zeros_and_ends_without_a_penalty(lasso):
    coefficients = [[row[n] for n in row if n.startswith(COEFFICIENT)] for row in lasso]
    assert [coefficients[0].count(0), lasso[0]["zeros"]] == [10, 10]
    assert [row["zeros"] for row in lasso] == [some.count(0) for some in coefficients]
    assert lasso[0]["lambda"] > lasso[-1]["lambda"]


def test_the_least_error_is_chosen_and_the_simplest_that_is_as_good(lasso):
    (least,) = [row for row in lasso if row["chosen"] == "least"]
    assert least["error"] == min(row["error"] for row in lasso)
    for row in lasso:
        if row["chosen"] == "one standard error":
            assert row["lambda"] > least["lambda"]
            assert row["error"] <= least["error"] + least["standard_error"]
    # a model beats the mean of all patients by far
    assert least["test_error"] < 0.75 * lasso[0]["test_error"]


def test_filters_predict_more_than_nothing():
    rows = found.filters((1, 4, 8), folds=3)
    assert [row["taps"] for row in rows] == [1, 4, 8]
    assert [len(row["filter"].split()) for row in rows] == [1, 4, 8]
    assert min(row["error"] for row in rows) < 0.95


@pytest.mark.parametrize("operation", EXAMPLES)
def test_convergence_keeps_its_bound_and_a_smaller_condition_number_is_faster(operation):
    pytest.importorskip("sklearn")
    rows = found.convergence(operation, EXAMPLES[operation], SETTINGS, 32, 1.0)
    assert all(row["error"] <= row["bound"] + 1e-12 for row in rows)
    last = {(r["penalty"], r["step"]): r for r in rows if r["iterations"] == 32}
    assert set(last) == set(SETTINGS)
    plain, damped = last[0.0, "1/L"], last[0.1, "1/L"]
    assert damped["condition"] < plain["condition"]
    assert damped["error"] < plain["error"]


class Crew:
    """Answers at once, and has lost whoever converges with NumPy."""

    def __init__(self):
        self.asked = []

    def once(self, kernel, threads, memory_bytes, method, function, *arguments):
        self.asked.append((kernel and kernel.name, function))
        if kernel and kernel.name == "numpy":
            raise Lost("crashed", "it is gone")
        return [{"function": function, "arguments": json.dumps(arguments)}]


def test_findings_are_kept_once_and_do_without_what_is_lost(tmp_path):
    suite = LinearSuite((), {"smoke": Extent(2, (1, 2), 4, 0.1)})
    crew, told = Crew(), []
    wanted = {"numpy", "numba_loops", "scipy_correlate"}
    arguments = "smoke", tmp_path, crew, lambda kernel: kernel.name in wanted, told.append
    suite.analyse(*arguments)
    assert {name for name, what in crew.asked if what == "convergence"} == wanted
    assert "auto" in {kernel.name for kernel in kernels.find("fit_linear")} - wanted
    tables = findings(tmp_path)
    assert [len(tables[name]) for name in ("path", "filters")] == [2, 1]
    assert len(tables["convergence"]) == len(crew.asked) - 3 - 1
    assert any("it is gone" in text for text in told)
    before = len(crew.asked)
    suite.analyse(*arguments)  # a resumed run asks for nothing that is there
    assert len(crew.asked) == before
    assert not np.any([path.suffix == ".new" for path in tmp_path.iterdir()])
