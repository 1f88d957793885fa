"""Studies of models: recipes as data, trained before anything is timed."""
