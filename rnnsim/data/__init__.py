"""Real data: readers of the standard files, samples that come with rnnsim, and the sources of the other files.

`DATA` lists the data sets by name; ``DATA.load("mnist")`` is a `rnnsim.data.fetch.DataSet`.

>>> DATA.load("digits").shipped
True
"""

from rnnsim.core.registry import Registry

DATA = Registry(
    "data set",
    {
        "digits": ("rnnsim.data.fetch:DIGITS", "1,797 handwritten digits of 8x8 pixels; comes with rnnsim"),
        "mnist": ("rnnsim.data.fetch:MNIST", "70,000 handwritten digits of 28x28 pixels"),
        "fashion-mnist": ("rnnsim.data.fetch:FASHION_MNIST", "70,000 pieces of clothing of 28x28 pixels"),
        "imdb": ("rnnsim.data.fetch:IMDB", "50,000 film reviews, for or against the film"),
        "moby-dick": ("rnnsim.data.fetch:MOBY_DICK", "the first 33 chapters, 303,550 characters; comes with rnnsim"),
        "ewt": ("rnnsim.data.fetch:EWT", "16,622 English sentences with dependency trees, UD English EWT 2.12"),
        "rated-sentences": ("rnnsim.data.fetch:RATED", "10,605 sentences of film reviews, rated from -4 to 4"),
        "shakespeare": ("rnnsim.data.fetch:SHAKESPEARE", "1.1 million characters of the plays"),
    },
    group="rnnsim.data",
    classes=("rnnsim.data.fetch:DataSet",),
    instances=True,
)

__all__ = ["DATA"]
