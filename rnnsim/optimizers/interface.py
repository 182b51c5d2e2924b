"""The contract of an optimiser, and what all of them share: clipping, schedule, weight decay, weight noise, frozen entries.

An optimiser
1. is a frozen dataclass derived from `Optimizer` whose fields are its options, with types and defaults; its `name` is the
   one of the registry; `ranges` says which values its numbers may have, and `RnnsimError` is raised for others;
2. has `init(theta)` -> state, a dict of name -> float array, so that a checkpoint is a set of plain tensors;
3. has `update(theta, gradient, state, live, rate, numbers)`, which changes theta and state in place by one call of a
   kernel, and neither reads nor writes anything else. `live` is a bool array over theta, or of size 0 for "all entries":
   where it is False no bit of theta or of the state may change. `numbers` are the arguments of `prepared`;
4. takes every gradient through `prepared`, entry by entry inside its kernel;
5. does not look for NaN: a gradient that is not finite goes through to theta (`rnnsim.core.vmath.all_finite` finds it).

One step: the whole gradient is scaled down to the norm `clip_norm`; then every entry is cut off at +-`clip`; then
weight_decay * theta is added (except in Adam, which documents its own decay); then comes the update, with the learning
rate of the schedule at that step. Kernels are serial loops over the flat vector: same bits for any number of threads.
"""

import abc
import dataclasses
import functools
import math
import typing

import numpy as np

from rnnsim.core.jit import jit, jit_exact
from rnnsim.core.registry import convert, require
from rnnsim.optimizers.schedule import parse

# Ranges of options: a test and the words for it.
POSITIVE = (lambda x: 0 < x < math.inf, "a number above 0")
NOT_NEGATIVE = (lambda x: 0 <= x < math.inf, "a number of at least 0")
SHARE = (lambda x: 0 <= x < 1, "a number of at least 0 and below 1")

_ALL_LIVE = np.empty(0, np.bool_)


@jit_exact
def prepared(gradient, theta, scale, clip, decay):
    """One entry of the gradient as the update sees it: scaled, cut off at +-clip (NaN stays), with weight decay."""
    g = gradient * scale
    g = -clip if g < -clip else g
    g = clip if g > clip else g
    return g + decay * theta


@jit
def gradient_norm(gradient, live):
    """Euclidean norm of the gradient over the live entries, float64; `live` of size 0 stands for all.

    >>> gradient_norm(np.array([3.0, 4.0, 100.0]), np.array([True, True, False]))
    5.0
    """
    total = 0.0
    if live.size:
        for i in range(gradient.size):
            value = np.float64(gradient[i]) if live[i] else 0.0
            total += value * value
    else:
        for i in range(gradient.size):
            value = np.float64(gradient[i])
            total += value * value
    return math.sqrt(total)


@dataclasses.dataclass(frozen=True)
class Optimizer(abc.ABC):
    """What all optimisers share; see the module for the contract.

    Options
    -------
    learning_rate : the rate before the schedule, > 0
    clip : cut every entry of the gradient off at +-clip, > 0; or None
    clip_norm : scale the gradient down if its Euclidean norm (over trainable entries) is larger, > 0; or None
    weight_decay : weight_decay * theta is added to the gradient, >= 0
    weight_noise : standard deviation of the noise that `perturbed` adds to theta, >= 0
    schedule : text, see `rnnsim.optimizers.schedule`; for instance "warmup:100+cosine:10000"
    """

    learning_rate: float = 0.01
    clip: float | None = None
    clip_norm: float | None = None
    weight_decay: float = 0.0
    weight_noise: float = 0.0
    schedule: str = "constant"

    name: typing.ClassVar[str]
    ranges: typing.ClassVar[dict] = {
        "learning_rate": POSITIVE,
        "clip": POSITIVE,
        "clip_norm": POSITIVE,
        "weight_decay": NOT_NEGATIVE,
        "weight_noise": NOT_NEGATIVE,
    }

    def __post_init__(self):
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = convert(getattr(self, field.name), hints[field.name], field.name)
            object.__setattr__(self, field.name, value)
            if field.name in self.ranges and value is not None:
                fits, expected = self.ranges[field.name]
                require(fits(value), f"{field.name}={value:g}: expected {expected}")
        object.__setattr__(self, "_factor", parse(self.schedule))

    @property
    def config(self) -> dict[str, typing.Any]:
        """The options, as they go into the manifest of a run; `type(opt)(**opt.config)` is an equal optimiser."""
        return dataclasses.asdict(self)

    @property
    def plain_rate(self) -> float:
        """The learning rate, if an update is ``theta -= rate * gradient`` and nothing besides; else 0."""
        return 0.0

    def rate(self, step: int) -> float:
        """The learning rate of the schedule at update `step`, counted from 0."""
        return self.learning_rate * self._factor(step)  # type: ignore[attr-defined]

    def __reduce__(self):
        return functools.partial(type(self), **self.config), ()  # the schedule's function is made again

    @abc.abstractmethod
    def init(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """A fresh state for `theta`: dict of name -> float array."""

    @abc.abstractmethod
    def update(self, theta, gradient, state, live, rate, numbers):
        """Change theta and state in place; see the contract."""

    def step(
        self,
        theta: np.ndarray,
        gradient: np.ndarray,
        state: dict[str, np.ndarray],
        step: int,
        trainable: np.ndarray | None = None,
    ) -> None:
        """One update of theta and state, in place.

        Parameters
        ----------
        theta, gradient : (n,) contiguous arrays of one floating type; the gradient is not changed
        state : what `init` gave
        step : number of the update, from 0; only the schedule reads it
        trainable : (n,) bool, optional; where it is False neither theta nor the state changes by a bit

        Raises `RnnsimError` if the arrays do not fit together.

        >>> from rnnsim.optimizers.sgd import SGD
        >>> opt, theta = SGD(0.5, clip=1), np.array([1.0, 2.0, 3.0])
        >>> opt.step(theta, np.array([0.5, -7.0, 1.0]), opt.init(theta), 0, trainable=np.array([True, True, False]))
        >>> theta
        array([0.75, 2.5 , 3.  ])
        """
        if theta.ndim != 1 or gradient.shape != theta.shape or gradient.dtype != theta.dtype:
            require(False, f"gradient {gradient.dtype}{list(gradient.shape)}: expected {theta.dtype}[{theta.size}]")
        live = _ALL_LIVE
        if trainable is not None:
            live = np.asarray(trainable, np.bool_)
            require(live.shape == theta.shape, f"trainable of shape {list(live.shape)}: expected [{theta.size}]")
            if live.size == 0:
                return
        scale = 1.0
        if self.clip_norm is not None:
            norm = gradient_norm(gradient, live)
            scale = self.clip_norm / norm if norm > self.clip_norm else 1.0
        clip = math.inf if self.clip is None else self.clip
        self.update(theta, gradient, state, live, self.rate(step), (scale, clip, self.weight_decay))

    def perturbed(self, theta: np.ndarray, seed: int, step: int, trainable: np.ndarray | None = None) -> np.ndarray:
        """theta + weight_noise * standard normal noise of (seed, step); theta itself if weight_noise is 0.

        The noise comes from a counter-based generator: entry i of step t is always the same number, whatever was drawn
        before. Frozen entries get none.
        """
        if self.weight_noise == 0:
            return theta
        from rnnsim.optimizers.weight_noise import with_noise

        live = _ALL_LIVE if trainable is None else np.asarray(trainable, np.bool_)
        return with_noise(theta, self.weight_noise, seed, step, live)
