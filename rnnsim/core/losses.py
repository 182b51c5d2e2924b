"""Losses: squared error, Bernoulli and softmax cross-entropy over sequences, with masks, lengths and gradients."""

import math
from dataclasses import dataclass

import numpy as np

from rnnsim.core.jit import jit_exact
from rnnsim.core.registry import require
from rnnsim.core.vmath import exp, maximum_between, sigmoid, softplus, sum_between
from rnnsim.errors import RnnsimError, unknown

KINDS = ("squared_error", "bernoulli", "softmax")
WHEN = ("every", "last")
PER = ("sequence", "step")
UNITS = {"squared_error": ("squared",), "bernoulli": ("nats", "bits"), "softmax": ("nats", "bits")}

_BLOCK = 1024  # elements of one block of rows: its scratch stays in the first-level cache


@jit_exact
def _fill_row_weights(row_weights, batch, weights, lengths):
    """row_weights (R,) <- the weight of every time step and sequence; arrays of size 0: all time steps count."""
    for t in range(row_weights.size // batch):
        for b in range(batch):
            row = t * batch + b
            weight = weights[row] if weights.size else 1
            row_weights[row] = weight if lengths.size == 0 or t < lengths[b] else 0


@jit_exact
def _divisor(row_weights, rows, batch, weights, lengths, per_step):
    """The divisor of the loss; fills `row_weights`. Infinity if nothing is counted: loss and gradient become 0."""
    _fill_row_weights(row_weights, batch, weights, lengths)
    if not per_step:
        return np.float64(batch)
    total = sum_between(row_weights, 0, row_weights.size) if row_weights.size else np.float64(rows)
    return total if total != 0 else np.inf


@jit_exact
def _squared_error_elements(value, slope, y, d):
    for i in range(y.size):
        difference = y[i] - d[i]
        value[i] = difference * difference
        slope[i] = difference + difference


@jit_exact
def _bernoulli_elements(value, slope, y, d):
    """Loss |y| (share of the target on the wrong side) + log1p(e^-|y|): no cancellation for confident predictions."""
    for i in range(y.size):
        wrong = d[i] if y[i] < 0 else 1 - d[i]
        value[i] = abs(y[i]) * wrong + softplus(-abs(y[i]))
        slope[i] = sigmoid(y[i]) - d[i]


@jit_exact
def _softmax_elements(value, slope, y, width):
    """value <- y - (the largest y of its row), slope <- exp of it. The exponentials run over all rows at once."""
    for lo in range(0, y.size, width):
        largest = maximum_between(y, lo, lo + width)
        for i in range(np.uint64(lo), np.uint64(lo + width)):
            value[i] = y[i] - largest
    for i in range(y.size):
        slope[i] = exp(value[i])


@jit_exact
def _softmax_classes(gradient, value, slope, width, classes, row_weights, scale):
    """The loss of a block of rows against classes, and the first row without a class (or -1); gradient, if there, <- d loss.

    `row_weights` holds the weights of the rows, or has size 0.
    """
    loss, number = 0.0, slope.dtype.type
    for row in range(classes.size):
        lo, target = row * width, classes[row]
        weight = row_weights[row] if row_weights.size else 1.0
        if weight == 0:
            if gradient.size:
                gradient[lo : lo + width] = 0
            continue
        if target < 0 or target >= width:
            return loss, row
        total = sum_between(slope, lo, lo + width)
        loss += weight * (math.log(total) - value[lo + target])
        if gradient.size:
            factor = number(weight * scale / total)
            for i in range(np.uint64(lo), np.uint64(lo + width)):
                gradient[i] = slope[i] * factor
            gradient[lo + target] -= number(weight * scale)
    return loss, -1


@jit_exact
def _softmax_distributions(gradient, value, slope, width, d, row_weights, scale):
    """The loss of a block of rows against target probabilities d, and its gradient."""
    loss, number = 0.0, slope.dtype.type
    for row in range(d.size // width):
        lo, hi = row * width, (row + 1) * width
        weight = row_weights[row] if row_weights.size else 1.0
        if weight == 0:
            if gradient.size:
                gradient[lo:hi] = 0
            continue
        total, target_sum, expected = sum_between(slope, lo, hi), sum_between(d, lo, hi), 0.0
        for i in range(np.uint64(lo), np.uint64(hi)):
            if d[i] != 0:
                expected += d[i] * value[i]
        loss += weight * (target_sum * math.log(total) - expected)
        if gradient.size:
            share, factor = number(target_sum / total), number(weight * scale)
            for i in range(np.uint64(lo), np.uint64(hi)):
                gradient[i] = (slope[i] * share - d[i]) * factor
    return loss


@jit_exact
def _multiply_by_weights(value, slope, share, width, row_weights):
    """value and slope times the weights of their rows; 0 where the weight is 0, even if they are NaN there."""
    for row in range(row_weights.size):
        lo = row * width
        for i in range(np.uint64(lo), np.uint64(lo + width)):
            share[i] = row_weights[row]
    for i in range(row_weights.size * width):
        value[i] = value[i] * share[i] if share[i] != 0 else 0
        slope[i] = slope[i] * share[i] if share[i] != 0 else 0


# The two drivers below take y, gradient and targets (R * width,), classes and weights (R,), lengths (batch,); an array of
# size 0 stands for an absent one. Blocks of rows are computed in scratch first: `gradient` may be `y`, and loops without
# aliasing are vector loops.


@jit_exact
def _evaluate_elements(bernoulli, y, width, targets, batch, weights, lengths, per_step, factor, gradient):
    """Squared error and Bernoulli loss of a batch, element by element."""
    rows, masked = y.size // width, weights.size + lengths.size > 0
    row_weights = np.empty(rows if masked else 0, y.dtype)
    scale = factor / _divisor(row_weights, rows, batch, weights, lengths, per_step)
    block = max(1, _BLOCK // width)
    value = np.empty(block * width, y.dtype)
    slope = np.empty(block * width, y.dtype)
    share = np.empty(block * width if masked else 0, y.dtype)
    loss, slope_scale = 0.0, y.dtype.type(scale)
    for first in range(0, rows, block):
        last = min(rows, first + block)
        start, stop = first * width, last * width
        if bernoulli:
            _bernoulli_elements(value, slope, y[start:stop], targets[start:stop])
        else:
            _squared_error_elements(value, slope, y[start:stop], targets[start:stop])
        if masked:
            _multiply_by_weights(value, slope, share, width, row_weights[first:last])
        loss += sum_between(value, 0, stop - start)
        out = gradient[start:stop]
        for i in range(out.size):
            out[i] = slope[i] * slope_scale
    return loss * scale


@jit_exact
def _evaluate_softmax(y, width, targets, classes, batch, weights, lengths, per_step, factor, gradient):
    """Softmax loss of a batch, and the first row whose class does not exist (or -1)."""
    rows, masked = y.size // width, weights.size + lengths.size > 0
    row_weights = np.empty(rows if masked else 0, y.dtype)
    scale = factor / _divisor(row_weights, rows, batch, weights, lengths, per_step)
    block = max(1, _BLOCK // width)
    value = np.empty(block * width, y.dtype)
    slope = np.empty(block * width, y.dtype)
    loss = 0.0
    for first in range(0, rows, block):
        last = min(rows, first + block)
        start, stop = first * width, last * width
        out, block_weights = gradient[start:stop], row_weights[first:last]
        _softmax_elements(value, slope, y[start:stop], width)
        if classes.size:
            part, wrong = _softmax_classes(out, value, slope, width, classes[first:last], block_weights, scale)
            if wrong >= 0:
                return loss, first + wrong
        else:
            part = _softmax_distributions(out, value, slope, width, targets[start:stop], block_weights, scale)
        loss += part
    return loss * scale, -1


@dataclass(frozen=True)
class Loss:
    """A loss over batches of sequences: squared error, Bernoulli or softmax cross-entropy.

    For outputs y, targets d and the weight w of a time step (0 where the time step is not counted)

        squared_error   l = sum_k (y_k - d_k)^2                                          dl/dy_k = 2 (y_k - d_k)
        bernoulli       l = - sum_k d_k log s(y_k) + (1 - d_k) log(1 - s(y_k))           dl/dy_k = s(y_k) - d_k
        softmax         l = - sum_k d_k log p_k,  p = softmax(y)                         dl/dy_k = p_k sum_j d_j - d_k

    where s is the logistic function: y are logits in the last two. The loss of a batch is sum w l over time steps and
    sequences, divided by the number of sequences (per="sequence") or by sum w (per="step"; 0 if nothing is counted). There is
    no factor 1/2 in the squared error. Cross-entropies are in nats, or in bits (times 1/ln 2).

    Sums are float64 in a fixed order, so a loss has the same bits in every run. NaN at a counted time step makes the loss NaN.

    Parameters
    ----------
    kind : "squared_error", "bernoulli" or "softmax"
    when : "every" (outputs (T, B, K), one target a time step) or "last" (outputs (B, K), one target a sequence)
    per : "step" (mean over counted time steps) or "sequence" (sum over the time steps, mean over sequences)
    unit : "squared" for squared errors; "nats" (default) or "bits" for cross-entropies

    Raises `RnnsimError` for unknown names.

    >>> loss = Loss("softmax", when="last", unit="bits")
    >>> round(loss.evaluate(np.zeros((2, 8)), np.array([3, 5])), 12)
    3.0
    """

    kind: str
    when: str = "every"
    per: str = "step"
    unit: str = None  # type: ignore[assignment]  # the first of the kind's units

    def __post_init__(self):
        if self.kind not in KINDS:
            raise unknown("loss", self.kind, KINDS)
        if self.unit is None:
            object.__setattr__(self, "unit", UNITS[self.kind][0])
        for name, value, known in (
            ("when", self.when, WHEN),
            ("per", self.per, PER),
            ("unit", self.unit, UNITS[self.kind]),
        ):
            if value not in known:
                raise RnnsimError(f"{name}={value}: a {self.kind} loss expects {' or '.join(known)}")

    def evaluate(
        self,
        outputs: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray | None = None,
        lengths: np.ndarray | None = None,
        gradient: np.ndarray | None = None,
    ) -> float:
        """The loss of a batch, a float; writes the gradient into `gradient`, if given.

        Parameters
        ----------
        outputs : (T, B, K) or (B, K) float32 or float64
            Network outputs; logits for the cross-entropies.
        targets : like outputs, or for softmax integer classes of shape (T, B) or (B,)
        weights : (T, B) or (B,), optional
            Weight of every time step; 0: not counted.
        lengths : (B,) integers, optional
            Time steps t >= lengths[b] are not counted. when="last" ignores them.
        gradient : like outputs, optional
            Receives d loss / d outputs; 0 where a time step is not counted. May be `outputs` itself.

        Raises `RnnsimError` for shapes that do not fit and for classes outside 0 .. K-1.

        >>> outputs, slope = np.array([[[3.0]], [[1.0]]]), np.empty((2, 1, 1))
        >>> Loss("squared_error").evaluate(outputs, np.zeros((2, 1, 1)), weights=np.array([[1.0], [0.0]]), gradient=slope)
        9.0
        >>> slope.ravel()
        array([6., 0.])
        """
        dtype, shape = outputs.dtype, outputs.shape
        axes = 3 if self.when == "every" else 2
        if len(shape) != axes or dtype.char not in "fd":
            expected = "(T, B, K)" if axes == 3 else "(B, K)"
            raise RnnsimError(f"outputs {dtype}{list(shape)}: expected float32 or float64 of shape {expected}")
        steps, width = shape[:-1], shape[-1]
        rows, batch = math.prod(steps), steps[-1]
        if rows == 0 or width == 0:
            return 0.0
        absent = _ABSENT[dtype.char]
        y = np.ascontiguousarray(outputs).reshape(-1)
        targets = np.asarray(targets)
        d, classes = absent, _NO_CLASSES
        if self.kind == "softmax" and targets.dtype.kind in "iu" and targets.shape != shape:
            _require_shape("targets", targets, steps)
            classes = np.ascontiguousarray(targets, np.int32).reshape(-1)
        else:
            _require_shape("targets", targets, shape)
            d = np.ascontiguousarray(targets, dtype).reshape(-1)
        flat_weights, counts = absent, _NO_CLASSES
        if weights is not None:
            weights = np.asarray(weights)
            _require_shape("weights", weights, steps)
            flat_weights = np.ascontiguousarray(weights, dtype).reshape(-1)
        if lengths is not None and axes == 3:
            counts = np.ascontiguousarray(lengths, np.int32)
            _require_shape("lengths", counts, (batch,))
        slope = absent
        if gradient is not None:
            if gradient.shape != shape or gradient.dtype != dtype:
                raise RnnsimError(f"gradient {gradient.dtype}{list(gradient.shape)}: expected {dtype}{list(shape)}")
            in_place = gradient.flags.c_contiguous
            slope = (gradient if in_place else np.empty(shape, dtype)).reshape(-1)
        common = (
            batch,
            flat_weights,
            counts,
            self.per == "step",
            1 / math.log(2) if self.unit == "bits" else 1.0,
            slope,
        )
        if self.kind == "softmax":
            loss, wrong = _evaluate_softmax(y, width, d, classes, *common)
            if wrong >= 0:
                where = ", ".join(str(int(i)) for i in np.unravel_index(wrong, steps))
                raise RnnsimError(f"targets[{where}] = {classes[wrong]}: expected a class between 0 and {width - 1}")
        else:
            loss = _evaluate_elements(self.kind == "bernoulli", y, width, d, *common)
        if gradient is not None and not in_place:
            gradient[...] = slope.reshape(shape)
        return loss

    def random_targets(self, rng: np.random.Generator, rows: tuple[int, ...], n_outputs: int) -> np.ndarray:
        """Random targets for outputs (*rows, n_outputs): classes, bits or normal numbers.

        >>> Loss("softmax").random_targets(np.random.default_rng(0), (3, 2), 4).shape
        (3, 2)
        """
        if self.kind == "softmax":
            return rng.integers(0, n_outputs, rows).astype(np.int32)
        shape = (*rows, n_outputs)
        return rng.normal(size=shape) if self.kind == "squared_error" else rng.integers(0, 2, shape).astype(float)

    def predictions(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs as the loss reads them: unchanged for squared errors, else probabilities (logistic function, softmax).

        >>> Loss("softmax").predictions(np.zeros((1, 1, 4)))
        array([[[0.25, 0.25, 0.25, 0.25]]])
        """
        if self.kind == "squared_error":
            return outputs
        if self.kind == "bernoulli":
            small = np.exp(-np.abs(outputs))
            return np.where(outputs < 0, small, 1) / (1 + small)
        shares = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        return shares / shares.sum(axis=-1, keepdims=True)


_ABSENT: dict[str, np.ndarray] = {"f": np.empty(0, np.float32), "d": np.empty(0, np.float64)}
_NO_CLASSES = np.empty(0, np.int32)


def _require_shape(name, array, shape):
    require(array.shape == tuple(shape), f"{name} of shape {list(array.shape)}: expected {list(shape)}")
