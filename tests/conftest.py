import os

# Tests start sessions of pytest that measure: none of those is a worker of this one, as
# pytest-benchmark would take it for by this variable, and then measure nothing.
os.environ.pop("PYTEST_XDIST_WORKER", None)
