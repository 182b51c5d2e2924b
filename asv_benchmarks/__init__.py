import rnnsim  # noqa: F401  RNNSIM_ISA is read before Numba is loaded
