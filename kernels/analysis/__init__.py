"""Linear analysis: estimate a model, validate it, and see what its estimation costs."""
