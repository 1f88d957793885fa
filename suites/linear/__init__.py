"""Linear analysis of real data: what the run folder keeps of it, and the suite that asks for it."""
