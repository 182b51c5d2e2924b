"""Input and output weight conflict (Hochreiter & Schmidhuber 1997, section 3), in one picture.

A linear unit with a self-connection of weight 1 has to store its first input, +1 or -1, and to ignore 19 more; at the end its
value is read out. ::

    s(t) = s(t-1) + g(t) w x(t),    y(t) = o(t) v s(t),    E = 1/2 sum_t (d(t) - y(t))^2

d is the first input at the last time step and 0 before: the output must be 0 until then. Without gates, g = o = 1. With gates, g
is open at the first time step only and o at the last one only. Bars show the share of every time step in the update of w (by its
input) and of v (by its target), the mean over 20,000 sequences: positive in blue, negative in red.

Run it:  python examples/weight_conflict.py [FILE.png]
"""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

TIME_STEPS, SEQUENCES, W, V = 20, 20_000, 0.1, 0.1


def updates(gated, seed=0):
    """Shares (SEQUENCES, TIME_STEPS) of the time steps in -dE/dw, by the input, and in -dE/dv, by the target.

    >>> dw, dv = updates(gated=True)
    >>> bool((dw[:, 1:] == 0).all()), bool((dv[:, :-1] == 0).all())
    (True, True)
    >>> dw, dv = updates(gated=False)
    >>> bool(dv[:, :-1].mean() < 0 < dv[:, -1].mean())
    True
    """
    x = np.random.default_rng(seed).choice([-1.0, 1.0], (SEQUENCES, TIME_STEPS))
    g, o = np.ones(TIME_STEPS), np.ones(TIME_STEPS)
    if gated:
        g[1:], o[:-1] = 0, 0
    d = np.zeros((SEQUENCES, TIME_STEPS))
    d[:, -1] = x[:, 0]
    s = np.cumsum(g * W * x, axis=1)
    error = d - o * V * s
    reaches = np.cumsum((error * o * V)[:, ::-1], axis=1)[:, ::-1]  # all later errors, through the self-connection
    return reaches * g * x, error * o * s


def draw(path):
    """Draw the picture to a file; return its path."""
    figure, axes = plt.subplots(2, 2, figsize=(8.4, 5.2), sharex=True, sharey="row", layout="constrained")
    time_steps = np.arange(1, TIME_STEPS + 1)
    titles = ("without gates", "with gates")
    rows = (
        "update of the input weight\nby the input of time step t",
        "update of the output weight\nby the target of time step t",
    )
    for column, gated in enumerate((False, True)):
        for row, shares in enumerate(updates(gated)):
            mean = shares.mean(axis=0)
            axis = axes[row, column]
            axis.bar(time_steps, mean, color=np.where(mean >= 0, "#2b6ca3", "#c8553d"), width=0.75)
            axis.axhline(0, color="black", linewidth=0.8)
            axis.spines[["top", "right"]].set_visible(False)
            words = f"up {mean[mean > 0].sum():.2f}, down {abs(mean[mean < 0].sum()):.2f}"
            axis.text(0.5, 0.9, words, transform=axis.transAxes, ha="center", fontsize=9)
            if row == 0:
                axis.set_title(titles[column])
            else:
                axis.set_xlabel("time step")
                axis.set_xticks([1, 5, 10, 15, 20])
            if column == 0:
                axis.set_ylabel(rows[row])
    figure.suptitle(
        "One weight, conflicting updates: store the first input, ignore the others; speak at the end alone", fontsize=10
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


if __name__ == "__main__":
    print(draw(sys.argv[1] if len(sys.argv) > 1 else "weight-conflict.png"))
