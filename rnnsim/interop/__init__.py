"""Doors to other libraries: SciPy's optimisers."""
