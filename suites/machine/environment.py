"""The part of the machine that a measurement may use, and a fair environment to use it in."""

import os
import re
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path

import psutil

TAKEN_OUT = {
    "OMP_*": "changes number, place, schedule or stack of OpenMP threads",
    "GOMP_*": "changes the threads of GNU's OpenMP (torch, scikit-learn, Numba)",
    "KMP_*": "changes the threads of LLVM's and Intel's OpenMP",
    "OPENBLAS_*": "makes OpenBLAS run code or blocks meant for another processor",
    "GOTO*": "older names of OpenBLAS' settings",
    "MKL_*": "makes MKL run older instructions, reproducible code or fewer threads",
    "BLIS_*": "makes BLIS run code or threads of the caller's choice",
    "NVPL_*": "makes NVIDIA's libraries for Arm run code for another processor",
    "ARMPL_*": "makes Arm's libraries run threads of the caller's choice",
    "VECLIB_*": "changes the threads of Apple's Accelerate",
    "NUMEXPR_*": "changes the threads of NumExpr",
    "NUMBA_*": "changes the code that Numba compiles, its threads, or prints while it compiles",
    "ONEDNN_*": "holds oneDNN (in torch) to older instructions, or makes it print",
    "DNNL_*": "older names of oneDNN's settings",
    "ATEN_CPU_CAPABILITY": "holds torch to older instructions",
    "NPY_DISABLE_CPU_FEATURES": "holds NumPy to older instructions",
    "NPY_ENABLE_CPU_FEATURES": "holds NumPy to the instructions that it names",
    "NUMPY_MADVISE_HUGEPAGE": "changes the pages of NumPy's large arrays",
    "OPENCV_CPU_DISABLE": "holds OpenCV to older instructions",
    "OPENCV_IPP": "makes OpenCV do without the library behind some of its functions",
    "OPENCV_FOR_THREADS_NUM": "changes the threads of OpenCV",
    "SCIPY_ARRAY_API": "adds a dispatch to every call of SciPy",
    "MALLOC_*": "changes how memory is allocated, or checks and fills it",
    "GLIBC_TUNABLES": "changes how memory is allocated and copied",
    "PYTHONMALLOC": "changes how Python allocates memory, or checks it",
    "PYTHONTRACEMALLOC": "records every allocation",
    "PYTHONDEVMODE": "checks memory and warns at run time",
    "COVERAGE_PROCESS_*": "traces every line of Python",
}
"""Patterns of variables that hold a library back or force it, and what they do."""

KEPT = {
    "KMP_DUPLICATE_LIB_OK": "without it, programs with two copies of OpenMP end at import",
    "MKL_INTERFACE_LAYER": "chooses the width of integers, which callers depend on",
    "NUMBA_CACHE_DIR": "where compiled code is kept, not what it is",
    "NUMBA_ENABLE_CUDASIM": "chooses the device",
    "NUMBA_CUDA_*": "finds the driver and chooses how it is called",
    "NUMBA_DISABLE_CUDA": "chooses the device",
}
"""Exceptions from `TAKEN_OUT`. Variables in neither table are the user's own business:
``LD_PRELOAD`` (another allocator may be the one that production runs on; `describe` shows it),
``CUDA_VISIBLE_DEVICES``, paths."""

THREAD_COUNTS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)

_CGROUP = Path("/sys/fs/cgroup")
_MEMORY_FILES = (  # of control groups version 2, version 1
    ("memory.max", "memory.current"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes"),
)
_INACTIVE_FILE = re.compile(r"^(?:total_)?inactive_file (\d+)", re.MULTILINE)
_ANCIENT_LIMIT = 1 << 60  # version 1 writes "no limit" as a number near 2**63


def fair_environment(environment, threads, *, keep=False):
    """Make the environment in which worker processes are started.

    Parameters
    ----------
    environment : mapping of str to str
        The caller's, such as ``os.environ``.
    threads : int
        What every library that counts its threads is told; read at import.
    keep : bool
        Whether to leave everything but the thread counts as it is.

    Returns
    -------
    new : dict
    taken_out : dict
        Name and value of each variable that was removed, or that said another thread count;
        `reason` tells why. Empty with ``keep``.
    """
    counts = dict.fromkeys(THREAD_COUNTS, str(threads))
    taken_out = {
        name: value
        for name, value in environment.items()
        if not keep and reason(name) and counts.get(name) != value
    }
    left = {name: value for name, value in environment.items() if name not in taken_out}
    return left | counts, taken_out


def restrictions(environment):
    """Name and value, as text, of the variables that hold a library back where they are left."""
    return [
        f"{name}={value}"
        for name, value in sorted(environment.items())
        if value and reason(name) and name not in THREAD_COUNTS
    ]


def reason(variable):
    """Say why an environment variable spoils measurements; None if it does not."""
    if any(fnmatchcase(variable, pattern) for pattern in KEPT):
        return None
    return next((why for pattern, why in TAKEN_OUT.items() if fnmatchcase(variable, pattern)), None)


def pin(threads):
    """Pin a process of one thread to one core, always the same: the last that it may use.

    Processes of one thread that wander over the cores measure up to 40 % apart. Does nothing
    with more threads, and where the system cannot pin.

    Returns
    -------
    int or None
        The core.
    """
    if threads != 1 or not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(0))
    with suppress(OSError):
        os.sched_setaffinity(0, {core})
        return core
    return None


