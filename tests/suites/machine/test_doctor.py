import io
import os
import time

import pytest
from rich.console import Console

from convgrad.suites.machine import doctor, environment, facts, readings
from convgrad.suites.machine.doctor import Finding, diagnose, print_findings
from convgrad.suites.machine.judges import JUDGES
from convgrad.suites.machine.readings import READINGS

CALM = [(100, 100)] * 90 + [(104, 104)] * 10
WANDERING = [(100, 100)] * 90 + [(130, 130)] * 10
INTERRUPTED = [(100, 100)] * 90 + [(400, 100)] * 10
AVX512 = {"avx512f", "avx512bw", "avx512vl", "avx2", "fma"}

PLANTED = [
    ("other load", (0.01, []), "ok", ""),
    ("other load", (0.2, ["make (pid 7)"]), "warn", "make (pid 7)"),
    ("other load", (1.5, []), "stop", "outside this container"),
    ("clock", (50, 60.0, True), "ok", ""),
    ("clock", (5000, 60.0, True), "warn", "clocksource"),
    ("clock", (50, 2000.0, True), "warn", "clocksource"),
    ("clock", (15_600_000, 100.0, True), "stop", "clocksource"),
    ("clock", (50, 60.0, False), "stop", "clocksource"),
    ("steady core", CALM, "ok", ""),
    ("steady core", WANDERING, "warn", "fix the clock rate"),
    ("steady core", INTERRUPTED, "stop", "close other programs"),
    ("undivided core", (0.001, 0.0), "ok", ""),
    ("undivided core", (0.05, 0.0), "warn", "close"),
    ("undivided core", (0.001, 0.2), "stop", "virtual machine"),
    ("core pairing", (4, 4, 3.7), "ok", ""),
    ("core pairing", (4, 2, 2.2), "warn", "--threads 1 --threads 2"),
    ("core pairing", (2, 2, 1.0), "warn", "run --threads 1"),
    ("core pairing", (8, 8, 0.2), "warn", "run --threads 1"),
    ("memory bandwidth", [1.0] * 90 + [1.1] * 10, "ok", ""),
    ("memory bandwidth", [1.0] * 90 + [1.4] * 10, "warn", "quieter"),
    ("memory bandwidth", [1.0] * 90 + [3.0] * 10, "stop", "quieter"),
    ("twin processes", 0.99, "ok", ""),
    ("twin processes", 0.93, "warn", "thorough"),
    ("twin processes", 1.4, "stop", "thorough"),
    ("heat", (0, 0), "ok", ""),
    ("heat", (0, 12), "warn", "cool"),
    ("heat", (1, 12), "stop", "cool"),
    ("governor", "performance", "ok", ""),
    ("governor", "powersave", "warn", "cpupower"),
    ("turbo", False, "ok", ""),
    ("turbo", True, "warn", "no_turbo"),
    ("huge pages", "madvise", "ok", ""),
    ("huge pages", "never", "warn", "transparent_hugepage"),
    ("swap", 0, "ok", ""),
    ("swap", 1 << 30, "warn", "swapoff"),
    ("CPU quota", 2.0, "ok", ""),
    ("CPU quota", 2.5, "warn", "--cpuset-cpus 0-1"),
    ("CPU quota", 0.5, "stop", "--cpuset-cpus 0-0"),
    ("affinity", (4, 4), "ok", ""),
    ("affinity", (2, 4), "warn", "taskset --cpu-list 0-3"),
    ("free memory", 8 << 30, "ok", ""),
    ("free memory", 1 << 30, "warn", "close"),
    ("free memory", 1 << 20, "stop", "close"),
    ("environment", [], "ok", ""),
    ("environment", ["OMP_NUM_THREADS", "MKL_CBWR"], "warn", "unset OMP_NUM_THREADS MKL_CBWR"),
    ("OpenBLAS", ({"SkylakeX"}, AVX512), "ok", ""),
    ("OpenBLAS", ({"Zen"}, {"avx2", "fma"}), "ok", ""),
    ("OpenBLAS", ({"neoversen1"}, {"neon"}), "ok", ""),
    ("OpenBLAS", ({"SkylakeX", "Haswell"}, AVX512), "warn", "unset OPENBLAS_CORETYPE"),
    ("OpenBLAS", ({"Prescott"}, {"avx2", "fma"}), "warn", "--upgrade numpy"),
    ("mains", True, "ok", ""),
    ("mains", False, "stop", "plug"),
    ("free disk", 50 << 30, "ok", ""),
    ("free disk", 500 << 20, "warn", "folder"),
    ("free disk", 1 << 20, "stop", "folder"),
]


