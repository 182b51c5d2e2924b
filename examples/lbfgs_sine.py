"""Train a small fully recurrent network by SciPy's L-BFGS-B to generate a sine, and draw what it learned.

    python examples/lbfgs_sine.py [picture.png]

The network has no input but a constant; it must oscillate by itself from a learned initial state. Its 61 parameters are
one flat float64 vector, which is all that SciPy needs to see. From about half of the seeds the descent ends at a network
whose oscillation dies out; this one oscillates three times as long as it was trained.
"""

import sys

import numpy as np
import scipy.optimize

import rnnsim as rs

TIME_STEPS, PERIOD = 100, 25


def main(picture="lbfgs_sine.png"):
    """Train, print the error, draw."""
    net = rs.Recurrent("rnn", 1, 1, hidden=6, learned_initial_state=True, dtype="float64", rng=5)
    t = np.arange(TIME_STEPS)
    target = np.sin(2 * np.pi * t / PERIOD).reshape(TIME_STEPS, 1, 1)
    batch = rs.tasks.Sequences(inputs=np.ones((TIME_STEPS, 1, 1)), targets=target)
    f = rs.objective(net, batch)
    result = scipy.optimize.minimize(
        f, net.theta, jac=True, method="L-BFGS-B", options={"maxiter": 2000, "maxfun": 4000}
    )
    net.theta[:] = result.x
    longer = net.forward(np.ones((3 * TIME_STEPS, 1, 1))).outputs[:, 0, 0]
    print(f"{net.n_parameters} parameters, {result.nfev} evaluations: mean squared error {result.fun / TIME_STEPS:.2e}")

    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    axes.plot(np.sin(2 * np.pi * np.arange(3 * TIME_STEPS) / PERIOD), color="0.7", lw=3, label="target")
    axes.plot(longer, lw=1, label="network, running free")
    axes.axvspan(0, TIME_STEPS, color="C0", alpha=0.08, label="time steps of the training")
    axes.set(xlabel="time step", ylabel="output")
    axes.legend(loc="lower right", ncols=3)
    figure.savefig(picture, dpi=120)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:])
