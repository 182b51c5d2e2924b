"""Learning forward in time: the engine and the contract of all online rules, and the learner of one item at a time."""
