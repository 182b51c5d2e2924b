"""The contract of an optimizer, and what all optimizers share: clipping, schedule, weight decay, weight noise, frozen entries."""

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
    """One entry of the gradient as the update uses it: scaled, clipped to +-clip (NaN stays), with weight decay."""
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
    """An optimizer over one flat vector theta.

    A step scales the whole gradient down to the norm `clip_norm`; clips every entry to +-`clip`; adds weight_decay *
    theta (Adam documents its own decay); and updates theta with the learning rate of the schedule at that step. The
    kernels are serial loops over the vector, so results have the same bits for any number of threads.

    Options
    -------
    learning_rate : the rate before the schedule, > 0
    clip : bound of every entry of the gradient, > 0; or None
    clip_norm : bound of the Euclidean norm of the gradient (over trainable entries), > 0; or None
    weight_decay : weight_decay * theta is added to the gradient, >= 0
    weight_noise : standard deviation of the noise that `perturbed` adds to theta, >= 0
    schedule : text such as "warmup:100+cosine:10000", see `rnnsim.optimizers.schedule`

    A subclass is a frozen dataclass whose fields are its options, with types and defaults. It has

    name    its name in the registry
    ranges  the values that its numbers may have: ``{field: (test, words)}``

    and the methods `init` and `update`. Options out of range raise `RnnsimError`.

    >>> from rnnsim.optimizers import SGD
    >>> SGD(0.5, schedule="step:10:0.5").rate(25), SGD(0.5).config["clip"]
    (0.125, None)
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
        """The options as the configuration of a run records them; `type(opt)(**opt.config)` is an equal optimizer."""
        return dataclasses.asdict(self)

    @property
    def plain_rate(self) -> float:
        """The learning rate, if an update is ``theta -= rate * gradient`` and nothing else; otherwise 0."""
        return 0.0

    def rate(self, step: int) -> float:
        """The learning rate of the schedule at update `step`, counted from 0."""
        return self.learning_rate * self._factor(step)  # type: ignore[attr-defined]

    def __reduce__(self):
        return functools.partial(type(self), **self.config), ()  # a copy parses its schedule again

    @abc.abstractmethod
    def init(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """A fresh state for `theta`, a dict of name -> float array, so that a checkpoint is a set of plain tensors."""

    @abc.abstractmethod
    def update(self, theta, gradient, state, live, rate, numbers):
        """Change theta and state in place by one call of a kernel; neither read nor write anything else.

        theta, gradient : (n,) arrays of one floating type
        state   : what `init` returned
        live    : (n,) bool, or of size 0: all entries. Where it is False no bit of theta or of the state may change
        rate    : learning rate of this step
        numbers : the last three arguments of `prepared`, through which the kernel passes every entry of the gradient

        An entry that is not finite goes through to theta, where `rnnsim.core.vmath.all_finite` finds it.
        """

    def step(
        self,
        theta: np.ndarray,
        gradient: np.ndarray,
        state: dict[str, np.ndarray],
        step: int,
        trainable: np.ndarray | None = None,
    ) -> None:
        """Update theta and state in place.

        Parameters
        ----------
        theta, gradient : (n,) contiguous arrays of one floating type; the gradient is not changed
        state : what `init` returned
        step : number of the update, from 0; only the schedule uses it
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

        The noise comes from a counter-based generator: entry i at step t is a function of (seed, t, i) alone. Frozen
        entries get none.
        """
        if self.weight_noise == 0:
            return theta
        from rnnsim.optimizers.weight_noise import with_noise

        live = _ALL_LIVE if trainable is None else np.asarray(trainable, np.bool_)
        return with_noise(theta, self.weight_noise, seed, step, live)
