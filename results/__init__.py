"""What was measured: run folders, tables, figures and the report, knowing nothing of kernels."""
