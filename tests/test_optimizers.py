"""Optimisers over the registry: naive twins, clipping, schedules, masks, noise, PyTorch, wrong options."""

import math

import numpy as np
import pytest
from naive_numerics import optimize

import rnnsim.optimizers
from rnnsim.core.registry import option_table
from rnnsim.errors import RnnsimError
from rnnsim.optimizers import OPTIMIZERS
from rnnsim.optimizers.schedule import names as schedule_names
from rnnsim.optimizers.schedule import parse

COMMON = (
    {},
    {"clip": 0.5},
    {"clip_norm": 1.5},
    {"clip": 0.3, "clip_norm": 2.0, "weight_decay": 0.1},
    {"schedule": "warmup:3+exponential:0.9"},
)
OWN = {
    "momentum": ({"nesterov": True}, {"momentum": 0.0}),
    "rmsprop": ({"momentum": 0.9}, {"decay": 0.5, "epsilon": 0.01}),
    "rmsprop-graves": ({"momentum": 0.0, "decay": 0.5},),
    "adam": ({"beta1": 0.5, "beta2": 0.9, "epsilon": 0.1},),
}
CASES = [(name, options) for name in OPTIMIZERS for options in (*COMMON, *OWN.get(name, ()))]
DTYPES = (np.float32, np.float64)


def problem(size, dtype=np.float64, steps=20):
    rng = np.random.default_rng(size)
    return rng.normal(size=size).astype(dtype), rng.normal(size=(steps, size)).astype(dtype)


def run(opt, theta, gradients, trainable=None, state=None, first=0):
    theta = theta.copy()
    state = opt.init(theta) if state is None else state
    for step, gradient in enumerate(gradients, first):
        opt.step(theta, gradient, state, step, trainable)
    return theta, state


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name, options", CASES)
def test_twin(name, options, dtype):
    opt = OPTIMIZERS.build(name, {"learning_rate": 0.02, **options})
    for size in (1, 7, 100):
        theta, gradients = problem(size, dtype)
        kept = gradients.copy()
        result, _ = run(opt, theta, gradients)
        expected = optimize(opt, theta.astype(float), gradients.astype(float))
        tolerance = 1e-4 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)
        assert result.dtype == dtype and np.array_equal(gradients, kept)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name, options", CASES)
def test_frozen_entries_keep_their_bits(name, options, dtype):
    opt = OPTIMIZERS.build(name, {"weight_decay": 0.1, "weight_noise": 0.1, **options})
    theta, gradients = problem(100, dtype)
    live = np.random.default_rng(1).random(100) < 0.5
    gradients[:, ~live] *= 1e6  # frozen entries do not count in the norm either
    gradients[3, ~live] = np.nan
    theta[~live] = np.nextafter(theta[~live], dtype(np.inf))
    result, state = run(opt, theta, gradients, live)
    assert result[~live].tobytes() == theta[~live].tobytes()
    for array in state.values():
        assert array.size == 1 or not array[~live].any()
    alone, _ = run(opt, theta[live], gradients[:, live])
    np.testing.assert_allclose(result[live], alone, rtol=1e-4 if dtype == np.float32 else 1e-12)
    none, _ = run(opt, theta, gradients, np.zeros(100, bool))
    assert none.tobytes() == theta.tobytes()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_is_a_checkpoint(name):
    opt = OPTIMIZERS.build(name, {"momentum": 0.5} if name == "rmsprop" else {})
    theta, gradients = problem(33, np.float32)
    whole, end = run(opt, theta, gradients)
    half, state = run(opt, theta, gradients[:10])
    saved = {key: np.array(array) for key, array in state.items()}
    assert all(isinstance(key, str) and array.dtype.kind == "f" for key, array in saved.items())
    resumed, state = run(opt, half, gradients[10:], state=saved, first=10)
    assert resumed.tobytes() == whole.tobytes()
    assert all(state[key].tobytes() == end[key].tobytes() for key in end)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nan_goes_through(name):
    opt = OPTIMIZERS.build(name, {"clip": 1.0, "clip_norm": 1.0})
    theta, gradients = problem(40, np.float32, 1)
    gradients[0, 17] = np.nan
    result, _ = run(opt, theta, gradients)
    assert np.isnan(result[17]) and np.isfinite(np.delete(result, 17)).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_options_make_an_equal_optimizer(name):
    cls = OPTIMIZERS.load(name)
    opt = cls(0.5, clip=2, schedule="cosine:10")
    assert opt.name == name and opt.learning_rate == 0.5
    assert cls(**opt.config) == opt == OPTIMIZERS.build(name, {key: str(value) for key, value in opt.config.items()})
    assert getattr(rnnsim.optimizers, cls.__name__) is cls
    assert set(option_table(cls)) == set(opt.config)


