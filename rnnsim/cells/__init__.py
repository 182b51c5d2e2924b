"""Recurrent cells, one a file; the contract is in `rnnsim.cells.interface`."""

from rnnsim.core.registry import Registry

CELLS = Registry(
    "cell",
    {
        "rnn": (
            "rnnsim.cells.fully_recurrent:FullyRecurrent",
            "fully recurrent network: leak, activations, connection mask",
        ),
        "lstm": ("rnnsim.cells.lstm:LSTM", "long short-term memory: forget gate, peepholes, coupled gates"),
        "gru": ("rnnsim.cells.gru:GRU", "gated recurrent unit and its gate variants GRU1, GRU2, GRU3"),
        "elstm": ("rnnsim.cells.elstm:ELSTM", "element-wise recurrent LSTM: its influence stays in the unit"),
    },
    group="rnnsim.cells",
    classes=("rnnsim.cells.interface:Cell",),
)
