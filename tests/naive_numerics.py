"""Slow float64 twins of vector maths, losses and optimisers: plain NumPy, one element or one row at a time."""

import numpy as np


def exp(x):
    return np.exp(x)


def tanh(x):
    return np.tanh(x)


def sigmoid(x):
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, 1) / (1 + small)


def log(x):
    return np.log(x)


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def logsumexp(x):
    return x.max() + np.log(np.exp(x - x.max()).sum())


def log_softmax(x):
    return x - logsumexp(x)


def row_loss(kind, y, target):
    """The loss of one output row (K,) and its gradient."""
    if kind == "squared_error":
        return ((y - target) ** 2).sum(), 2 * (y - target)
    if kind == "bernoulli":
        return (target * softplus(-y) + (1 - target) * softplus(y)).sum(), sigmoid(y) - target
    if np.ndim(target) == 0:
        target = np.eye(y.size)[target]
    return -(target * log_softmax(y)).sum(), np.exp(log_softmax(y)) * target.sum() - target


def loss_and_gradient(loss, outputs, targets, weights=None, lengths=None):
    """The loss of a batch and its gradient, row by row."""
    every = loss.when == "every"
    y = outputs.astype(float) if every else outputs.astype(float)[None]
    targets = targets if every else targets[None]
    steps, batch, _ = y.shape
    w = np.ones((steps, batch)) if weights is None else np.asarray(weights, float).reshape(steps, batch).copy()
    if lengths is not None and every:
        w[np.arange(steps)[:, None] >= np.asarray(lengths)] = 0
    total, gradient = 0.0, np.zeros_like(y)
    for t in range(steps):
        for b in range(batch):
            if w[t, b] != 0:
                target = targets[t, b] if np.ndim(targets[t, b]) == 0 else targets[t, b].astype(float)
                value, slope = row_loss(loss.kind, y[t, b], target)
                total += w[t, b] * value
                gradient[t, b] = w[t, b] * slope
    norm = batch if loss.per == "sequence" else w.sum()
    factor = 1 / np.log(2) if loss.unit == "bits" else 1
    if norm == 0:
        return 0.0, np.zeros(outputs.shape)
    return total * factor / norm, (gradient * factor / norm).reshape(outputs.shape)


def clipped(g, theta, opt, decay):
    """The gradient after norm clip, element-wise clip and weight decay."""
    if opt.clip_norm is not None and np.sqrt((g**2).sum()) > opt.clip_norm:
        g = g * opt.clip_norm / np.sqrt((g**2).sum())
    if opt.clip is not None:
        g = np.clip(g, -opt.clip, opt.clip)
    return g + decay * theta


def optimize(opt, theta, gradients):
    """theta after one update for every gradient, by the equations of `opt`."""
    a, b, c = np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta)
    for step, gradient in enumerate(gradients):
        rate = opt.rate(step)
        g = clipped(gradient, theta, opt, 0 if opt.name == "adam" else opt.weight_decay)
        if opt.name == "sgd":
            theta = theta - rate * g
        elif opt.name == "momentum":
            a = opt.momentum * a + g
            theta = theta - rate * (g + opt.momentum * a if opt.nesterov else a)
        elif opt.name == "rmsprop":
            a = opt.decay * a + (1 - opt.decay) * g**2
            b = opt.momentum * b + g / (np.sqrt(a) + opt.epsilon)
            theta = theta - rate * b
        elif opt.name == "rmsprop-graves":
            a = opt.decay * a + (1 - opt.decay) * g**2
            b = opt.decay * b + (1 - opt.decay) * g
            c = opt.momentum * c - rate * g / np.sqrt(a - b**2 + opt.epsilon)
            theta = theta + c
        elif opt.name == "adam":
            a = opt.beta1 * a + (1 - opt.beta1) * g
            b = opt.beta2 * b + (1 - opt.beta2) * g**2
            mean, square = a / (1 - opt.beta1 ** (step + 1)), b / (1 - opt.beta2 ** (step + 1))
            theta = theta - rate * (mean / (np.sqrt(square) + opt.epsilon) + opt.weight_decay * theta)
        else:
            raise KeyError(opt.name)
    return theta
