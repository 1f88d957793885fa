import numpy as np
import pandas as pd
import pytest

from convgrad.results.limits import bandwidth_at
from convgrad.results.schema import CELL_COLUMNS, SAMPLE_COLUMNS, SPIN, TWIN, size_columns
from convgrad.results.summary import cells, published, resolution, winners

KEY = {"operation": "convolve", "case": "c", "threads": 2, "cache": "warm", "call": "plain"}
ROOF = {
    "dtype": "float32",
    "threads": 2,
    "flops_per_s": 1e10,
    "bandwidth": [[1e4, 1e11], [1e8, 1e9]],
}


def fact(kernel="numpy", **changes):
    costs = {"parameters": 3, "flops": 1e7, "bytes": 1e6, "footprint": 1e6, "dtype": "float32"}
    return {**KEY, "kernel": kernel, "status": "ok", **costs, **changes}


def samples(**seconds):
    """Samples of ten loops from the seconds of each round, by kernel."""
    rows = [
        {**KEY, "kernel": kernel, "process": 0, "round": i, "position": 0, "loops": 10}
        | {"wall_ns": 1e10 * second, "cpu_ns": 1e10 * second}
        for kernel, times in seconds.items()
        for i, second in enumerate(times)
    ]
    return pd.DataFrame(rows, columns=list(SAMPLE_COLUMNS))


MACHINE = {"l1d_bytes": 32e3, "l2_bytes": 1e6, "l3_bytes": 3e7, "l3_instances": 1}


def row(table, kernel="numpy"):
    return table.set_index("kernel").loc[kernel]


def test_one_cell():
    times = [0.010, 0.011, 0.009, 0.013, 0.010, 0.012, 0.010]
    cell = row(cells(samples(numpy=times), [fact(baseline=True)], {"roofs": [ROOF]}))
    assert cell.median_s == pytest.approx(0.010)
    assert (cell.low_s, cell.high_s) == pytest.approx((0.009, 0.013))
    assert cell.min_s == pytest.approx(0.009)
    assert cell.sample_count == 7
    assert cell.gflops == pytest.approx(1.0)
    assert cell.gbytes_s == pytest.approx(0.1)
    assert cell.verdict == ""
    assert np.isnan(cell.speedup)


def test_columns_are_those_of_the_schema_with_sizes_in_between():
    facts = [
        fact(sizes={"signal": [512, 512], "taps": [7], "mode": "full"}),
        fact("other", sizes={"samples": 4, "padding": [[1, 2], [0, 0]], "bytes": 3}),
    ]
    table = cells(samples(), facts)
    names = ["signal", "taps", "mode", "samples", "padding", "size_bytes"]
    assert size_columns(table) == names
    assert [name for name in table.columns if name not in names] == list(CELL_COLUMNS)
    assert table.signal[0] == "512x512"
    assert table.taps[0] == 7
    assert table.padding[1] == "1+2x0+0"


def test_speedups_pair_rounds_so_that_common_drift_cancels():
    drift = np.array([1.0, 2, 4, 8, 16, 32, 64, 128])
    table = cells(
        samples(numpy=3e-3 * drift, quick=1e-3 * drift), [fact(baseline=True), fact("quick")]
    )
    quick = row(table, "quick")
    assert (quick.speedup, quick.speedup_low, quick.speedup_high) == pytest.approx((3, 3, 3))
    assert quick.verdict == "faster"


def test_a_missing_round_does_not_shift_the_pairs():
    times = np.array([1.0, 2, 4, 8, 16, 32, 64, 128]) * 1e-3
    table = samples(numpy=times, other=times / 2)
    table = table[~((table.kernel == "other") & (table["round"] == 3))]
    assert row(cells(table, [fact(baseline=True), fact("other")]), "other").speedup_high == (
        pytest.approx(2)
    )


def test_what_is_not_ok_has_no_time_even_if_there_are_samples():
    table = cells(samples(numpy=[1e-3] * 8), [fact(status="wrong", error_ratio=7.0)])
    assert np.isnan(row(table).median_s)
    assert row(table).error_ratio == 7
    assert winners(table).empty


def test_the_roof_is_the_slower_of_arithmetic_and_memory():
    busy = fact("busy", flops=1e8, bytes=1e3, footprint=1e6)
    moving = fact("moving", flops=1e3, bytes=1e8, footprint=1e6)
    table = cells(samples(busy=[0.02] * 6, moving=[0.02] * 6), [busy, moving], {"roofs": [ROOF]})
    assert row(table, "busy").roof_fraction == pytest.approx(0.01 / 0.02)
    assert row(table, "moving").roof_fraction == pytest.approx(0.01 / 0.02)  # 1e8 / 1e10


