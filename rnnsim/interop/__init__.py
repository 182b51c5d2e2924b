"""Doors to other libraries: SciPy's optimizers."""
