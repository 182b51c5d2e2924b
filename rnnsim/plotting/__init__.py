"""Pictures of trainings and networks. The first picture imports matplotlib.

Every function draws one figure, writes it to `path` and returns the path. The ending of `path` selects the format: .png, .svg or
.pdf; `film` writes an animated .gif. A file is written completely or not at all. Another ending, and nothing to draw, raise
`RnnsimError`.
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
    "tree": "rnnsim.plotting.trees",
    "segmentation": "rnnsim.plotting.pictures",
    "merge_tree": "rnnsim.plotting.pictures",
    "generalisation": "rnnsim.plotting.sweeps",
    "rule_alignment": "rnnsim.plotting.alignment",
}
__getattr__, __dir__ = lazy(__name__, _NAMES)
