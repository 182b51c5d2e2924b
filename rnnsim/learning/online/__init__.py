"""Learning forward in time: the engine that all online rules share, their contract, and the learner of one item at a time."""
