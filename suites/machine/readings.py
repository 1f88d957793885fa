"""What the doctor looks at: readings of the machine as it is just now, each under a second or two.

A reading returns plain numbers and judges nothing; None means that the machine does not tell.
"""

import itertools
import os
import shutil
import statistics
import subprocess
import sys
import time

import numba
import numpy as np
import psutil

from convgrad.suites.machine import environment, facts, roofs
from convgrad.suites.machine.roof_kernels import BLOCK, read_kernel, vector_bytes
from convgrad.suites.machine.spin import spin

_NOT_BUSY = ("idle", "iowait", "steal", "guest", "guest_nice")  # guests count as users too
_TWIN = """
import sys, time
import numpy as np
from convgrad.suites.machine.environment import pin
pin(1)
rng = np.random.default_rng(0)
for _ in sys.stdin:
    x, y, out = (rng.random(40_000) for _ in range(3))
    np.add(x, y, out=out)
    start = time.perf_counter_ns()
    for _ in range(100):
        np.add(x, y, out=out)
    print(time.perf_counter_ns() - start, flush=True)
"""


def other_load(seconds=1.0):
    """Cores' worth of time that other programs use, and the busiest of these, as text."""
    own = psutil.Process()
    programs, busy = _program_seconds(), _busy_seconds() - sum(own.cpu_times()[:2])
    start = time.perf_counter()
    time.sleep(seconds)
    busy = _busy_seconds() - sum(own.cpu_times()[:2]) - busy
    passed = time.perf_counter() - start
    rates = {
        program: (used - programs.get(program, used)) / passed
        for program, used in _program_seconds().items()
        if program[0] != own.pid
    }
    busiest = sorted((p for p in rates if rates[p] > 0.05), key=rates.get, reverse=True)[:3]
    return max(0.0, busy / passed), [f"{name} (pid {pid})" for pid, name in busiest]


def timer(calls=20_000):
    """Resolution and cost of the clock in ns, and whether it ever went backwards."""
    start = time.perf_counter_ns()
    times = [time.perf_counter_ns() for _ in itertools.repeat(None, calls)]
    cost = (time.perf_counter_ns() - start) / calls
    steps = np.diff(times)
    return int(min(steps[steps > 0], default=0)), cost, bool((steps >= 0).all())


def spins(seconds=0.8):
    """Wall and CPU time of the spin probe in ns, again and again."""
    spin()
    end = time.perf_counter() + seconds
    times = []
    while time.perf_counter() < end:
        times.append(spin())
    return times


def core_time():
    """Fraction of the time in which a thread that wants to run does not, and in which it is stolen.

    The first is the operating system's doing, the second a hypervisor's.
    """
    stolen, total = facts.steal_ticks()
    walls, cpus = zip(*spins())
    stolen_since, total_since = facts.steal_ticks()
    return 1 - sum(cpus) / sum(walls), (stolen_since - stolen) / max(total_since - total, 1e-9)


def core_pairs():
    """Usable cores, how many physical ones they are said to be, and how many they are worth.

    The last is measured, since a virtual machine's topology is made up: peak multiply-adds of all
    over those of one. (A spin probe would see nothing: two of them share one core without loss.)
    """
    cores = environment.affinity()[: numba.config.NUMBA_NUM_THREADS]
    siblings = {facts.read(facts.CPU / f"cpu{c}/topology/thread_siblings_list") or c for c in cores}
    one, all_of_them = (_peak(threads) for threads in (1, len(cores)))
    return len(cores), len(siblings), all_of_them / one


def bandwidth_times(repeats=30):
    """Seconds that a thread takes to read the same large array, again and again."""
    size = roofs.working_sets(1)["memory"]
    blocks = size // (BLOCK * vector_bytes())
    data, out = roofs.touched("float32", 1, size), np.zeros(1, "float32")
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        read_kernel(data, out, blocks, 1)
        times.append(time.perf_counter() - start)
    return times[1:]


def twins(rounds=80):
    """Median ratio, in turns, of one and the same NumPy call in two identical processes.

    Both are pinned to the same core and make their arrays anew in every round, as workers do.
    """
    fair, _ = environment.fair_environment(os.environ, 1)
    command = [sys.executable, "-c", _TWIN]
    talk = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with (
        subprocess.Popen(command, env=fair, text=True, **talk) as one,
        subprocess.Popen(command, env=fair, text=True, **talk) as other,
    ):
        ratios = [_sample(one) / _sample(other) for _ in range(rounds)]
        one.stdin.close()
        other.stdin.close()
    return statistics.median(ratios[rounds // 8 :])


def throttling():
    """Times that cores were throttled for heat: during half a second of full load, since boot."""
    before = _throttle_count()
    if before is None:
        return None
    _peak(numba.config.NUMBA_NUM_THREADS, 0.5)
    after = _throttle_count()
    return after - before, after


def held_back():
    """Names of the environment variables that hold libraries back or force them."""
    return sorted(name for name in os.environ if environment.reason(name))


def blas_code():
    """Code that each loaded OpenBLAS runs, and LLVM's set of the processor's instructions."""
    import llvmlite.binding

    codes = {p["architecture"] for p in facts.thread_pools() if p["name"] == "openblas"}
    features = llvmlite.binding.get_host_cpu_features()
    return (codes, {name for name in features if features[name]}) if codes else None


def plugged():
    """Whether a machine with a battery hangs on the mains."""
    battery = psutil.sensors_battery()
    return battery and battery.power_plugged


def free_disk():
    """Bytes free where run folders go by default."""
    return shutil.disk_usage(os.getcwd()).free


def _busy_seconds():
    cores = set(environment.affinity())
    return sum(
        sum(times) - sum(getattr(times, name, 0.0) for name in _NOT_BUSY)
        for core, times in enumerate(psutil.cpu_times(percpu=True))
        if core in cores
    )


def _program_seconds():
    return {
        (p.pid, p.info["name"]): sum(p.info["cpu_times"][:2])
        for p in psutil.process_iter(["name", "cpu_times"])
        if p.info["cpu_times"]
    }


def _peak(threads, seconds=0.25):
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        return roofs.multiply_add_flops_per_s("float32", threads, seconds)
    finally:
        numba.set_num_threads(before)


def _sample(twin):
    twin.stdin.write("\n")
    twin.stdin.flush()
    return int(twin.stdout.readline())


def _throttle_count():
    files = facts.CPU.glob("cpu[0-9]*/thermal_throttle/*_throttle_count")
    counts = [int(facts.read(file) or 0) for file in files]
    return sum(counts) if counts else None


READINGS = {
    "other load": other_load,
    "clock": timer,
    "steady core": spins,
    "undivided core": core_time,
    "core pairing": core_pairs,
    "memory bandwidth": bandwidth_times,
    "twin processes": twins,
    "heat": throttling,
    "governor": facts.governor,
    "turbo": facts.turbo,
    "huge pages": facts.huge_pages,
    "swap": lambda: psutil.swap_memory().used,
    "CPU quota": environment.quota_cores,
    "affinity": lambda: (len(environment.affinity()), psutil.cpu_count() or 1),
    "free memory": environment.available_bytes,
    "environment": held_back,
    "OpenBLAS": blas_code,
    "mains": plugged,
    "free disk": free_disk,
}
"""The readings by the name of their finding, in the order in which they are taken."""