@pytest.mark.parametrize(("name", "reading", "severity", "cure"), PLANTED)
def test_a_planted_cause_is_found_and_cured(name, reading, severity, cure):
    (finding,) = diagnose(readings={name: lambda: reading})
    assert (finding.name, finding.severity) == (name, severity)
    assert finding.measured
    assert finding.why
    assert cure in finding.cure
    assert bool(finding.cure) == (severity != "ok")


def test_every_reading_is_judged_and_every_judge_was_tried():
    assert list(READINGS) == list(JUDGES)
    assert {name for name, *_ in PLANTED} == set(JUDGES)


def test_what_is_not_told_or_fails_is_left_out_and_all_are_announced():
    def fails():
        raise OSError("on purpose")

    announced = []
    planted = {"governor": lambda: None, "turbo": fails, "mains": lambda: True}
    findings = diagnose(announced.append, planted)
    assert [finding.name for finding in findings] == ["mains"]
    assert announced == list(planted)


def test_this_machine_is_diagnosed_in_time():
    start = time.perf_counter()
    findings = diagnose()
    assert time.perf_counter() - start < 30
    names = {finding.name for finding in findings}
    everywhere = {"other load", "clock", "steady core", "core pairing", "memory bandwidth"}
    assert everywhere | {"twin processes", "free memory", "environment", "free disk"} <= names
    assert {finding.severity for finding in findings} <= {"ok", "warn", "stop"}


@pytest.mark.parametrize("worst", ["ok", "warn", "stop"])
def test_the_verdict_comes_last_and_only_a_stop_fails(worst):
    cure = "echo 0 | sudo tee " + "/a/very/long/path" * 9
    findings = [Finding("mains", "ok", "plugged in", "why not", "")]
    findings.append(Finding("turbo", worst, "on", "it wanders", "" if worst == "ok" else cure))
    text = io.StringIO()
    status = print_findings(Console(file=text, width=80), findings)
    assert status == (worst == "stop")
    *body, last = text.getvalue().rstrip().split("\n")
    assert last.startswith("stop" if worst == "stop" else "go on")
    assert (f"  {cure}" in body) == (worst != "ok")
    assert all(len(line) <= 80 for line in body if cure not in line)


def test_the_command_ends_with_the_verdict(monkeypatch):
    from typer.testing import CliRunner

    from convgrad.suites.cli import app

    monkeypatch.setattr(doctor, "diagnose", lambda progress: diagnose(readings={}))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0
    assert "go on" in result.output.splitlines()[-1]
    planted = {"mains": lambda: False}
    monkeypatch.setattr(doctor, "diagnose", lambda progress: diagnose(readings=planted))
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 1


def test_other_load_is_that_of_others():
    load, programs = readings.other_load(0.1)
    assert 0 <= load <= environment.usable_cores() + 0.5
    assert not any(f"(pid {os.getpid()})" in program for program in programs)


def test_half_the_physical_cores_are_told_by_their_siblings(system, monkeypatch):
    system(
        **{
            f"cpu/cpu{core}/topology/thread_siblings_list": pair
            for core, pair in enumerate(["0,2", "1,3", "0,2", "1,3"])
        }
    )
    monkeypatch.setattr(readings.numba.config, "NUMBA_NUM_THREADS", 4)
    monkeypatch.setattr(readings, "_peak", lambda threads: 10.0 * min(threads, 2))
    assert readings.core_pairs() == (4, 2, 2.0)


def test_throttling_is_counted_over_a_load(system, monkeypatch):
    assert readings.throttling() is None
    counter = "cpu/cpu0/thermal_throttle/core_throttle_count"
    system(**{counter: "3"})
    monkeypatch.setattr(readings, "_peak", lambda *_: system(**{counter: "5"}))
    assert readings.throttling() == (2, 5)


def test_time_that_is_stolen_is_told_from_time_that_others_have(monkeypatch):
    ticks = iter([(1.0, 10.0), (1.5, 12.0)])
    monkeypatch.setattr(facts, "steal_ticks", lambda: next(ticks))
    monkeypatch.setattr(readings, "spins", lambda: [(100, 75), (100, 85)])
    assert readings.core_time() == pytest.approx((0.2, 0.25))


def test_a_twin_that_does_not_start_is_no_reading(monkeypatch):
    monkeypatch.setattr(readings, "_TWIN", "raise SystemExit(1)")
    assert diagnose(readings={"twin processes": readings.twins}) == []


def test_variables_that_hold_back_are_named(monkeypatch):
    monkeypatch.setattr(readings.os, "environ", {"OMP_NUM_THREADS": "1", "HOME": "/"})
    assert readings.held_back() == ["OMP_NUM_THREADS"]