@pytest.mark.parametrize(
    ("footprint", "level"),
    [(6e4, "L1"), (7e4, "L2"), (2e6, "L2"), (2.1e6, "L3"), (3e7, "L3"), (3.1e7, "memory")],
)
def test_the_level_is_the_smallest_that_holds_what_is_alive(footprint, level):
    facts = [fact("warm", footprint=footprint), fact("gpu", footprint=footprint, device="cuda")]
    facts.append(fact("cold", footprint=footprint, cache="cold"))
    table = cells(samples(), facts, {"machine": MACHINE})
    assert table.level.tolist() == [level, "", "memory"]
    assert (cells(samples(), facts[:1]).level == "").all()


def test_cold_inputs_come_from_memory_once():
    rounds = samples(once=[1.0] * 6, often=[1.0] * 6).assign(cache="cold")
    facts = [
        fact("once", cache="cold", flops=1e3, bytes=1e6, footprint=1e6),
        fact("often", cache="cold", flops=1e3, bytes=1e8, footprint=1e6),
    ]
    table = cells(rounds, facts, {"roofs": [ROOF]})
    assert row(table, "once").roof_fraction == pytest.approx(1e6 / 1e9)
    assert row(table, "often").roof_fraction == pytest.approx(1e8 / 1e10)
    assert (table.bound_by == "memory").all()


def test_runs_that_knew_no_cache_were_warm():
    old = fact(baseline=True)
    del old["cache"]
    table = cells(samples(numpy=[1.0] * 6).drop(columns="cache"), [old])
    assert table.cache.tolist() == ["warm"]
    assert row(table).median_s == 1


def test_warm_and_cold_are_contests_of_their_own():
    rounds = samples(numpy=[2.0] * 8, quick=[1.0] * 8)
    both = pd.concat([rounds, rounds.assign(cache="cold", wall_ns=rounds.wall_ns * 3)])
    facts = [
        fact(kernel, cache=cache, baseline=kernel == "numpy", compile_s=compile_s)
        for cache in ("warm", "cold")
        for kernel, compile_s in (("numpy", 0.0), ("quick", 6.0))
    ]
    table = cells(both, facts)
    assert table.median_s.tolist() == [2, 1, 6, 3]
    assert table.break_even_calls.dropna().tolist() == [6, 2]
    assert winners(table)[["cache", "winner", "baseline_s"]].to_numpy().tolist() == [
        ["warm", "quick", 2],
        ["cold", "quick", 6],
    ]


def test_evidence_of_unrest_is_no_competitor():
    rounds = samples(**{"numpy": [1.0] * 8, TWIN: [1.01] * 8, SPIN: [1e-3] * 8})
    plain = cells(rounds, [fact(baseline=True)])
    told = cells(rounds, [fact(baseline=True), fact(TWIN), fact(SPIN)])
    pd.testing.assert_frame_equal(plain, told)
    assert plain.kernel.tolist() == ["numpy"]
    assert resolution(plain) == pytest.approx(0.01)


