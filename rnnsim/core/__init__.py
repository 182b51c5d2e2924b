"""The ground floor: parameter layout, the jit policy, vector maths, matrix products, losses, random streams."""
