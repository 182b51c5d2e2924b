"""One network or learner used from several Python threads: every call is right, one waits for the other."""

import sys
import threading

import numpy as np
import pytest
from cases import random_batch, run

import rnnsim as rs
from rnnsim.core.losses import Loss
from rnnsim.core.threads import exclusive
from rnnsim.networks import NETWORKS, build, options_of

LOSS = Loss("squared_error")
CALLS = 40  # of every thread


@pytest.fixture(autouse=True)
def eager():
    """Threads take turns as often as Python lets them."""
    earlier = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(earlier)


def at_once(*functions):
    """Call every function in a thread of its own, all at once; raises what one of them raised."""
    start, errors = threading.Barrier(len(functions)), []

    def run(function):
        start.wait()
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def network(name, dtype="float64"):
    options = {"hidden": 12, "layers": 2, "memory": (8, 3), "learned_initial_state": True}
    return build(name, 3, 2, {key: value for key, value in options.items() if key in options_of(name)}, dtype, seed=1)


def batches(net, count):
    """Batches of different sizes, as threads of a server would have them."""
    return [random_batch(net, LOSS, 1 + seed % 4, seed) for seed in range(count)]


@pytest.mark.parametrize("name", NETWORKS)
def test_forward(name):
    net = network(name)
    given = batches(net, 8)
    wanted = [run(net, batch) for batch in given]

    def use(first):
        for k in range(CALLS):
            place = (first + 3 * k) % len(given)
            for mine, its in zip(run(net, given[place]), wanted[place], strict=True):
                assert np.array_equal(mine, its)

    at_once(lambda: use(0), lambda: use(1), lambda: use(2))


@pytest.mark.parametrize("name", NETWORKS)
def test_losses_beside_forward(name):
    net = network(name)
    given = batches(net, 6)
    wanted = [(net.evaluate(batch, LOSS).loss, run(net, batch)[0]) for batch in given]

    def evaluate():
        for k in range(CALLS):
            assert net.evaluate(given[k % 6], LOSS).loss == wanted[k % 6][0]

    def differentiate():
        for k in range(CALLS):
            assert net.loss_and_gradient(given[(5 * k) % 6], LOSS).loss == wanted[(5 * k) % 6][0]

    def forward():
        for k in range(CALLS):
            assert np.array_equal(run(net, given[(k + 3) % 6])[0], wanted[(k + 3) % 6][1])

    at_once(evaluate, differentiate, forward)


def test_a_learner_beside_its_network():
    """Steps of one thread, predictions of another: the learner learns what it does alone."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(200, 2)).astype(np.float32)

    def learner():
        return rs.online(build("rnn", 2, 1, {"hidden": 6}, seed=1), rule="rtrl", optimizer=rs.SGD(0.05))

    alone, together = learner(), learner()
    for x in items:
        alone.step(x, x[:1])
    done = threading.Event()

    def step():
        try:
            for x in items:
                together.step(x, x[:1])
        finally:
            done.set()

    def predict():
        while not done.is_set():
            assert np.isfinite(together.net.forward(items[:20, None]).outputs).all()

    at_once(step, predict)
    assert together.theta.tobytes() == alone.theta.tobytes() and together.loss == alone.loss


def test_steps_of_two_threads_do_not_mix():
    """Each item is learned from whole: targets that belong to their inputs, whatever the order."""
    learner = rs.online(build("rnn", 1, 1, {"hidden": 4}, seed=1), rule="rtrl", optimizer=rs.SGD(0.0 + 1e-9))
    seen = []

    def step(sign):
        for k in range(1, CALLS):
            learner.step(np.array([sign * k], np.float32), np.array([sign * k], np.float32))
            seen.append(k)

    at_once(lambda: step(1), lambda: step(-1))
    assert learner.items == learner.updates == 2 * (CALLS - 1) and np.isfinite(learner.loss)


def test_waiting_and_entering_twice():
    class Counter:
        def __init__(self):
            self.turn, self.inside, self.most = threading.RLock(), 0, 0

        @exclusive
        def outer(self):
            """What it does."""
            return self.inner(2)

        @exclusive
        def inner(self, factor):
            self.inside += 1
            self.most = max(self.most, self.inside)
            found = sum(range(200))
            self.inside -= 1
            return factor * found

    counter = Counter()
    assert counter.outer() == 39800 and Counter.outer.__doc__ == "What it does."
    at_once(*[lambda: [counter.outer() for _ in range(200)]] * 3)
    assert counter.most == 1 and counter.inside == 0
