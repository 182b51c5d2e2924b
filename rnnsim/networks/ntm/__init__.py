"""The neural Turing machine (Graves, Wayne & Danihelka 2014): `network` has the class, `unroll` the passes over time, `heads`
what a head does with the memory, `addressing` how it finds its place."""
