"""Pictures of trainings and networks; matplotlib is imported when the first one is drawn.

Every function draws one figure and writes it to `path` as PNG, SVG or PDF, by its ending; `film` writes an animated GIF.
"""

from rnnsim.core.lazy import lazy

_NAMES = {
    "learning_curve": "rnnsim.plotting.curves",
    "compared_curves": "rnnsim.plotting.curves",
    "learning_curves": "rnnsim.plotting.seeds",
    "example": "rnnsim.plotting.sequences",
    "gates": "rnnsim.plotting.sequences",
    "examples": "rnnsim.plotting.pages",
    "memory": "rnnsim.plotting.episodes",
    "memory_blocks": "rnnsim.plotting.blocks",
    "film": "rnnsim.plotting.animation",
    "generalisation": "rnnsim.plotting.sweeps",
    "rule_alignment": "rnnsim.plotting.alignment",
}
__getattr__, __dir__ = lazy(__name__, _NAMES)