@contextmanager
def pinned(threads):
    """Have the body of the ``with`` pinned as `pin` does it."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    changed = pin(threads) is not None
    try:
        yield
    finally:
        if changed:
            os.sched_setaffinity(0, before)


@contextmanager
def apart():
    """Have the threads of this process on cores of their own in the body of the ``with``.

    Threads that woke up on one core may stay there for as long as they are busy, while another
    idles. The busiest are dealt out first, by the time that they have run so far. Afterwards all
    are free to go again, but have no reason to.
    """
    cores = affinity()
    tasks = sorted(_run_times().items(), key=lambda task: -task[1]) if len(cores) > 1 else []
    for number, (task, _) in enumerate(tasks):
        _confine(task, {cores[number % len(cores)]})
    try:
        yield
    finally:
        for task, _ in tasks:
            _confine(task, cores)


def _run_times():
    """Nanoseconds for which each thread of this process has run; none where no system says so."""
    times = {}
    for folder in Path("/proc/self/task").glob("*"):
        with suppress(OSError, ValueError, IndexError):
            times[int(folder.name)] = int((read(folder / "schedstat") or "").split()[0])
    return times


def _confine(task, cores):
    with suppress(OSError):  # a thread may have ended
        os.sched_setaffinity(task, cores)


def usable_cores():
    """Count the cores that this process may keep busy: its affinity, within its quota."""
    cores = len(affinity())
    quota = quota_cores()
    return max(1, min(cores, int(quota))) if quota else cores


def available_bytes():
    """Memory that can still be allocated, within the limit of the control group."""
    free = psutil.virtual_memory().available
    return max(0, min([free, *(limit - used for limit, used in _memory_limits())]))


def total_bytes():
    """Memory of the machine, within the limit of the control group."""
    return min([psutil.virtual_memory().total, *(limit for limit, _ in _memory_limits())])


def affinity():
    """Cores that this process may run on, in order."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def quota_cores():
    """Cores' worth of time that the control groups grant, or None; the strictest level counts."""
    grants = []
    for folder in _control_groups("cpu"):
        quota, period = (read(folder / "cpu.max") or "max 1").split()
        if quota == "max":
            quota = read(folder / "cpu.cfs_quota_us") or "-1"
            period = read(folder / "cpu.cfs_period_us") or "1"
        if int(quota) > 0:
            grants.append(int(quota) / int(period))
    return min(grants, default=None)


def read(path):
    """Read a small file of the system, without white space around it; None if there is none."""
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None


def _memory_limits():
    """Pairs (limit, use) in bytes of the control groups that have a limit.

    Cached pages of files that nobody has read lately are given up first, and do not count.
    """
    pairs = []
    for folder in _control_groups("memory"):
        for names in _MEMORY_FILES:
            limit, used = (read(folder / name) for name in names)
            if not limit or not used or limit == "max" or int(limit) >= _ANCIENT_LIMIT:
                continue
            cached = _INACTIVE_FILE.search(read(folder / "memory.stat") or "")
            pairs.append((int(limit), int(used) - int(cached[1] if cached else 0)))
    return pairs


def _control_groups(controller):
    """Folders of the control groups of this process, innermost first, of either version."""
    for line in (read("/proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = _CGROUP / controller if controllers else _CGROUP
        group = root / path.lstrip("/")
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(root))
