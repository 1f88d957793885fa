"""The machine: what it is, what it can do at most, and what is wrong with it today."""
