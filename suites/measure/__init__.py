"""The measuring engine: one block of competing kernels at a time, each in its own process."""
