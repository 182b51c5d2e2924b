"""Reading and writing of a neural Turing machine, forward and backward (Graves, Wayne & Danihelka 2014, sections 3.1 and 3.2).

With the memory rows m_i (M), i = 1 .. N, a weighting w (N), an erase vector e (M) in 0 .. 1 and an add vector a (M)::

    r     = sum_i w_i m_i                                          read                               (eq. 2)
    m_i  <- m_i * (1 - w_i e)                                      erase, all heads before any adds   (eq. 3)
    m_i  <- m_i + w_i a                                            add                                (eq. 4)

The memory is (M, N), its rows of N numbers padded as `rnnsim.networks.ntm.rows` says; the padding stays zero.
"""

from rnnsim.core.jit import jit_borrowed
from rnnsim.core.simd import broadcast, reduce_add, width
from rnnsim.networks.ntm.rows import dot, get, put

# -- the mathematics, on numbers: scalars or vectors --------------------------------------------------------------------------


@jit_borrowed
def erase(m, w, e, one):
    """Eq. 3."""
    return m * (one - w * e)


@jit_borrowed
def erase_backward(d, m, w, e, one):
    """The gradients of m, of -w and of -e; d is that of the erased m."""
    lost = d * m
    return d * (one - w * e), lost * e, lost * w


@jit_borrowed
def add(m, w, a):
    """Eq. 4."""
    return m + w * a


# -- on the memory ------------------------------------------------------------------------------------------------------------


@jit_borrowed
def read_forward(vector, contents, weights):
    """vector (M) <- eq. 2 of contents (M, N) and weights (N)."""
    for m in range(vector.size):
        vector[m] = dot(contents[m], weights)


@jit_borrowed
def read_backward(d_contents, d_weights, d_vector, contents, weights):
    """d_contents (M, N) += and d_weights (N) += the gradients; d_vector is (M)."""
    for m in range(d_vector.size):
        d, row, d_row = d_vector[m], contents[m], d_contents[m]
        for j in range(0, weights.size, width(weights)):
            put(d_row, j, get(d_row, j) + get(weights, j) * d)
            put(d_weights, j, get(d_weights, j) + get(row, j) * d)


@jit_borrowed
def erase_rows(new, contents, weights, vector):
    """new (M, N) <- eq. 3 of contents (M, N), weights (N) and an erase vector (M); new may be contents."""
    one = broadcast(weights, 1)
    for m in range(contents.shape[0]):
        row, new_row, e = contents[m], new[m], vector[m]
        for j in range(0, weights.size, width(weights)):
            put(new_row, j, erase(get(row, j), get(weights, j), e, one))


@jit_borrowed
def erase_rows_backward(d_contents, d_weights, d_vector, contents, weights, vector):
    """d_contents (M, N) goes from the erased memory's gradient to that of contents; d_weights (N) +=, d_vector (M) <-."""
    one = broadcast(weights, 1)
    for m in range(contents.shape[0]):
        row, d_row, e = contents[m], d_contents[m], vector[m]
        d_minus_e = broadcast(weights, 0)
        for j in range(0, weights.size, width(weights)):
            d_m, minus_w, minus_e = erase_backward(get(d_row, j), get(row, j), get(weights, j), e, one)
            put(d_weights, j, get(d_weights, j) - minus_w)
            put(d_row, j, d_m)
            d_minus_e = d_minus_e + minus_e
        d_vector[m] = -reduce_add(d_minus_e)


@jit_borrowed
def add_rows(contents, weights, vector):
    """contents (M, N) <- eq. 4 of weights (N) and an add vector (M)."""
    for m in range(contents.shape[0]):
        row, a = contents[m], vector[m]
        for j in range(0, weights.size, width(weights)):
            put(row, j, add(get(row, j), get(weights, j), a))


@jit_borrowed
def add_rows_backward(d_weights, d_vector, d_contents, weights, vector):
    """d_weights (N) += and d_vector (M) <- the gradients; that of contents, d_contents (M, N), passes unchanged."""
    for m in range(d_contents.shape[0]):
        d_row, a = d_contents[m], vector[m]
        sums = broadcast(weights, 0)
        for j in range(0, weights.size, width(weights)):
            d = get(d_row, j)
            sums = sums + d * get(weights, j)
            put(d_weights, j, get(d_weights, j) + d * a)
        d_vector[m] = reduce_add(sums)
