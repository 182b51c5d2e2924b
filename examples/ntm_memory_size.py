"""Time a neural Turing machine's training step against the number of rows of its memory, and draw it.

    python examples/ntm_memory_size.py [picture.png] [most rows] [seconds a point]

Forward and backward pass of 10 time steps at batch 1, with 20 columns, one read and one write head, beside a controller of 100
units. Every row is read and written at every time step, so the time is a constant, the controller's, and a part that grows with
the rows; the dotted line is such a sum, fitted. Where a memory leaves a cache of the processor, the slope changes.
"""

import sys
import time

import numpy as np

import rnnsim as rs
from rnnsim.core.losses import Loss

TIME_STEPS, COLUMNS = 10, 20


def microseconds(controller, rows, seconds):
    """The least time of a time step over `seconds`, after a warm-up."""
    net = rs.NTM(9, 8, controller=controller, memory=(rows, COLUMNS), rng=1)
    rng = np.random.default_rng(0)
    batch = rs.tasks.Sequences(
        inputs=rng.integers(0, 2, (TIME_STEPS, 1, 9)).astype(np.float32),
        targets=rng.integers(0, 2, (TIME_STEPS, 1, 8)).astype(np.float32),
    )
    loss, times, end = Loss("bernoulli"), [], None
    while len(times) < 4 or time.perf_counter() < end:
        start = time.perf_counter()
        net.loss_and_gradient(batch, loss)
        times.append(time.perf_counter() - start)
        end = end or time.perf_counter() + seconds
    return 1e6 * min(times[1:]) / TIME_STEPS


def main(picture="ntm_memory_size.png", most=65536, seconds=0.2):
    """Time, print, draw."""
    rows = [128 * 2**k for k in range(20) if 128 * 2**k <= int(most)]
    found = {name: [microseconds(name, n, float(seconds)) for n in rows] for name in ("lstm", "feedforward")}
    print("rows     microseconds a time step: " + ", ".join(found))
    for k, n in enumerate(rows):
        print(f"{n:<8} " + "  ".join(f"{times[k]:10.1f}" for times in found.values()))

    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
    for (name, times), color in zip(found.items(), ("C0", "C1")):
        axes.loglog(rows, times, "o-", color=color, ms=4, label=f"{name} controller")
        # Relative errors count: every decade of the picture is as good as the others.
        table = np.stack([np.ones(len(rows)), rows], axis=1) / np.array(times)[:, None]
        (constant, slope), *_ = np.linalg.lstsq(table, np.ones(len(rows)))
        label = f"{constant:.0f} + {1e3 * slope:.0f} per 1000 rows"
        axes.loglog(rows, constant + slope * np.array(rows), ":", color=color, label=label)
    axes.set(xlabel="rows of the memory, N", ylabel="forward and backward, microseconds a time step")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=120)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:])
