"""Input and output weight conflict (Hochreiter & Schmidhuber 1997, section 3), in one picture.

A linear unit with a self-connection of weight 1 has to store its first input, +1 or -1, and to ignore 19 more; then it is
read. ::

    s(t) = s(t-1) + g(t) w x(t),    y(t) = o(t) v s(t),    E = 1/2 sum_t (d(t) - y(t))^2

d is the first input at the last tick and 0 before: the unit must be read once and be silent otherwise. Without gates g = o = 1.
With gates g is open at the first tick alone and o at the last one alone. Bars are the share of every tick in the update of w (by
its input) and of v (by its target), the mean over 20,000 sequences: up in blue, down in red.

Run it:  python examples/weight_conflict.py [FILE.png]
"""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

TICKS, SEQUENCES, W, V = 20, 20_000, 0.1, 0.1


def updates(gated, seed=0):
    """Shares (SEQUENCES, TICKS) of the ticks in -dE/dw, by the input, and in -dE/dv, by the target.

    >>> dw, dv = updates(gated=True)
    >>> bool((dw[:, 1:] == 0).all()), bool((dv[:, :-1] == 0).all())
    (True, True)
    >>> dw, dv = updates(gated=False)
    >>> bool(dv[:, :-1].mean() < 0 < dv[:, -1].mean())
    True
    """
    x = np.random.default_rng(seed).choice([-1.0, 1.0], (SEQUENCES, TICKS))
    g, o = np.ones(TICKS), np.ones(TICKS)
    if gated:
        g[1:], o[:-1] = 0, 0
    d = np.zeros((SEQUENCES, TICKS))
    d[:, -1] = x[:, 0]
    s = np.cumsum(g * W * x, axis=1)
    error = d - o * V * s
    reaches = np.cumsum((error * o * V)[:, ::-1], axis=1)[:, ::-1]  # all later errors, through the self-connection
    return reaches * g * x, error * o * s


def draw(path):
    """Write the picture; gives its path."""
    figure, axes = plt.subplots(2, 2, figsize=(8.4, 5.2), sharex=True, sharey="row", layout="constrained")
    ticks = np.arange(1, TICKS + 1)
    titles = ("without gates", "with gates")
    rows = (
        "update of the input weight\nby the input of tick t",
        "update of the output weight\nby the target of tick t",
    )
    for column, gated in enumerate((False, True)):
        for row, shares in enumerate(updates(gated)):
            mean = shares.mean(axis=0)
            axis = axes[row, column]
            axis.bar(ticks, mean, color=np.where(mean >= 0, "#2b6ca3", "#c8553d"), width=0.75)
            axis.axhline(0, color="black", linewidth=0.8)
            axis.spines[["top", "right"]].set_visible(False)
            words = f"up {mean[mean > 0].sum():.2f}, down {abs(mean[mean < 0].sum()):.2f}"
            axis.text(0.5, 0.9, words, transform=axis.transAxes, ha="center", fontsize=9)
            if row == 0:
                axis.set_title(titles[column])
            else:
                axis.set_xlabel("tick")
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
