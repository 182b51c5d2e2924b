"""The finite control of a Turing machine that checks parentheses (Williams & Zipser 1989, Neural Computation 1(2))."""

import functools
import itertools
import math
from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.jit import jit_exact
from rnnsim.core.losses import Loss
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.core.rng import integer, uniform
from rnnsim.tasks.interface import Criterion, GeneratedTask
from rnnsim.tasks.streams import entropy_of

OPEN, CLOSE, MARK, END = 0, 1, 2, 3
SYMBOLS = "()*#"
_SEARCH, _FIND, _CHECK = 0, 1, 2
_LEFT, _RIGHT, _ACCEPT, _REJECT = 4, 5, 6, 7  # outputs behind the four of the symbol
_KIND, _LENGTH, _SYMBOLS = 0, 1, 2  # draws


@jit_exact
def run_machine(tape, seen, written, action):
    """Run the machine on a tape (with its end marks), which it changes. Returns the number of machine steps.

    seen, written, action (at least that number) <- symbol under the head, symbol written, number of the output of the move or,
    in the last machine step, of the verdict. Arrays of size 0 stay empty.
    """
    head, state, count = 1, _SEARCH, 0
    while True:
        symbol = tape[head]
        new, act, after = symbol, _LEFT, state
        if state == _SEARCH:
            if symbol == CLOSE:
                new, after = MARK, _FIND
            elif symbol == END:
                after = _CHECK
            else:
                act = _RIGHT
        elif state == _FIND:
            if symbol == OPEN:
                new, act, after = MARK, _RIGHT, _SEARCH
            elif symbol == END:
                act = _REJECT
        elif symbol == OPEN:
            act = _REJECT
        elif symbol == END:
            act = _ACCEPT
        if seen.size:
            seen[count] = symbol
            written[count] = new
            action[count] = act
        count += 1
        tape[head] = new
        if act >= _ACCEPT:
            return count
        head += 1 if act == _RIGHT else -1
        state = after


