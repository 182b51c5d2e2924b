"""Tables of connections by name, for the option `connections` of the fully recurrent network with readout=units.

Hochreiter & Schmidhuber, "LSTM can solve hard long time lag problems" (NIPS 9, 1996), guess the weights of two architectures
with one input and one output; unit 0 is the output unit, all others are hidden. With outputs_last=1 the output unit sees the
hidden units at the same time step. Otherwise no such network knows the parity of its inputs at once: of the newest one the output
unit would then be a monotone function.

    guess-a1    A1(n): fully connected, n hidden units with biases; the output unit has none
    guess-a2    A2: every hidden unit sees the input, the output unit and itself; the output unit sees the input and all hidden
                units; all have biases. The paper has 10 hidden units

A table is (H, I + H + 1): 1 for a connection that exists, -1 for one that does not; the last column is that of the biases.
"""

import numpy as np

from rnnsim.core.registry import require


def guess_a1(n_inputs, hidden):
    """Fully connected; (n + 1)(n + 2) + n weights of n = `hidden` - 1 hidden units for one input.

    >>> [int((guess_a1(1, n + 1) > 0).sum()) for n in (1, 2, 3)]
    [7, 14, 23]
    """
    require(hidden > 1, f"hidden={hidden}: connections=guess-a1 needs the output unit and a hidden one")
    table = np.ones((hidden, n_inputs + hidden + 1), np.int8)
    table[0, -1] = -1
    return table


def guess_a2(n_inputs, hidden):
    """Sparse; 4 n + n + 2 weights of n = `hidden` - 1 hidden units for one input.

    >>> int((guess_a2(1, 11) > 0).sum())
    52
    """
    require(hidden > 1, f"hidden={hidden}: connections=guess-a2 needs the output unit and a hidden one")
    table = np.full((hidden, n_inputs + hidden + 1), -1, np.int8)
    table[:, :n_inputs] = table[:, -1] = 1
    between = table[:, n_inputs:-1]
    between[0, 1:] = between[1:, 0] = 1
    np.fill_diagonal(between[1:, 1:], 1)
    return table


TABLES = {"guess-a1": guess_a1, "guess-a2": guess_a2}
