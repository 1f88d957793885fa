"""Figures of linear analysis, on findings made by hand."""

import numpy as np
import pandas as pd
import pytest

from convgrad.results.findings import COEFFICIENT, findings
from convgrad.results.plots.analysis import of_findings
from convgrad.results.plots.style import applied

LAMBDAS = (100.0, 10.0, 1.0)


def chosen(place):
    return {1: "one standard error", 2: "least"}.get(place, "")


@pytest.fixture
def folder(tmp_path):
    path = pd.DataFrame(
        [
            {
                **{"penalty": penalty, "lambda": value, "zeros": 2 - place if lasso else 0},
                **{"steps": 16, "error": 3.0 - 0.1 * place, "standard_error": 0.2},
                **{"test_error": 3.0, "chosen": chosen(place)},
                **{f"{COEFFICIENT}age": 0.0, f"{COEFFICIENT}glucose": 2.0 * place},
            }
            for penalty, lasso in (("l2", False), ("l1", True))
            for place, value in enumerate(LAMBDAS)
        ]
    )
    counts = 2 ** np.arange(6)
    convergence = pd.DataFrame(
        [
            {
                **{"operation": "fit_linear", "kernel": kernel, "family": family},
                **{"penalty": 0.0, "step": step, "condition": 4.0, "iterations": count},
                **{"seconds": 1e-5 * count, "error": 0.5**count, "bound": 0.6**count},
            }
            for kernel, family, steps in (
                ("numpy", "scipy", ("1/L", "2/(L + µ)")),
                ("numba_fused", "numba", ("1/L",)),
            )
            for step in steps
            for count in counts
        ]
    )
    filters = pd.DataFrame(
        [
            {
                **{"taps": taps, "error": 1 / taps, "standard_error": 0.1},
                **{"chosen": chosen(place), "filter": " ".join(["0.5"] * taps)},
            }
            for place, taps in enumerate((1, 2, 4))
        ]
    )
    for name, table in (("path", path), ("convergence", convergence), ("filters", filters)):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def test_what_was_found_is_drawn_from_the_folder_alone(folder):
    plots = folder / "plots"
    plots.mkdir()
    with applied():
        pictures = of_findings(findings(folder), "A machine.", plots)
    assert [picture.name for picture in pictures] == ["path", "convergence", "filters"]
    assert {p.name for p in plots.iterdir()} == {
        f"{picture.name}.{kind}" for picture in pictures for kind in ("svg", "png", "csv")
    }
    path, convergence, _ = pictures
    assert ">exactly zero: 2 of them on the left, 1 at the ring, 0 at last<" in path.svg
    assert ">none is ever zero<" in path.svg
    assert ">glucose<" in path.svg
    assert ">κ = 4, step 2/(L + µ)<" in convergence.svg
    assert ">numba_fused<" in convergence.svg
    assert all("A machine." in picture.caption for picture in pictures)


def test_what_was_not_found_is_not_drawn(tmp_path):
    assert of_findings(findings(tmp_path), "A machine.", tmp_path) == []


def test_a_damaged_file_is_one_sentence(folder):
    (folder / "path.csv").write_text('penalty,lambda\n"l2,1\n')
    with pytest.raises(ValueError, match=r"path\.csv in") as error:
        findings(folder)
    assert "\n" not in str(error.value)