def test_intervals_span_processes():
    rounds = samples(numpy=[1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    one = row(cells(rounds, [fact()]))
    two = row(cells(rounds.assign(process=[0] * 4 + [1] * 4), [fact()]))
    assert (one.process_count, two.process_count) == (1, 2)
    assert two.high_s > one.high_s == 2
    assert two.low_s < one.low_s == 1
    assert (one.cores_used, one.intensity) == (1, 10)


def test_bandwidth_is_interpolated_in_logarithms_and_held_at_the_ends():
    measured = ROOF["bandwidth"]
    assert bandwidth_at(measured, 1e6) == pytest.approx(1e10)
    assert bandwidth_at(measured, 1) == pytest.approx(1e11)
    assert bandwidth_at(measured, 1e12) == pytest.approx(1e9)
    assert np.isnan(bandwidth_at([], 1e6))


def test_another_algorithm_owes_neither_the_arithmetic_nor_the_passes():
    facts = [
        fact("gram", algorithm="gram", bytes=1e9, footprint=1e6),
        fact("loops", bytes=1e9, footprint=1e6),
    ]
    table = cells(samples(gram=[1e-3] * 6, loops=[1e-3] * 6), facts, {"roofs": [ROOF]})
    assert row(table, "gram").roof_fraction == pytest.approx(1e6 / 1e10 / 1e-3)
    assert row(table, "loops")["flags"] == "memory-bound above-roof"
    assert (row(table, "gram").bound_by, row(table, "loops").bound_by) == ("", "memory")


def test_roofs_of_other_machines_do_not_apply():
    facts = [fact("gpu", device="cuda"), fact("double", dtype="float64")]
    table = cells(samples(gpu=[1e-9] * 6, double=[1e-9] * 6), facts, {"roofs": [ROOF]})
    assert table.roof_fraction.isna().all()
    assert (table["flags"] == "").all()


def test_a_device_has_roofs_of_its_own_whatever_the_threads():
    roof = {"device": "cuda", "dtype": "float32", "flops_per_s": 1e12, "bandwidth": [[1e4, 1e11]]}
    facts = [
        fact("gpu", device="cuda", flops=1e9, bytes=1e3, footprint=1e3, call="on device"),
        fact("gpu", device="cuda", flops=1e9, bytes=1e3, footprint=1e3),
    ]
    rounds = samples(gpu=[1e-2] * 6)
    rounds = pd.concat([rounds.assign(call=call) for call in ("on device", "plain")])
    table = cells(rounds, facts, {"roofs": [ROOF, roof]})
    assert table.roof_fraction.tolist() == pytest.approx([0.1, 0.1])
    # what is drawn is the device's where all kernels have their data there
    assert table.roof_gflops.tolist() == pytest.approx([1000, ROOF["flops_per_s"] / 1e9])


def test_faster_than_the_machine_is_kept_but_neither_published_nor_a_winner():
    table = cells(
        samples(numpy=[2e-3] * 6, cheat=[1e-6] * 6),
        [fact(baseline=True), fact("cheat")],
        {"roofs": [ROOF]},
    )
    assert row(table, "cheat").median_s == pytest.approx(1e-6)
    assert row(table, "cheat")["flags"] == "above-roof"
    assert published(table).kernel.tolist() == ["numpy"]
    assert winners(table).winner.tolist() == ["numpy"]


def test_compiling_pays_off_against_the_best_that_needs_none():
    facts = [
        fact("slow", compile_s=0.0),
        fact("ready"),
        fact("jit", compile_s=3.0),
        fact("late", compile_s=3.0),
    ]
    times = {"slow": [9e-3] * 6, "ready": [4e-3] * 6, "jit": [1e-3] * 6, "late": [5e-3] * 6}
    table = cells(samples(**times), facts)
    assert row(table, "jit").break_even_calls == 1000
    assert table.set_index("kernel").break_even_calls.drop("jit").isna().all()


def test_winners():
    generator = np.random.default_rng(0)
    times = {
        name: mean * np.exp(0.001 * generator.standard_normal(10))
        for name, mean in {"numpy": 4e-3, "second": 2e-3, "best": 1e-3}.items()
    }
    facts = [fact(baseline=True), fact("second"), fact("best", family="numba")]
    won = winners(cells(samples(**times), [*facts, fact("dead", status="crashed")])).iloc[0]
    assert (won.winner, won.family, won.runner_up, won.baseline) == (
        "best",
        "numba",
        "second",
        "numpy",
    )
    assert won.factor_over_runner_up == pytest.approx(2, rel=0.01)
    assert won.factor_over_baseline == pytest.approx(4, rel=0.01)
    assert won.clear
    assert won.verdict == "faster"


def test_a_winner_within_the_intervals_is_a_tie():
    generator = np.random.default_rng(0)
    noise = np.exp(0.1 * generator.standard_normal((2, 10)))
    table = cells(
        samples(a=1e-3 * noise[0], b=1.01e-3 * noise[1]), [fact("a", baseline=True), fact("b")]
    )
    assert winners(table).verdict.tolist() == ["unresolved"]
    assert not winners(table).clear.iloc[0]


def test_rivals_without_common_rounds_are_not_told_apart():
    rounds = samples(a=[1e-3] * 8, b=[2e-3] * 8)
    rounds.loc[rounds.kernel == "b", "process"] = 1
    won = winners(cells(rounds, [fact("a"), fact("b")])).iloc[0]
    assert won.verdict == "unresolved"
    assert won.factor_over_runner_up == 2


def test_who_runs_alone_wins_over_nobody():
    won = winners(cells(samples(a=[1e-3] * 8), [fact("a")])).iloc[0]
    assert (won.winner, won.runner_up, won.baseline, won.verdict) == ("a", "", "", "")
    assert np.isnan([won.factor_over_runner_up, won.factor_over_baseline]).all()
    assert not won.clear


def test_a_model_wins_nothing_by_its_time():
    table = cells(samples(a=[1e-3] * 8, b=[2e-3] * 8), [fact("a"), fact("b")])
    assert winners(table.assign(operation="predict")).empty


def test_predictions_stay_apart_from_measurements():
    table = cells(samples(), [fact(status="skipped (budget)", predicted_s=12.0)])
    assert row(table).predicted_s == 12
    assert np.isnan(row(table).median_s)


def test_nothing_at_all():
    table = cells(samples(), [])
    assert list(table.columns) == list(CELL_COLUMNS)
    assert winners(table).empty
    assert np.isnan(resolution(table))
