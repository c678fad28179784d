"""What is asked of the C core before a table is a network's: a part of _core.pyx."""


def find_bins(known, X, columns, bins, fractions):
    """Write the bins and fractions of some columns; see NumericColumns.find in tabular/bins.py."""
    cdef _Borrowed b = _Borrowed(None)
    cdef fnn_columns m
    cdef Py_ssize_t n_rows = X.shape[0], width = X.shape[1]
    cdef Py_ssize_t first = columns.start, stop = columns.stop
    cdef const double *x
    cdef uint8_t *to_bins
    cdef float *to_fractions
    cdef bint finite
    m.n = len(known.places)
    m.places = <const int64_t *> b.borrow(known.places, "lq", 8, m.n, False, "places")
    m.starts = <const int64_t *> b.borrow(known.starts, "lq", 8, m.n + 1, False, "starts")
    m.fills = <const double *> b.borrow(known.fills, "d", 8, m.n, False, "fills")
    m.centers = <const double *> b.borrow(known.centers, "d", 8, m.n, False, "centers")
    m.factors = <const double *> b.borrow(known.factors, "d", 8, m.n, False, "factors")
    m.edges = <const double *> b.borrow(known.edges, "d", 8, m.starts[m.n], False, "edges")
    if not 0 <= first <= stop <= m.n:
        raise IndexError(f"columns must lie in [0, {m.n}), got {columns}.")
    for i in range(first if width > 1 else stop, stop):
        if not 0 <= m.places[i] < width:
            raise IndexError(f"places must lie in [0, {width}), got {m.places[i]}.")
    x = <const double *> b.borrow(X, "d", 8, n_rows * width, False, "X")
    to_bins = <uint8_t *> b.borrow(bins, "B", 1, n_rows * m.n, True, "bins")
    to_fractions = <float *> b.borrow(fractions, "f", 4, n_rows * m.n, True, "fractions")
    with nogil:
        finite = fnn_find_bins(&m, first, stop, x, n_rows, width, to_bins, to_fractions)
    return finite


def count_numbers(x, values, counts):
    """Write the different numbers and how often each occurs; return how many there are.

    See count_numbers in tabular/tally.py.
    """
    cdef _Borrowed b = _Borrowed(None)
    cdef Py_ssize_t n = len(x)
    cdef const double *from_x = <const double *> b.borrow(x, "d", 8, n, False, "x")
    cdef double *to_values = <double *> b.borrow(values, "d", 8, n, True, "values")
    cdef int64_t *to_counts = <int64_t *> b.borrow(counts, "lq", 8, n, True, "counts")
    with nogil:
        n = fnn_tally(from_x, n, to_values, to_counts)
    return n
