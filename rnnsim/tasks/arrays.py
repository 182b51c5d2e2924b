"""Your own arrays: sequences, or one long series, from files or from Python."""

from typing import Literal

import numpy as np

from rnnsim.core.batch import Sequences
from rnnsim.core.losses import KINDS, Loss
from rnnsim.core.registry import at_least, one_of, require
from rnnsim.data.arrays import finite, load_arrays, title, whole_numbers
from rnnsim.tasks.examples import ExampleTask

_ORDER = 1797  # the seed of the order of the sequences before some are held out


class Arrays(ExampleTask):
    """Training on your own arrays: sequences, or one long series, from files or from Python.

    Inputs
        (T, N, n)    N sequences of T time steps with n features, time first
        (T, N)       the same, whole-number symbols: with tokens=True only
        (T, n)       one long series, a row a time step
        (T,)         the same with one feature; with tokens=True a series of symbols
        .csv         one long series: rows are time steps, columns features

    Targets, for N sequences and for one series of T time steps
        (T, N, K)    (T, K)    K numbers at every time step
        (T, N)       (T,)      a class, or one number, at every time step
        (N, K)                 K numbers at the end of a sequence
        (N,)                   a class, or one number, at the end of a sequence
        absent                 the input of the next time step

    Losses
        squared_error    any numbers
        bernoulli        numbers between 0 and 1; the network outputs logits
        softmax          classes 0, 1, 2, ... (whole numbers) or, with an axis K, shares that add up to 1; logits
        auto             softmax for whole numbers without an axis K and for the next symbol, else squared_error

    A loss is the mean over counted time steps, or over sequences if the target stands at the end; cross-entropies are in nats.
    Chance-level loss (`trivial_loss`): the loss of the best constant output on the training part: the mean, or the shares, of
    its targets.
    Criterion: none.

    An .npz file has the arrays `inputs` and, all optional, `targets`, `lengths` (N,) and `weights` (T, N) or, for a series,
    (T,). Time steps beyond the length of a sequence or with weight 0 are not counted; values beyond a length do not matter.

    Sequences are shuffled once, always in the same way, and the last ones held out for the splits "test" and "validation". A
    series is held out at its end, and cut into windows of `steps` time steps, each of which starts from a network at rest.

    Parameters
    ----------
    inputs : a .npy, .npz or .csv file; in Python also an array, or a dict of arrays as in an .npz file
    targets : a file (or an array) with the targets, if they are not with the inputs
    target_columns : columns of a .csv file of inputs that are the targets; names, or numbers from 1
    tokens : the inputs are whole-number symbols 0, 1, 2, ...
    loss : "squared_error", "bernoulli", "softmax" or "auto"
    when : targets at "every" time step or for the "last" one, where the shape leaves it open
    classes : number of classes; 0: as many as the targets show
    steps : time steps of a window of a series, at least 1
    stride : time steps from the start of a window to the start of the next in the training part; 0: `steps`
    test, validation : shares that are held out
    shuffle : False: sequences are held out from the end of the file, in its order

    Raises `RnnsimError`, one line with the name of the file, for a file that cannot be read, a number that is not finite, and
    arrays that do not fit each other.

    >>> task = Arrays(np.sin(np.arange(1000.0) / 5), steps=20)
    >>> batch = task.training_batch(seed=0, step=0, size=4)
    >>> batch.inputs.shape, batch.targets.shape, bool((batch.targets[:-1] == batch.inputs[1:]).all())
    ((20, 4, 1), (20, 4, 1), True)
    >>> Arrays(np.zeros((9, 50, 3)), np.arange(50) % 4).loss.kind
    'softmax'
    """

    def __init__(
        self,
        inputs: str,
        targets: str | None = None,
        target_columns: tuple[str, ...] = (),
        tokens: bool = False,
        loss: Literal["auto", "squared_error", "bernoulli", "softmax"] = "auto",
        when: Literal["auto", "every", "last"] = "auto",
        classes: int = 0,
        steps: int = 50,
        stride: int = 0,
        test: float = 0.1,
        validation: float = 0.0,
        shuffle: bool = True,
    ):
        one_of("loss", loss, ("auto", *KINDS))
        one_of("when", when, ("auto", "every", "last"))
        for key, value, least in (("classes", classes, 0), ("steps", steps, 1), ("stride", stride, 0)):
            at_least(key, value, least)
        at_least("test", test, 0)
        at_least("validation", validation, 0)
        require(
            test + validation < 1,
            f"test={test}, validation={validation}: expected a sum below 1",
        )
        self.tokens, self._steps = tokens, steps
        fields = self._collect(inputs, targets, target_columns)
        self._file = title(inputs)
        self._target_file = self._file if targets is None else title(targets)
        self._lengths = self._weights = None
        self._take_inputs(fields)
        if fields["targets"] is None:
            self._take_next(loss, when)
        else:
            self._take_targets(fields["targets"], loss, when)
        self._require_range(classes)
        self.loss = Loss(self._kind, self._when, "step" if self._when == "every" else "sequence")
        if self._series:
            self._cut(test, validation, stride or steps)
        else:
            self._deal(test, validation, shuffle)
        self.trivial_loss = self._constant_loss()

    # -- reading ----------------------------------------------------------------------------------------------------

    @staticmethod
    def _collect(inputs, targets, target_columns):
        """The four arrays by name, None for an absent one."""
        found = load_arrays(inputs, "inputs", target_columns)
        if targets is not None:
            more, already = load_arrays(targets, "targets"), f"{title(inputs)} has targets already"
            require(found.get("targets") is None, f"targets={title(targets)}: {already}")
            found["targets"] = more["targets"]
        return {name: found.get(name) for name in ("inputs", "targets", "lengths", "weights")}

    def _take_inputs(self, fields):
        """Inputs, lengths and weights."""
        inputs, name = fields["inputs"], self._file
        if inputs.ndim == 1 and not self.tokens:
            inputs = inputs[:, np.newaxis]
        axes, expected = (
            (2, "(T, N), or (T,) for one series, of symbols") if self.tokens else (3, "(T, N, n) or (T, n)")
        )
        fits = inputs.ndim in (axes - 1, axes)
        require(fits, f"{name}: inputs of shape {inputs.shape}, expected {expected}")
        require(inputs.size > 0, f"{name}: inputs of shape {inputs.shape} are empty")
        self._series = inputs.ndim < axes
        self._time_steps, self._count = len(inputs), 1 if self._series else inputs.shape[1]
        if fields["lengths"] is not None:
            self._take_lengths(fields["lengths"])
        if self.tokens:
            self._inputs = whole_numbers(f"{name}: inputs", self._without_rest(inputs))
            self.n_inputs = int(self._inputs.max()) + 1
        else:
            self._inputs = finite(f"{name}: inputs", self._without_rest(inputs))
            self.n_inputs = inputs.shape[-1]
        if fields["weights"] is not None:
            weights, shape = fields["weights"], inputs.shape[: 1 if self._series else 2]
            require(weights.shape == shape, f"{name}: weights of shape {weights.shape}, expected {shape}")
            self._weights = finite(f"{name}: weights", self._without_rest(weights))
            require(self._weights.min() >= 0, f"{name}: a weight of {self._weights.min()}, expected 0 or more")

    def _take_lengths(self, lengths):
        name, shape = self._file, (self._count,)
        require(not self._series, f"{name}: lengths, but the inputs are one series; sequences have one axis more")
        require(lengths.shape == shape, f"{name}: lengths of shape {lengths.shape}, expected {shape}")
        lengths = whole_numbers(f"{name}: lengths", lengths).astype(np.int64)
        fits = lengths.min() >= 1 and lengths.max() <= self._time_steps
        found = f"lengths from {lengths.min()} to {lengths.max()}"
        require(fits, f"{name}: {found}, expected 1 to {self._time_steps}, the number of time steps of the inputs")
        self._lengths = lengths

    def _inside(self):
        """(T, N) or, for a series, (T,): whether a time step lies within its sequence."""
        if self._series:
            return np.ones(self._time_steps, bool)
        lengths = np.full(self._count, self._time_steps) if self._lengths is None else self._lengths
        return np.arange(self._time_steps)[:, np.newaxis] < lengths

    def _without_rest(self, array):
        """The array (T, N, ...) with zeros beyond the lengths, where the values are arbitrary."""
        if self._lengths is None:
            return array
        array = array.copy()
        array[~self._inside()] = 0
        return array

    def _take_targets(self, targets, loss, when):
        name = self._target_file
        require(targets.size > 0, f"{name}: targets of shape {targets.shape} are empty")
        self._when, vectors = self._reading(targets, loss, when)
        if loss == "auto":
            loss = "softmax" if targets.dtype.kind in "iu" and not vectors else "squared_error"
        self._kind = loss
        if self._when == "every":
            targets = self._without_rest(targets)
        require(
            self._when == "every" or self._weights is None,
            f"{self._file}: weights belong to targets at every time step, these stand at the end",
        )
        if loss == "softmax" and not vectors:
            self._targets = whole_numbers(f"{name}: targets", targets)
            self.n_outputs = int(self._targets.max()) + 1
        else:
            targets = finite(f"{name}: targets", targets)
            self._targets = targets if vectors else targets[..., np.newaxis]
            self.n_outputs = self._targets.shape[-1]

    def _reading(self, targets, loss, when):
        """(when, whether there is an axis K) of targets, by their shape."""
        time_steps, count, shape = self._time_steps, self._count, targets.shape
        if self._series:
            known = {("every", False): (time_steps,), ("every", True): (time_steps, "K")}
        else:
            known = {
                ("every", False): (time_steps, count),
                ("every", True): (time_steps, count, "K"),
                ("last", False): (count,),
                ("last", True): (count, "K"),
            }
        known = {reading: wanted for reading, wanted in known.items() if when in ("auto", reading[0])}
        name, expected = self._target_file, " or ".join(str(wanted).replace("'", "") for wanted in known.values())
        require(known, f"when={when}: targets of a series stand at every time step")
        found = [
            reading
            for reading, wanted in known.items()
            if len(wanted) == len(shape) and all(n in ("K", m) for n, m in zip(wanted, shape))
        ]
        require(found, f"{name}: targets of shape {shape} do not fit inputs {self._inputs.shape}, expected {expected}")
        # With as many time steps as sequences, whole numbers are classes at every time step; other targets need when=.
        clear = len(found) == 1 or (targets.dtype.kind in "iu" and loss in ("auto", "softmax"))
        require(
            clear,
            f"{name}: targets of shape {shape} may stand at every time step or at the end; give when=every or when=last",
        )
        return found[0]

    def _take_next(self, loss, when):
        """Without targets, the target is the input of the next time step."""
        require(when != "last", "when=last: the next time step is predicted at every time step; give targets")
        self._when, self._kind = "every", loss
        if loss == "auto":
            self._kind = "softmax" if self.tokens else "squared_error"
        require(not self.tokens or self._kind == "softmax", f"loss={loss}: the next symbol needs loss=softmax")
        shortest = self._time_steps if self._lengths is None else self._lengths.min()
        require(shortest >= 2, f"{self._file}: a sequence of 1 time step has no next one to predict; give targets")
        self._targets, self._inputs = self._inputs[1:], self._inputs[:-1]
        self._time_steps, self.n_outputs = self._time_steps - 1, self.n_inputs
        if self._weights is not None:
            self._weights = self._weights[1:]
        if self._lengths is not None:
            self._lengths = self._lengths - 1
            self._inputs = self._without_rest(self._inputs)

    def _require_range(self, classes):
        """Check that the targets fit their loss; `classes` may be more than the targets show."""
        targets, name = self._targets, self._target_file
        if targets.dtype == np.int32:
            fits = classes == 0 or classes >= self.n_outputs
            require(fits, f"classes={classes}: {name} has a class {self.n_outputs - 1}, expected 0 to {classes - 1}")
            self.n_outputs = max(classes, self.n_outputs)
            require(self.n_outputs > 1, f"{name}: all targets are 0, expected at least two classes")
            return
        require(classes == 0, f"classes={classes}: the targets of {name} are no classes")
        if self._kind == "bernoulli":
            low, high = targets.min(), targets.max()
            require(low >= 0 and high <= 1, f"{name}: targets from {low:g} to {high:g}, loss=bernoulli expects 0 to 1")
        if self._kind == "softmax":
            sums = targets.sum(axis=-1)
            sums = sums[self._inside()] if self._when == "every" else sums
            fits = targets.min() >= 0 and np.abs(sums - 1).max() < 1e-3
            require(fits, f"{name}: targets are neither classes nor shares that add up to 1, as loss=softmax expects")

    # -- parts ------------------------------------------------------------------------------------------------------

    def _deal(self, test, validation, shuffle):
        """Sequences: every one is an example."""
        count = self._count
        order = np.random.Generator(np.random.Philox(_ORDER)).permutation(count) if shuffle else np.arange(count)
        held, kept = round(test * count), round(validation * count)
        require(
            held + kept < count,
            f"{self._file}: {count} sequences, {held + kept} held out; expected at least one for training",
        )
        self.split(order[: count - held], order[count - held :], kept)

    def _cut(self, test, validation, stride):
        """A series: every window is an example; windows of different parts share no time step."""
        steps, time_steps = self._steps, self._time_steps
        held, kept = round(test * time_steps), round(validation * time_steps)
        last, starts = time_steps - held - kept, []
        for part, first, end, move in (
            ("training", 0, last, stride),
            ("validation", last, last + kept, steps),
            ("test", last + kept, time_steps, steps),
        ):
            long_enough = end - first >= steps or (end == first and part != "training")
            require(
                long_enough,
                f"{self._file}: {end - first} time steps for the {part} part, expected at least steps={steps}",
            )
            starts.append(np.arange(first, end - steps + 1, move))
        self._starts = np.concatenate(starts)
        fitted = len(starts[0]) + len(starts[1])
        self.split(np.arange(fitted), np.arange(fitted, len(self._starts)), len(starts[1]))

    def gather(self, rows):
        if self._series:
            places = self._starts[rows] + np.arange(self._steps)[:, np.newaxis]
            weights = None if self._weights is None else self._weights[places]
            return Sequences(self._inputs[places], self._targets[places], weights)
        lengths = None if self._lengths is None else self._lengths[rows]
        time_steps = self._time_steps if lengths is None else lengths.max()
        inputs, targets, weights = (
            None if array is None else np.take(array[:time_steps], rows, axis=1)
            for array in (self._inputs, self._targets if self._when == "every" else None, self._weights)
        )
        return Sequences(inputs, self._targets[rows] if targets is None else targets, weights, lengths)

    # -- judging ----------------------------------------------------------------------------------------------------

    def _constant_loss(self):
        """The chance-level loss: that of the mean, or the shares, of the targets of the training part."""
        targets, rows = self._targets, self.train_rows
        if self._series:
            counts = np.zeros(self._time_steps)
            np.add.at(counts, self._starts[rows] + np.arange(self._steps)[:, np.newaxis], 1)
            counts *= 1 if self._weights is None else self._weights
        elif self._when == "every":
            targets = targets[:, rows]
            counts = (self._inside() * (1.0 if self._weights is None else self._weights))[:, rows]
        else:
            targets, counts = targets[rows], np.ones(len(rows))
        total = counts.sum()
        require(total > 0, f"{self._file}: all weights of the training part are 0")
        if targets.dtype == np.int32:
            mean = np.bincount(targets.ravel(), counts.ravel()) / total
        else:
            axes = tuple(range(counts.ndim))
            mean = (targets * counts[..., np.newaxis]).sum(axis=axes) / total
        if self._kind == "squared_error":
            return float(((targets - mean) ** 2 * counts[..., np.newaxis]).sum() / total)
        if self._kind == "bernoulli":
            mean = np.concatenate([mean, 1 - mean])
        mean = mean[mean > 0]
        return abs(float((mean * np.log(mean)).sum()))

    def correct(self, outputs, batch):
        """None for squared errors, as the tolerance is unknown; otherwise as `Task.correct`."""
        return None if self._kind == "squared_error" else super().correct(outputs, batch)

    def metrics(self, outputs, batch):
        """``{"error": (B,)}``, for softmax also ``"accuracy"``: the share of counted targets that were most probable."""
        found = {"error": self.error(outputs, batch)}
        if self._kind == "softmax":
            classes = batch.targets.argmax(axis=-1) if batch.targets.dtype != np.int32 else batch.targets
            right = outputs.argmax(axis=-1) == classes
            if self._when == "every":
                counted = batch.counted() != 0
                right = (right & counted).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)
            found["accuracy"] = right.astype(np.float64)
        return found