def test_unknown_attribute():
    with pytest.raises(AttributeError):
        rnnsim.optimizers.Adagrad  # noqa: B018


def test_graves_variance_below_zero_by_rounding():
    opt = OPTIMIZERS.build("rmsprop-graves", {"epsilon": 1e-12})
    theta, _ = run(opt, np.zeros(50, np.float32), np.full((300, 50), 1234.567, np.float32))
    assert np.isfinite(theta).all()


SCHEDULES = {
    "constant": [1, 1, 1, 1],
    "exponential:0.5": [1, 0.5, 0.25, 0.125],
    "step:2:0.1": [1, 1, 0.1, 0.1],
    "inverse:1": [1, 1 / 2, 1 / 3, 1 / 4],
    "inverse-sqrt:1": [1, 1 / math.sqrt(2), 1 / math.sqrt(3), 1 / 2],
    "cosine:2": [1, 0.5, 0, 0],
    "linear:2": [1, 0.5, 0, 0],
    "warmup:4": [0.25, 0.5, 0.75, 1, 1],
    "warmup:2+linear:4": [0.5, 0.75, 0.5, 0.25, 0, 0],
    "warmup:2 + exponential:0.5 + step:2:0.1": [0.5, 0.5, 0.025],
    "per-time-step:0.9": [1, 1, 1],  # networks that learn at every time step count these by themselves
    "per-sequence:0.9+linear:2": [1, 0.5, 0],
    "per-sequence:0.9": [1, 1, 1],
}


@pytest.mark.parametrize("text", SCHEDULES)
def test_schedules(text):
    factor = parse(text)
    np.testing.assert_allclose([factor(step) for step in range(len(SCHEDULES[text]))], SCHEDULES[text], atol=1e-15)
    opt = OPTIMIZERS.build("sgd", {"learning_rate": 3.0, "schedule": text})
    assert opt.rate(1) == 3 * factor(1)


def test_every_schedule_is_tested():
    assert {text.split(":")[0] for text in SCHEDULES} == set(schedule_names())


@pytest.mark.parametrize("dtype", DTYPES)
def test_weight_noise(dtype):
    theta = np.ones(4000, dtype)
    quiet, loud = OPTIMIZERS.build("sgd"), OPTIMIZERS.build("sgd", {"weight_noise": 0.5})
    assert quiet.perturbed(theta, 1, 1) is theta
    live = np.arange(4000) % 3 > 0
    noisy = loud.perturbed(theta, seed=1, step=5, trainable=live)
    assert noisy.dtype == dtype and (theta == 1).all() and (noisy[~live] == 1).all()
    noise = noisy[live].astype(float) - 1
    assert abs(noise.mean()) < 0.05 and abs(noise.std() - 0.5) < 0.03
    assert np.array_equal(noisy[live], loud.perturbed(theta, 1, 5)[live])
    assert np.array_equal(noisy[:100], loud.perturbed(theta[:100], 1, 5, live[:100]))
    for other in (loud.perturbed(theta, 1, 6), loud.perturbed(theta, 2, 5)):
        assert abs(np.corrcoef(other[live], noisy[live])[0, 1]) < 0.1


