"""The LSTM of its papers (1997, 2000, 2002): `network` has the equations and the class, `unroll` the passes over time,
`learner` the online rule, with its eligibility traces in `traces` and the change of the weights in `update`."""
