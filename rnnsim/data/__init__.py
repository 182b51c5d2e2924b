"""Real data: readers of the standard files, samples that come with rnnsim, and where to fetch the rest."""
