"""Tasks for online learning: streams continue, targets derived again, optimal losses and traces of machines."""

import itertools
import math
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import stats

from rnnsim.learning import RULES
from rnnsim.tasks import (
    TASKS,
    Add,
    AnBn,
    Brackets,
    ContinualReber,
    CopyCurriculum,
    DelayedNonmatch,
    InfluenceBalancing,
    Mimic,
    Oscillator,
    ParenthesisTuring,
    SequenceRecognition,
)
from rnnsim.tasks.add import floors
from rnnsim.tasks.influence_balancing import at_rest, network, system
from rnnsim.tasks.parenthesis_turing import strings, trace
from rnnsim.tasks.streams import StreamTask

STREAMS = {name: TASKS.load(name) for name in TASKS.names() if issubclass(TASKS.load(name), StreamTask)}


def read(task, seed=0, batches=1, size=1):
    """Inputs and targets of the first batches, one behind the other."""
    parts = [task.training_batch(seed, step, size) for step in range(batches)]
    return (np.concatenate(arrays) for arrays in zip(*((part.inputs, part.targets) for part in parts)))


# -- streams --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STREAMS)
def test_streams_continue_however_they_are_cut(name):
    options = {"noise": 0.5} if name == "influence-balancing" else {}
    whole = STREAMS[name](steps=60, **options).training_batch(4, 0, 3)
    for steps in (1, 7, 20):
        task = STREAMS[name](steps=steps, **options)
        inputs, targets = read(task, 4, -(-60 // steps), 3)
        assert np.array_equal(inputs[:60], whole.inputs) and np.array_equal(targets[:60], whole.targets)
        # Out of order, after another seed, another size: the same batch; the size does not change the streams.
        for step in (5, 2, 2, 3):
            task.training_batch(9, step, 3)
            again = task.training_batch(4, step, 2)
            part = slice(step * steps, min(60, step * steps + steps))
            count = part.stop - part.start
            assert count <= 0 or np.array_equal(again.inputs[:count], whole.inputs[part, :2])
    test = [np.concatenate([b.inputs for b in task.evaluation_batches(4, 3, 9, s)]) for s in ("test", "validation")]
    assert test[0].shape[:2] == (60, 3)
    assert name == "influence-balancing" or not np.array_equal(*test)


def test_trainings_may_share_a_stream_task():
    """Turn by turn and in threads, each continues where it was, without generating from the first time step again."""
    unrolled = []

    class Counted(ContinualReber):
        def stretch(self, key, time_step, size, state):
            unrolled.append(time_step)
            return super().stretch(key, time_step, size, state)

    task = Counted(steps=5)
    alone = {seed: ContinualReber(steps=200).training_batch(seed, 0, 2).inputs for seed in range(8)}
    shared = {seed: [] for seed in alone}
    for step in range(40):
        for seed in shared:
            shared[seed].append(task.training_batch(seed, step, 2).inputs)
    assert all(np.array_equal(np.concatenate(shared[seed]), alone[seed]) for seed in alone) and len(unrolled) == 320

    def training(seed):
        return np.concatenate([task.training_batch(seed, step, 2).inputs for step in range(40)])

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(training, alone))
    assert all(np.array_equal(one, alone[seed]) for seed, one in zip(alone, found))


# -- Add ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("t1, t2, hold", [(5, 9, 1), (2, 4, 2), (3, 0, 1)])
def test_add(t1, t2, hold):
    x, y = read(Add(t1=t1, t2=t2, hold=hold, steps=70), batches=30, size=4)
    assert (x.sum(axis=2) == 1).all() and (y.sum(axis=2) == 1).all() and set(x.ravel()) == {0, 1}
    bits, labels = x[::hold, :, 0], y[..., 0]
    assert np.array_equal(np.repeat(bits, hold, axis=0)[: len(x)], x[..., 0])
    late = max(t1, t2)
    for i in range(late, len(bits)):
        assert np.array_equal(labels[i * hold], 0.5 + bits[i - t1] / 2 - bits[i - t2] / 4)
    assert abs(bits.mean() - 0.5) < 5 * 0.5 / math.sqrt(bits.size)
    # Bits from before the first time step are as random as the others.
    early = Add(t1=t1, t2=t2, steps=1).training_batch(1, 0, 20000).targets[0, :, 0]
    count = np.bincount((early * 4).astype(int), minlength=5)[1:]
    assert np.abs(count - 5000).max() < 5 * math.sqrt(5000)


def test_floors_of_add():
    found = floors()
    figures = {"none": 0.6616, "first": 0.5192, "second": 0.6277, "both": 0.4545}
    assert found == pytest.approx(figures, abs=1e-4)
    assert Add().trivial_loss == found["none"]
    # The same by regression: the mean label given the known bits, over many time steps.
    x, y = read(Add(t1=1, t2=2, steps=1000), size=200)
    known = {"none": 0 * x[2:, :, 0], "first": x[1:-1, :, 0], "second": x[:-2, :, 0]}
    known["both"] = known["first"] + 2 * known["second"]
    for name, cases in known.items():
        loss = 0
        for case in np.unique(cases):
            labels = y[2:, :, 0][cases == case].astype(float)
            p = labels.mean()
            loss += -(labels * np.log(p) + (1 - labels) * np.log(max(1 - p, 1e-300))).sum()
        assert loss / cases.size == pytest.approx(found[name], abs=3e-3)


# -- Mimic ----------------------------------------------------------------------------------------------------------------


def test_mimic():
    task = Mimic(hidden=6, inputs=5, outputs=3, target_seed=4, steps=40)
    w = task.weights
    assert np.allclose(w["W"] @ w["W"].T, np.eye(6), atol=1e-14)
    x, y = read(task, batches=5, size=4)
    assert set(x.ravel()) == {0, 1}
    # From any state: the target network forgets where it began.
    a = np.zeros((4, 6))
    for t in range(len(x)):
        a = np.tanh(a @ w["W"].T + x[t] @ w["V"].T + w["b"])
        if t > 60:
            assert np.allclose(y[t], a @ w["U"].T + w["c"], atol=1e-6)
    other = Mimic(hidden=6, inputs=5, outputs=3, target_seed=5)
    assert not np.allclose(other.weights["V"], w["V"])
    assert np.array_equal(Mimic(hidden=6, inputs=5, outputs=3, target_seed=4).weights["U"], w["U"])


def test_size_of_the_weights_of_mimic():
    w = Mimic(hidden=100, inputs=50, outputs=80).weights
    for name, deviation in (("V", 50**-0.5), ("U", 0.1), ("b", 0.1), ("c", 0.1)):
        assert w[name].std() == pytest.approx(deviation, rel=5 / math.sqrt(2 * w[name].size))
        assert abs(w[name].mean()) < 5 * deviation / math.sqrt(w[name].size)


def test_a_network_can_be_the_target_of_mimic():
    from rnnsim.networks.recurrent import Recurrent

    task = Mimic(hidden=7, inputs=4, outputs=3, steps=150)
    net = Recurrent("rnn", 4, 3, hidden=7, dtype="float64")
    views, w = net.layout.views(net.theta), task.weights
    views["weight_ih_l0"][...], views["weight_hh_l0"][...], views["bias_ih_l0"][...] = w["V"], w["W"], w["b"]
    views["weight_out"][...], views["bias_out"][...] = w["U"], w["c"]
    batch = task.training_batch(0, 0, 2)
    assert np.abs(net.forward(batch.inputs).outputs - batch.targets)[60:].max() < 1e-6


# -- influence balancing --------------------------------------------------------------------------------------------------


def test_the_network_is_the_system():
    a, v = system()
    assert np.allclose(np.diag(a), 0.5) and np.allclose(np.diag(a, 1), 0.5) and a.sum() == 22.5 and v.sum() == -3
    assert at_rest(0.5)[0] == pytest.approx(-3) and at_rest(-1 / 6)[0] == pytest.approx(1)
    net = network(theta=0.3)
    assert net.trainable.sum() == 1 and net.theta[net.trainable] == [0.3]
    found = net.forward(np.ones((80, 1, 1))).outputs[:, 0, 0]
    s = np.zeros(23)
    for t in range(1, 80):  # theta is there one time step later than in the equations
        s = a @ s + 0.3 * v
        assert found[t] == pytest.approx(s[0], abs=1e-12)


def slope(rule, options, time_steps=600):
    """The gradient of theta that a rule finds at rest, at theta = 1/2: s_1 - 1 = -4."""
    net, task = network(), InfluenceBalancing(steps=time_steps)
    batch = task.training_batch(0, 0, 1)
    state = net.evaluate(batch, task.loss).state
    found = []
    RULES.build(rule, options).learn(net, batch, task.loss, lambda g: found.append(g[net.trainable][0]), state)
    assert np.allclose(net.theta[net.trainable], 0.5)
    return found[-1]


def test_short_horizons_have_the_wrong_sign():
    a, v = system()
    for horizon in (2, 5, 11, 20, 60, 600):
        # What theta did to s_1 within the horizon: one time step to arrive, then powers of A. The loss is (s_1 - 1)^2.
        pushes = [np.linalg.matrix_power(a, k)[0] @ v for k in range(horizon - 1)]
        expected = 2 * -4 * sum(pushes)
        assert slope("tbptt", {"horizon": horizon, "every": 1}) == pytest.approx(expected, rel=1e-9)
        assert (expected < 0) == (horizon <= 20)
    # To lower the loss theta must fall: a positive gradient. All of the influence: -8 times d s_1 / d theta = -6.
    assert slope("tbptt", {"horizon": 600}) > 0
    assert slope("tbptt", {"horizon": 600, "every": 1}) == pytest.approx(48)


def test_rtrl_solves_influence_balancing_and_a_short_horizon_does_not():
    for rule, options, time_steps, fine in (
        ("rtrl", {"every": 1}, 20000, True),
        ("tbptt", {"horizon": 10, "every": 1}, 2000, False),
    ):
        net, task = network(), InfluenceBalancing(steps=time_steps)

        def descend(gradient, net=net):
            net.theta -= 1e-4 * gradient * net.trainable

        RULES.build(rule, options).learn(net, task.training_batch(0, 0, 1), task.loss, descend, None)
        theta = net.theta[net.trainable][0]
        assert abs(theta + 1 / 6) < 1e-3 if fine else theta > 1


# -- texts ----------------------------------------------------------------------------------------------------------------


def text_of(task, size=3, batches=4):
    """Whole lines of every stream, and the text before them."""
    inputs, targets = read(task, 3, batches, size)
    assert np.array_equal(inputs[1:], targets[:-1])
    texts = [task.decode(inputs[:, b]) for b in range(size)]
    return texts, [text.split("\n") for text in texts]


def test_anbn():
    task = AnBn(min_n=2, max_n=9, steps=5000)
    numbers = []
    texts, _ = text_of(task)
    for text in texts:
        lines = re.findall(r"(a+)\n(b+)\n", text)
        assert all(len(one) == len(other) for one, other in lines[1:])
        rest = re.sub(r"a+\nb+\n", "", text)
        assert re.fullmatch(r"\n?b*\n?a*\n?b*", rest), rest  # a part of a line at each end
        numbers += [len(one) for one, _ in lines[1:]]
    counts = np.bincount(np.array(numbers) - 2, minlength=8)
    assert counts.size == 8 and stats.chisquare(counts).pvalue > 1e-3
    assert len(numbers) > 4000


def test_brackets():
    task = Brackets(s=2, k=1, k_max=4, a=3, steps=8000)
    noise, letters = Counter(), Counter()
    _, streams = text_of(task)
    for lines in streams:
        for line in lines[1:-1]:
            found = re.fullmatch(r"\[([abc]{2})\]([abc]{1,4})\[([abc]{2})\]", line)
            assert found and found[1] == found[3]
            noise[len(found[2])] += 1
            letters.update(found[1] + found[2])
    for counted, size in ((noise, 4), (letters, 3)):
        assert len(counted) == size and stats.chisquare(list(counted.values())).pvalue > 1e-3
    assert task.decode(np.arange(6)) == "abc[]\n"


@pytest.mark.parametrize(
    "task", [AnBn(max_n=4, steps=1), Brackets(s=1, k=0, k_max=3, a=2, steps=1)], ids=["anbn", "brackets"]
)
def test_a_stream_begins_at_an_average_place(task):
    """The first and the second characters have the same shares as those of the whole text."""
    batch = task.training_batch(0, 0, 30000)
    lines = (
        [f"{'a' * n}\n{'b' * n}\n" for n in range(1, 5)]
        if task.name == "anbn"
        else [
            f"[{w}]{''.join(v)}[{w}]\n" * 2 ** (3 - k)
            for k in range(4)
            for w in "ab"
            for v in itertools.product("ab", repeat=k)
        ]
    )
    whole = Counter("".join(lines))
    wanted = np.array([whole[letter] for letter in task.letters], float)
    for tokens in (batch.inputs, batch.targets):
        counts = np.bincount(tokens.ravel(), minlength=wanted.size)
        assert stats.chisquare(counts, wanted / wanted.sum() * counts.sum()).pvalue > 1e-3
    shares = wanted / wanted.sum()
    assert task.trivial_loss == pytest.approx(-(shares * np.log2(shares)).sum())


def cost(line, choices):
    """Bits of a line: for every character, its probability among all lines with the same beginning."""
    total = 0.0
    for place in range(len(line)):
        alike = [other for other in choices if other[:place] == line[:place]]
        total -= math.log2(sum(other[place] == line[place] for other in alike) / len(alike))
    return total


def test_ideals():
    assert AnBn().ideal == pytest.approx(1 / 7)
    figures = (((1, 5, None, 10), 1.66096), ((3, 2, 7, 10), 1.77416), ((10, 0, None, 8), 1.2))
    for (s, k, k_max, a), figure in figures:
        assert Brackets(s=s, k=k, k_max=k_max, a=a).ideal == pytest.approx(figure, abs=5e-6)
    # By enumeration of all lines, character by character.
    lines = [f"{'a' * n}\n{'b' * n}\n" for n in range(2, 7)]
    bits, length = (sum(values) for values in zip(*((cost(line, lines), len(line)) for line in lines)))
    assert AnBn(min_n=2, max_n=6).ideal == pytest.approx(bits / length)
    lines = []  # each as often as its probability says
    for k in range(3):
        for w, v in itertools.product(itertools.product("ab", repeat=2), itertools.product("ab", repeat=k)):
            lines += [f"[{''.join(w)}]{''.join(v)}[{''.join(w)}]\n"] * 2 ** (2 - k)
    bits, length = (sum(values) for values in zip(*((cost(line, lines), len(line)) for line in lines)))
    assert Brackets(s=2, k=0, k_max=2, a=2).ideal == pytest.approx(bits / length)


# -- Williams & Zipser 1989 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("distractors, delay", [(2, 1), (0, 0), (5, 3)])
def test_sequence_recognition(distractors, delay):
    batch = SequenceRecognition(distractors=distractors, delay=delay, length=80).training_batch(1, 0, 400)
    assert (batch.inputs.sum(axis=2) == 1).all()
    lines = batch.inputs.argmax(axis=2)
    assert stats.chisquare(np.bincount(lines.ravel())).pvalue > 1e-3
    for b in range(batch.size):
        word = "".join("abcdefg"[k] for k in lines[:, b])
        # The first b behind an a, with other symbols between: matched from the left, an a begins only one match.
        places = [found.end() - 1 + delay for found in re.finditer("a[^b]*b", word)]
        assert np.flatnonzero(batch.targets[:, b, 0]).tolist() == [place for place in places if place < 80]


@pytest.mark.parametrize("bits, flag, delay", [(2, 0.2, 1), (3, 0.0, 0), (1, 0.5, 4)])
def test_delayed_nonmatch(bits, flag, delay):
    batch = DelayedNonmatch(bits=bits, flag=flag, delay=delay, length=60).training_batch(1, 0, 500)
    flags, patterns = batch.inputs[..., -1], batch.inputs[..., :-1]
    assert (flags[0] == 1).all() and abs(flags[1:].mean() - flag) < 5 * 0.5 / math.sqrt(59 * 500)
    answers, others = [], Counter()
    for b in range(batch.size):
        for t in range(60 - delay):
            assert batch.weights[t + delay, b] == 1 - flags[t, b]
            if flags[t, b]:
                sample = patterns[t, b]
                continue
            differs = not np.array_equal(patterns[t, b], sample)
            assert batch.targets[t + delay, b, 0] == differs
            answers.append(differs)
            if differs:
                others[tuple((patterns[t, b] != sample).astype(int))] += 1
    assert not batch.weights[:delay].any() and len(others) == 2**bits - 1
    assert abs(np.mean(answers) - 0.5) < 5 * 0.5 / math.sqrt(len(answers))
    assert len(others) == 1 or stats.chisquare(list(others.values())).pvalue > 1e-3


def balanced(string):
    """By deleting "()" until nothing changes."""
    while "()" in string:
        string = string.replace("()", "")
    return string == ""


def test_the_machine_decides_every_string():
    for length in range(11):
        for string in map("".join, itertools.product("()", repeat=length)):
            done = trace(string)
            assert [action in ("accept", "reject") for _, _, action in done] == [False] * (len(done) - 1) + [True]
            assert (done[-1][2] == "accept") == balanced(string)
            tape, head = list(f"#{string}#"), 1
            for seen, written, action in done:
                assert tape[head] == seen and (written == seen or (seen in "()" and written == "*"))
                tape[head] = written
                head += {"right": 1, "left": -1}.get(action, 0)
            assert not balanced(string) or set(tape[1:-1]) <= {"*"}


@pytest.mark.parametrize("most, delay", [(5, 1), (4, 0), (6, 3)])
def test_parenthesis_turing(most, delay):
    task = ParenthesisTuring(max_length=most, delay=delay)
    batch = task.training_batch(1, 0, 4000)
    shares = strings(most)
    assert math.fsum(shares.values()) == pytest.approx(1)
    # The machine steps determine the string, except where two strings are rejected early with equal traces.
    traces = Counter()
    for string, share in shares.items():
        traces[tuple(trace(string))] += share
    found = Counter()
    for b in range(batch.size):
        steps = batch.lengths[b] - delay
        x, d, w = batch.inputs[:, b], batch.targets[:, b], batch.weights[:, b]
        assert w.tolist() == [float(delay <= t < steps + delay) for t in range(len(w))]
        assert (x[:steps].sum(axis=1) == 1).all() and not x[steps:].any()
        assert not d[:delay].any() and not d[steps + delay :].any()
        d = d[delay : delay + steps]
        assert (d.sum(axis=1) == 2).all() and (d[:, :4].sum(axis=1) == 1).all()
        names = ("left", "right", "accept", "reject")
        done = zip(x.argmax(axis=1), d[:, :4].argmax(axis=1), d[:, 4:].argmax(axis=1))
        found[tuple(("()*#"[one], "()*#"[two], names[act]) for one, two, act in done)] += 1
    assert set(found) <= set(traces)
    counts = [found[key] for key in traces]
    assert stats.chisquare(counts, np.array(list(traces.values())) * batch.size).pvalue > 1e-3


def test_strings_of_parentheses():
    shares = strings(8)
    good = sum(share for string, share in shares.items() if balanced(string))
    # Catalan numbers: balanced strings among all strings of 2, 4, 6, 8 symbols.
    chance = sum(count / 4**pairs for pairs, count in ((1, 1), (2, 2), (3, 5), (4, 14))) / 8
    assert good == pytest.approx(0.5 + 0.5 * chance)
    assert ParenthesisTuring(max_length=15).trivial_loss is None


def test_oscillator():
    t = np.arange(30)
    for pattern, wave in (("01", t % 2), ("0011", t // 2 % 2), ("sine", 0.5 + 0.5 * np.sin(2 * np.pi * t / 25))):
        for values, scaled in (("unit", wave), ("signed", 2 * wave - 1)):
            task = Oscillator(pattern, values=values, length=30)
            batch = task.training_batch(0, 0, 2)
            assert (batch.inputs == 1).all() and np.allclose(batch.targets[:, 1, 0], scaled, atol=1e-6)
            assert task.trivial_loss == pytest.approx(scaled.var())
    task = Oscillator("sine", phase="random", period=20, length=45)
    batch = task.training_batch(0, 0, 2000)
    wave = np.tile(task.wave, 4)
    places = [
        [k for k in range(20) if np.allclose(wave[k : k + 45], batch.targets[:, b, 0], atol=1e-6)] for b in range(2000)
    ]
    assert all(len(found) == 1 for found in places)
    assert stats.chisquare(np.bincount(np.ravel(places), minlength=20)).pvalue > 1e-3


def test_teacher_forcing_makes_an_oscillator():
    """Two logistic units learn 0 1 0 1 ... by forced RTRL, and then oscillate alone from their last state."""
    from rnnsim.networks.recurrent import Recurrent

    task = Oscillator("01", length=40)
    net = Recurrent("rnn", 1, 1, hidden=2, readout="units", activation="logistic", dtype="float64", rng=0)
    rule = RULES.build("rtrl", {"force": True, "every": 1})

    def descend(gradient):
        net.theta -= 1.0 * gradient

    for step in range(100):
        learned = rule.learn(net, task.training_batch(0, step, 1), task.loss, descend, None)
    assert learned.loss < 0.05 < task.trivial_loss
    free = net.forward(task.training_batch(0, 0, 1).inputs, state=learned.state[:1]).outputs[:, 0, 0]
    assert np.array_equal(free > 0.5, np.arange(40) % 2 == (0 if free[0] > 0.5 else 1))


# -- a curriculum by success ----------------------------------------------------------------------------------------------


def test_copy_curriculum():
    task = CopyCurriculum(start=2, length=30)
    for longest in (1, 3, 20):
        batch = task.training_batch(1, 0, 2000, {"T": longest, "mean": 0.2})
        counts = (batch.lengths - 1) // 2
        least = max(1, longest - 4)
        assert counts.min() == least and counts.max() == longest
        assert longest == 1 or stats.chisquare(np.bincount(counts - least)).pvalue > 1e-3
        bits = Counter()
        for b, count in enumerate(counts):
            x, d = batch.inputs[: 2 * count + 1, b].tolist(), batch.targets[: 2 * count + 1, b].tolist()
            assert x[0] == 2 and x[count + 1 :] == [3] * count and d[: count + 1] == [3] * (count + 1)
            assert d[count + 1 :] == x[1 : count + 1]
            bits.update(d[count + 1 :])
        assert set(bits) == {0, 1} and stats.chisquare(list(bits.values())).pvalue > 1e-3
    assert len(task.training_batch(1, 0, 500).inputs) == 5
    assert len(next(task.evaluation_batches(1, 500)).inputs) == 61


def test_progress_by_the_running_mean():
    task, progress, mean, longest = CopyCurriculum(memory=4), None, 0.3, 1
    progress = task.progress
    for loss in np.random.default_rng(0).uniform(0, 0.4, 300):
        mean += (loss - mean) / 4
        if mean < 0.15:
            mean, longest = 0.3, longest + 1
        progress = task.advanced(progress, float(loss))
        assert progress == {"T": longest, "mean": pytest.approx(mean)}
    assert longest > 5 and task.progress == {"T": 1, "mean": 0.3}


def test_a_training_keeps_the_progress(tmp_path):
    from rnnsim.networks.recurrent import Recurrent
    from rnnsim.training.loop import train

    def trained(steps, out=None, resume=False):
        net = Recurrent("gru", 4, 4, hidden=16, tokens=True, rng=0)
        task = CopyCurriculum(memory=5, bound=0.3)
        found = train(net, task, optimizer="adam", steps=steps, batch=8, out=out, resume=resume, report_every=50)
        assert task.progress == {"T": 1, "mean": 0.3}
        return found

    whole = trained(600)
    assert whole.history[-1]["progress"]["T"] > 1
    assert [line["progress"] for line in trained(600).history] == [line["progress"] for line in whole.history]
    trained(325, tmp_path / "run")
    parts = trained(600, tmp_path / "run", resume=True)
    assert np.array_equal(parts.net.theta, whole.net.theta)
    assert parts.history[-1]["progress"] == whole.history[-1]["progress"]
