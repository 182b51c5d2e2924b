"""The contract of a learning rule.

1. ``__init__(**options)``: each option is annotated; the registry checks and converts.
2. ``check(net, task)`` raises `RnnsimError`, one line, if the rule cannot serve this network on this task. It comes before a
   training; a rule that judges sequences by the task keeps it.
3. ``learn(net, batch, loss, apply, state)`` learns from one batch that begins in `state` (None: the network's initial
   state). Whenever a gradient (flat, like ``net.theta``) is ready it calls ``apply(gradient)``, which changes ``net.theta``
   in place; once a batch or often. It returns a `Learned`. If ``apply`` has a ``rate`` above 0, all it does is
   ``net.theta -= rate * gradient``: a rule may do that by itself, in a kernel, and say how often by ``apply.made(count)``.
   A rule with ``sets_weights`` needs no gradient: it puts new weights into ``net.theta`` by itself.
4. A rule knows networks by their interface only and keeps no state of a run that is not in what it returns. One that draws
   random numbers takes them from `randomness`, the seed and the number of the batch, which a training sets before every
   batch. ``begin(state)``, if it is there, turns the state after one sequence into what goes on to a new one.
"""

from typing import NamedTuple

import numpy as np


class Learned(NamedTuple):
    """What a rule gives back for one batch; the outputs are overwritten by the network's next call."""

    loss: float
    outputs: np.ndarray  # (T, B, K) or (B, K), as the network gave them while it learned
    state: list  # final state, for streams that go on
    figures: dict | None = None  # whole numbers for the reports, such as the trials so far
