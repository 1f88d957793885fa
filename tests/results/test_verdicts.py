import numpy as np
import pandas as pd
import pytest

from convgrad.results.schema import SAMPLE_COLUMNS, TWIN
from convgrad.results.statistics import Comparison
from convgrad.results.summary import cells, resolution, winners
from convgrad.results.verdicts import MANY, verdict

CONTEST = {"operation": "convolve", "threads": 2, "cache": "warm", "call": "plain"}
ROUNDS = 18


def summarise(cases, rounds=ROUNDS, spread=0.001, **changes):
    """Cells of cases, each of which gives the seconds of its kernels; the first is the baseline."""
    generator = np.random.default_rng(5)
    samples, facts = [], []
    for number, kernels in enumerate(cases):
        for position, (kernel, seconds) in enumerate(kernels.items()):
            key = {**CONTEST, **changes, "case": f"{number}", "kernel": kernel}
            noise = np.exp(spread * generator.standard_normal(rounds))
            samples += [
                {**key, "process": i % 3, "round": i // 3, "position": position, "loops": 1}
                | {"wall_ns": 1e9 * seconds * noise[i], "cpu_ns": 1e9 * seconds}
                for i in range(rounds)
            ]
            if kernel != TWIN:
                costs = {"flops": 1e7, "bytes": 1e6, "footprint": 1e6, "dtype": "float32"}
                facts.append({**key, "status": "ok", "baseline": not position, **costs})
    return cells(pd.DataFrame(samples, columns=list(SAMPLE_COLUMNS)), facts)


def verdicts(table, kernel="other"):
    return table[table.kernel == kernel].verdict.tolist()


@pytest.mark.parametrize(
    ("factor", "spread", "rounds", "said"),
    [
        (1.5, 0.01, 12, "slower"),
        (0.7, 0.01, 12, "faster"),
        (1.0, 0.001, 12, "same"),
        (1.01, 0.001, 12, "same"),
        (1.0, 0.2, 12, "unresolved"),
        (0.1, 0.001, 5, "unresolved"),
    ],
)
def test_verdicts(factor, spread, rounds, said):
    table = summarise([{"numpy": 1.0, "other": factor}], rounds, spread)
    assert verdicts(table) == [said]
    assert verdicts(table, "numpy") == [""]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "faster"),
        ({"rounds": 5}, "unresolved"),
        ({"p_adjusted": 0.051}, "unresolved"),
        ({"resolution": 0.11}, "unresolved"),
        ({"resolution": 0.09}, "faster"),
        ({"twin_deviation": np.log(1.11)}, "unresolved"),
        ({"twin_deviation": np.log(1.06)}, "faster"),
        ({"twin_deviation": -np.log(1.06)}, "unresolved"),
        ({"twin_deviation": -np.log(1.04)}, "faster"),
        ({"comparison": Comparison(1.1, 0.99, 1.2, 0.01)}, "unresolved"),
        ({"comparison": Comparison(0.9, 0.85, 0.95, 0.01)}, "slower"),
        ({"comparison": Comparison(1.01, 1.005, 1.015, 0.01)}, "same"),
        ({"comparison": Comparison(1.01, 1.005, 1.015, 0.01), "resolution": 0.03}, "unresolved"),
    ],
)
def test_a_verdict_needs_all_of_its_evidence(changes, said):
    evidence = {"comparison": Comparison(1.1, 1.05, 1.15, 0.01), "rounds": 12, "p_adjusted": 0.01}
    assert verdict(**{**evidence, **changes}) == said


def test_the_figure_resolves_what_its_twins_do():
    table = summarise([{"numpy": 1.0, TWIN: twin, "other": 0.9} for twin in (1.0, 1.2, 1.01)])
    assert resolution(table) == pytest.approx(0.2, abs=0.005)
    assert table.resolution.nunique() == 1
    assert verdicts(table) == ["unresolved"] * 3


def test_a_twin_of_few_rounds_says_nothing_about_the_other_cases_of_its_figure():
    few = summarise([{"numpy": 1.0, TWIN: 1.2, "other": 0.9}], rounds=5)
    assert np.isnan(resolution(few))
    assert verdicts(few) == ["unresolved"]


def test_among_many_twins_one_may_be_odd_but_counts_in_its_own_block():
    cases = [{"numpy": 1.0, TWIN: 1.0, "other": 0.9} for _ in range(MANY + 1)]
    cases[4][TWIN] = 1.2
    table = summarise(cases)
    assert resolution(table) < 0.01
    told = verdicts(table)
    assert told.pop(4) == "unresolved"
    assert set(told) == {"faster"}


def test_a_twin_as_fast_as_the_kernel_says_that_the_baseline_was_unlucky():
    cases = [{"numpy": 1.0, TWIN: twin, "other": 0.8} for twin in (0.85, 1 / 0.85)]
    cases += [{"numpy": 1.0, TWIN: 1.0, "other": 0.8} for _ in range(MANY)]
    assert verdicts(summarise(cases))[:3] == ["unresolved", "faster", "faster"]


def test_without_twins_nothing_is_known_of_the_resolution():
    table = summarise([{"numpy": 1.0, "other": 0.9}])
    assert np.isnan(resolution(table))
    assert verdicts(table) == ["faster"]


def test_many_comparisons_of_a_figure_need_more_evidence_each():
    others = {f"other{number}": 1.0 for number in range(40)}
    table = summarise([{"numpy": 1.0, **others}], rounds=9, spread=0.01)
    adjusted = table.p_adjusted.dropna()
    assert len(adjusted) == 40
    assert (adjusted > 0.05).all()
    assert (adjusted == 1).any()


def test_winners_are_compared_with_their_runners_up():
    table = summarise([{"numpy": 4.0, "second": 1.1, "best": 1.0}, {"numpy": 1.0, "best": 1.001}])
    won = winners(table)
    assert won.winner.tolist() == ["best", "numpy"]
    assert won.verdict.tolist() == ["faster", "same"]
    assert won.clear.tolist() == [True, False]
    leads = table[table.lead.notna()].set_index("case")
    assert leads.kernel.tolist() == ["best", "numpy"]
    assert leads.lead.tolist() == pytest.approx([1.1, 1.001], rel=2e-3)
    assert ((leads.lead_low <= leads.lead) & (leads.lead <= leads.lead_high)).all()
    assert won.factor_over_runner_up.tolist() == leads.lead.tolist()


def test_equal_kernels_are_told_apart_in_few_figures():
    generator = np.random.default_rng(11)
    wrong = 0
    for _ in range(60):
        crowd = np.exp(0.05 * generator.standard_normal((8, 3, 6)))
        crowd *= np.exp(0.05 * generator.standard_normal((8, 3, 1)))  # a process has its own luck
        key = {**CONTEST, "case": "c"}
        samples = [
            {**key, "kernel": f"k{k}", "process": p, "round": r, "position": k, "loops": 1}
            | {"wall_ns": 1e9 * crowd[k, p, r], "cpu_ns": 1e9}
            for k, p, r in np.ndindex(crowd.shape)
        ]
        facts = [{**key, "kernel": f"k{k}", "status": "ok", "baseline": not k} for k in range(8)]
        table = cells(pd.DataFrame(samples), facts)
        wrong += table.verdict.isin(["faster", "slower"]).any()
    assert wrong <= 60 * 0.05 + 2 * np.sqrt(60 * 0.05 * 0.95)


def test_a_baseline_alone_is_compared_with_nobody():
    table = summarise([{"base": 1.0}])
    assert table.speedup.dtype == float
    assert table.speedup.isna().all()
    assert table.verdict.tolist() == [""]