@jit_exact
def _draw_string(tape, key, s, most):
    """tape (most + 2) <- a string between end marks. Returns its length."""
    tape[0] = END
    if integer(key, s, _KIND, 2):
        length = 2 + 2 * integer(key, s, _LENGTH, most // 2)
        height = 0
        for i in range(length):
            left = length - i
            opening = uniform(key, s, _SYMBOLS + i) * (2 * left * (height + 1)) < (left - height) * (height + 2)
            tape[1 + i] = OPEN if opening else CLOSE
            height += 1 if opening else -1
    else:
        length = 1 + integer(key, s, _LENGTH, most)
        for i in range(length):
            tape[1 + i] = integer(key, s, _SYMBOLS + i, 2)
    tape[1 + length] = END
    return length


@jit_exact
def _count_steps(counts, key, first, most):
    """counts (B,) <- machine steps."""
    tape, nothing = np.empty(most + 2, np.int64), np.empty(0, np.int64)
    for b in range(counts.size):
        _draw_string(tape, key, first + b, most)
        counts[b] = run_machine(tape, nothing, nothing, nothing)


@jit_exact
def _draw(inputs, targets, weights, key, first, most, delay):
    """inputs (T, B, 4), targets (T, B, 8) and weights (T, B), all from zeros."""
    tape = np.empty(most + 2, np.int64)
    seen, written, action = (
        np.empty(inputs.shape[0], np.int64),
        np.empty(inputs.shape[0], np.int64),
        np.empty(inputs.shape[0], np.int64),
    )
    for b in range(inputs.shape[1]):
        _draw_string(tape, key, first + b, most)
        for t in range(run_machine(tape, seen, written, action)):
            inputs[t, b, seen[t]] = 1
            targets[t + delay, b, written[t]] = 1
            targets[t + delay, b, action[t]] = 1
            weights[t + delay, b] = 1


def trace(string):
    """The machine steps for a string: a list of (symbol seen, symbol written, action).

    Raises `RnnsimError` for other symbols than parentheses.

    >>> for seen_written_action in trace("()"):
    ...     print(*seen_written_action)
    ( ( right
    ) * left
    ( * right
    * * right
    # # left
    * * left
    * * left
    # # accept
    """
    require(set(string) <= set("()"), f"string={string}: expected parentheses only")
    tape = np.array([SYMBOLS.index(symbol) for symbol in f"#{string}#"])
    nothing = np.empty(0, np.int64)
    parts = np.empty((3, run_machine(tape.copy(), nothing, nothing, nothing)), np.int64)
    run_machine(tape, *parts)
    names = dict(zip((_LEFT, _RIGHT, _ACCEPT, _REJECT), ("left", "right", "accept", "reject")))
    return [(SYMBOLS[seen], SYMBOLS[new], names[action]) for seen, new, action in parts.T.tolist()]


def strings(max_length):
    """Every string of the task with its probability.

    >>> strings(2)
    {'(': 0.125, ')': 0.125, '((': 0.0625, '()': 0.5625, ')(': 0.0625, '))': 0.0625}
    """
    found = {}
    for length in range(1, max_length + 1):
        for symbols in itertools.product("()", repeat=length):
            found["".join(symbols)] = 0.5 / max_length / 2**length
    for pairs in range(1, max_length // 2 + 1):
        good = [""]
        for _ in range(2 * pairs):
            good = [word + symbol for word in good for symbol in "()"]
            good = [word for word in good if 0 <= 2 * word.count("(") - len(word) <= 2 * pairs - len(word)]
        for word in good:
            found[word] += 0.5 / (max_length // 2) / len(good)
    return found


class ParenthesisTuring(GeneratedTask):
    """Be the finite control of a Turing machine that checks parentheses (Williams & Zipser 1989, Neural Computation 1(2)).

    The tape holds a string of ( and ) between two end marks #. It is outside of the network: at every time step the network
    sees the symbol under the head and says what the machine does: the symbol it writes, its move, in the last time step its
    verdict. The teacher writes and moves as the machine does, whatever the network says. The machine's three states stay
    hidden:

        state       (                     )                   *         #
        search )    right                 *, left, to find    right     left, to check
        find (      *, right, to search   impossible          left      reject
        check       reject                impossible          left      accept

    It searches the first ) from the left, crosses it out (*), finds the nearest ( on its left, crosses that out too, and
    repeats. When no ) is left it goes back over the tape and accepts if no ( is left either. The head begins behind the left #.

    Half of the strings are balanced, of 2, 4, .. max_length symbols, each length equally likely and every string of a length
    equally likely (Arnold & Sleep 1980: with height h and r symbols to come, the next one is an opening one with probability
    (r - h)(h + 2) / (2 r (h + 1))). The others have 1 .. max_length fair symbols; some of them are balanced by chance.

    Inputs (T, B, 4) float32: the symbol under the head, one-hot in the order ( ) * #; zeros behind the last symbol. Targets (T,
    B, 8) float32: the symbol written (4 channels; the old symbol if nothing changes, so never a closing one), the move (left,
    right; none in the last time step), the verdict (accept, reject; none before). The answer to a symbol comes `delay` time
    steps later; weights (T, B) are 0 before the first answer. Lengths (B,).

    Loss: "bernoulli" of logits in bits, or "squared_error"; averaged over the counted time steps.
    Chance-level loss: that of the best constant outputs, over all strings with their probabilities; None for max_length above
    14.
    Criterion (ours): the last 2000 training sequences right, with every counted output on its target's side of .5.

    The layout of inputs and targets and the lengths of strings are ours.

    Parameters
    ----------
    max_length : largest number of symbols of a string, at least 2
    delay : time steps between a symbol and its answer, at least 0
    loss : "bernoulli" or "squared_error"

    Raises `RnnsimError` for an option out of range.

    >>> task = ParenthesisTuring(max_length=4)
    >>> batch = task.training_batch(seed=0, step=0, size=3)
    >>> batch.inputs.shape[2], batch.targets.shape[2], batch.weights[0].tolist()
    (4, 8, [0.0, 0.0, 0.0])
    """

    name = "parenthesis-turing"
    n_inputs = 4
    n_outputs = 8
    criterion = Criterion(window=2000, wrong=0)
    input_names = ("(", ")", "*", "#")
    target_names = ("write (", "write )", "write *", "write #", "left", "right", "accept", "reject")
    tested_options = (dict(max_length=9), dict(max_length=5, delay=0, loss="squared_error"))

    def __init__(self, max_length: int = 8, delay: int = 1, loss: Literal["bernoulli", "squared_error"] = "bernoulli"):
        self.max_length, self.delay = at_least("max_length", max_length, 2), at_least("delay", delay, 0)
        self._squared = one_of("loss", loss, ("bernoulli", "squared_error")) == "squared_error"
        self.loss = Loss(loss, when="every", per="step", unit="squared" if self._squared else "bits")

    @functools.cached_property
    def trivial_loss(self):
        """The loss of the best constant outputs, by enumeration; None for long strings."""
        if self.max_length > 14:
            return None
        total, steps = np.zeros(8), 0.0
        for string, share in strings(self.max_length).items():
            done = trace(string)
            steps += share * len(done)
            for _, written, action in done:
                total[SYMBOLS.index(written)] += share
                total[4 + ("left", "right", "accept", "reject").index(action)] += share
        shares = total / steps
        if self._squared:
            return float((shares * (1 - shares)).sum())
        return math.fsum(entropy_of((q, 1 - q)) for q in shares) / math.log(2)

    def generate(self, key, first, size):
        lengths = np.empty(size, np.int64)
        _count_steps(lengths, key, first, self.max_length)
        lengths += self.delay
        steps = lengths.max()
        inputs = np.zeros((steps, size, 4), np.float32)
        targets = np.zeros((steps, size, 8), np.float32)
        weights = np.zeros((steps, size), np.float32)
        _draw(inputs, targets, weights, key, first, self.max_length, self.delay)
        return Sequences(inputs, targets, weights, lengths)
