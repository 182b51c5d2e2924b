"""The neural Turing machine (Graves, Wayne & Danihelka 2014).

`network` has the class, `heads` every step of a head as a function on arrays. Of the kernels, `addressing` finds a head's place
(eqs. 5 to 9), `memory` reads and writes (eqs. 2 to 4), `emission` has what heads emit, `unroll` the passes over time; `tape` and
`rows` are their buffers, `traces` what can be recorded.
"""
