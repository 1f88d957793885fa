"""How kernels are measured: suites as axes, and the engine behind them."""
