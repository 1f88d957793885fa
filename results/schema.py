"""Names that every table shares: columns, statuses, flags, verdicts."""

KEY = ("operation", "case", "kernel", "threads")
"""What identifies a cell. Kernels compete where the others of these are equal."""

CONTEST = ("operation", "case", "threads")

SAMPLE_COLUMNS = (
    *KEY,
    "process",  # number of the replicate, the same for all competitors: not a process id
    "round",  # with `process`, pairs a kernel's sample with its baseline's
    "position",
    "loops",
    "wall_ns",
    "cpu_ns",
)

STATUSES = (
    "ok",
    "wrong",
    "unsupported",
    "unavailable",
    "crashed",
    "timed out",
    "out of memory",
    "skipped (budget)",
)
FAILURES = ("wrong", "crashed", "timed out", "out of memory")
"""Statuses of a kernel that was tried and did not deliver; the others were never tried."""

STATES = ("running", "interrupted", "finished")
VERDICTS = ("faster", "slower", "same", "unresolved")
FLAGS = ("few-samples", "noisy", "above-roof")

CELL_COLUMNS = (
    *KEY,
    "dtype",
    "data",
    "family",
    "device",
    "algorithm",
    "baseline",
    "parameters",
    "flops",
    "bytes",
    "footprint",
    "status",
    "detail",
    "error_ratio",
    "sample_count",  # not "samples", which is a size of fits
    "median_s",
    "low_s",
    "high_s",
    "min_s",
    "q1_s",
    "q3_s",
    "predicted_s",
    "gflops",
    "gbytes_s",
    "roof_gflops",  # where the direct algorithm would meet the machine's measured limits
    "roof_fraction",
    "speedup",
    "speedup_low",
    "speedup_high",
    "peak_bytes",
    "workspace_bytes",
    "compile_s",
    "load_s",
    "first_call_s",
    "break_even_calls",
    "verdict",
    "flags",
)
"""Columns of `cells.csv` besides the sizes, which stand between the key and the rest."""

TEXT_COLUMNS = (
    "operation",
    "case",
    "kernel",
    "dtype",
    "data",
    "family",
    "device",
    "algorithm",
    "status",
    "detail",
    "verdict",
    "flags",
)


def size_columns(cells):
    """Names of the columns of a table of cells that are sizes: those between key and dtype."""
    names = list(cells.columns)
    return names[names.index(KEY[-1]) + 1 : names.index("dtype")]