# case: our optimizer and options, theirs and options
TORCH = {
    "sgd": ("sgd", {"weight_decay": 0.1}, "SGD", {"weight_decay": 0.1}),
    "classical": ("momentum", {"momentum": 0.8}, "SGD", {"momentum": 0.8}),
    "nesterov": ("momentum", {"momentum": 0.8, "nesterov": True}, "SGD", {"momentum": 0.8, "nesterov": True}),
    "rmsprop": ("rmsprop", {"decay": 0.9, "momentum": 0.5}, "RMSprop", {"alpha": 0.9, "momentum": 0.5}),
    "adam": ("adam", {}, "Adam", {}),
    "adamw": ("adam", {"weight_decay": 0.1}, "AdamW", {"weight_decay": 0.1}),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", TORCH)
def test_torch(case, dtype):
    torch = pytest.importorskip("torch")
    ours, options, theirs, their_options = TORCH[case]
    theta, gradients = problem(50, dtype)
    opt = OPTIMIZERS.build(ours, {"learning_rate": 0.03, **options})
    parameter = torch.nn.Parameter(torch.tensor(theta))
    twin = getattr(torch.optim, theirs)([parameter], lr=0.03, **their_options)
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient)
        twin.step()
    result, _ = run(opt, theta, gradients)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(result, parameter.detach().numpy(), rtol=tolerance, atol=tolerance)


WRONG = [
    ("sgd", {"learning_rate": -1}, "learning_rate=-1: expected a number above 0"),
    ("sgd", {"learning_rate": "fast"}, "learning_rate=fast: expected a number"),
    ("sgd", {"learning_rate": math.inf}, "learning_rate=inf: expected a number above 0"),
    ("sgd", {"clip": 0}, "clip=0: expected a number above 0"),
    ("sgd", {"clip_norm": -2.5}, "clip_norm=-2.5: expected a number above 0"),
    ("sgd", {"weight_decay": -0.1}, "weight_decay=-0.1: expected a number of at least 0"),
    ("sgd", {"weight_noise": -0.1}, "weight_noise=-0.1: expected a number of at least 0"),
    ("momentum", {"momentum": 1}, "momentum=1: expected a number of at least 0 and below 1"),
    ("rmsprop", {"decay": 1.5}, "decay=1.5: expected a number of at least 0 and below 1"),
    ("rmsprop-graves", {"epsilon": 0}, "epsilon=0: expected a number above 0"),
    ("adam", {"beta2": -0.5}, "beta2=-0.5: expected a number of at least 0 and below 1"),
    ("adam", {"beta3": 0.5}, "unknown option of optimizer 'adam' 'beta3'; did you mean"),
    ("adm", {}, "unknown optimizer 'adm'; did you mean 'adam'?"),
    ("sgd", {"schedule": "cosin:10"}, "unknown schedule 'cosin'; did you mean 'cosine'?"),
    ("sgd", {"schedule": "cosine"}, "schedule=cosine: expected cosine:length"),
    ("sgd", {"schedule": "step:10"}, "schedule=step:10: expected step:length:factor"),
    ("sgd", {"schedule": "linear:0"}, "schedule=linear:0: '0' in linear:length should be a whole number"),
    ("sgd", {"schedule": "exponential:x"}, "schedule=exponential:x: 'x' in exponential:factor should be a factor"),
    ("sgd", {"schedule": "inverse:-1"}, "schedule=inverse:-1: '-1' in inverse:slope should be a number of at least 0"),
    ("sgd", {"schedule": ""}, "unknown schedule ''"),
]


@pytest.mark.parametrize("name, options, message", WRONG)
def test_wrong_options_are_one_clear_line(name, options, message):
    with pytest.raises(RnnsimError) as error:
        OPTIMIZERS.build(name, options)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_wrong_arrays_are_one_clear_line():
    opt, theta = OPTIMIZERS.build("sgd"), np.zeros(3)
    for gradient, live in ((np.zeros(4), None), (np.zeros(3, np.float32), None), (np.zeros(3), np.ones(2, bool))):
        with pytest.raises(RnnsimError, match="expected"):
            opt.step(theta, gradient, {}, 0, live)
