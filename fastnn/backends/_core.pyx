# cython: language_level=3, freethreading_compatible=True, boundscheck=False, wraparound=False
"""The whole border between Python and the C core in csrc/: arrays to pointers, error codes to exceptions.

It knows arrays and numbers only; :mod:`fastnn.backends.cython_backend` translates networks and plans. Every array is checked
for its type and its size before C sees it; that row numbers and CSR indices lie in range is checked by the caller, once.
"""

import os

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free


cdef extern from "fastnn.h" nogil:
    ctypedef enum:
        FNN_IDENTITY, FNN_LOGISTIC, FNN_TANH, FNN_RELU
        FNN_SQUARED_ERROR, FNN_POISSON, FNN_BINARY_LOG_LOSS, FNN_LOG_LOSS
        FNN_SGD, FNN_ADAM, FNN_GRADIENT_ONLY
        FNN_OK, FNN_NO_MEMORY, FNN_NOT_FINITE

    ctypedef struct fnn_layer:
        ptrdiff_t n_in, n_out
        int activation

    ctypedef struct fnn_plan:
        const fnn_layer *layers
        ptrdiff_t n_layers
        int loss, optimizer, nesterov
        double beta_1, beta_2, epsilon, alpha
        ptrdiff_t batch_size

    ctypedef struct fnn_data:
        const void *values
        const void *indptr
        const void *indices
        int wide
        ptrdiff_t most_in_row
        const void *y
        const void *weight

    ctypedef struct fnn_task:
        fnn_data data
        void *params
        void *slots
        void *grad
        ptrdiff_t n_slots
        const int64_t *rows
        const double *rates
        ptrdiff_t n_passes, n_visits, batch_size
        int optimizer
        double *losses

    ctypedef struct fnn_engine
    ctypedef struct fnn_isa

    const fnn_isa *fnn_isa_at(int i)
    const char *fnn_isa_name(const fnn_isa *isa)
    int fnn_isa_lanes(const fnn_isa *isa, int is_double)
    fnn_engine *fnn_engine_new(const fnn_isa *isa, int is_double, const fnn_plan *plan)
    void fnn_engine_free(fnn_engine *engine)
    ptrdiff_t fnn_engine_n_params(const fnn_engine *engine)
    int fnn_threads(const fnn_engine *engine, const fnn_task *task, int most)
    int fnn_prepare(fnn_engine *engine, const fnn_task *task, int n_threads, size_t *bytes)
    void fnn_work(fnn_engine *engine, const fnn_task *task, int me)
    void fnn_start(fnn_engine *engine, int n_threads)
    int fnn_forward(const fnn_engine *engine, const void *params, const fnn_data *data, ptrdiff_t n_rows, int link,
                    int check, void *out, size_t *bytes)
    void fnn_shuffle(int32_t *rows, int32_t n, uint32_t (*next)(void *) noexcept nogil, void *generator)
    double fnn_spin(const fnn_isa *isa, int is_double, ptrdiff_t n)
    void fnn_apply(const fnn_isa *isa, int is_double, int function, void *values, ptrdiff_t n)


cdef struct bitgen:  # NumPy's public bitgen_t (numpy/random/bitgen.h)
    void *state
    uint64_t (*next_uint64)(void *) noexcept nogil
    uint32_t (*next_uint32)(void *) noexcept nogil


# The C core's numbers for what Python knows by name; tests hold them against those of activations.py and the others.
CODES = {
    "identity": FNN_IDENTITY, "logistic": FNN_LOGISTIC, "tanh": FNN_TANH, "relu": FNN_RELU,
    "squared_error": FNN_SQUARED_ERROR, "poisson": FNN_POISSON,
    "binary_log_loss": FNN_BINARY_LOG_LOSS, "log_loss": FNN_LOG_LOSS,
    "sgd": FNN_SGD, "adam": FNN_ADAM,
}
FUNCTIONS = ("exp", "log", "tanh", "logistic")


cdef const fnn_isa *_find(str name) except NULL:
    cdef int i = 0
    while fnn_isa_at(i) != NULL:
        if fnn_isa_name(fnn_isa_at(i)).decode() == name:
            return fnn_isa_at(i)
        i += 1
    raise ValueError(f"instruction set must be one of {', '.join(INSTRUCTION_SETS)}, got {name!r}.")


def _usable():
    cdef int i = 0
    names = []
    while fnn_isa_at(i) != NULL:
        names.append(fnn_isa_name(fnn_isa_at(i)).decode())
        i += 1
    return tuple(names)


def _chosen():
    name = os.environ.get("FASTNN_CPU", "").strip().lower()
    if not name:
        return INSTRUCTION_SETS[0]
    if name not in INSTRUCTION_SETS:
        # Not an ImportError: "auto" would take another backend, and what was asked for would pass unnoticed.
        raise ValueError(
            f"The environment variable FASTNN_CPU is {name!r}; this CPU can run {', '.join(INSTRUCTION_SETS)}. "
            "Set it to one of these, or unset it to take the first."
        )
    return name


INSTRUCTION_SETS = _usable()  # compiled in and usable on this CPU, best first
DEFAULT = _chosen()  # the one that engines take


cdef int _take(object array, Py_buffer *view, str kinds, Py_ssize_t itemsize, Py_ssize_t size, bint writable,
               str name) except -1:
    """Borrow the memory of an array of ``size`` numbers of a kind; the caller must release it."""
    PyObject_GetBuffer(array, view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS | (PyBUF_WRITABLE if writable else 0))
    if view.itemsize != itemsize or view.len != size * itemsize or chr(view.format[0]) not in kinds:
        message = (f"{name} must hold {size} numbers of {itemsize} bytes (kind {kinds[0]!r}), got {view.len // view.itemsize} "
                   f"of {view.itemsize} bytes (kind {view.format.decode()!r}).")
        PyBuffer_Release(view)
        raise ValueError(message)
    return 0


cdef class Engine:
    """A network in C: its plan and its scratch."""

    cdef fnn_engine *engine
    cdef fnn_plan plan
    cdef readonly bint is_double
    cdef readonly Py_ssize_t n_in, n_out, n_params
    cdef readonly str isa
    cdef bint busy

    def __cinit__(self, str isa, bint is_double, layers, int loss, int optimizer, bint nesterov, double beta_1, double beta_2,
                  double epsilon, double alpha, Py_ssize_t batch_size):
        cdef const fnn_isa *found = _find(isa)
        cdef fnn_layer *c_layers = <fnn_layer *> calloc(len(layers), sizeof(fnn_layer))
        if c_layers == NULL:
            raise MemoryError()
        for i, (n_in, n_out, activation) in enumerate(layers):
            c_layers[i] = fnn_layer(n_in, n_out, activation)
        self.plan = fnn_plan(c_layers, len(layers), loss, optimizer, nesterov, beta_1, beta_2, epsilon, alpha, batch_size)
        self.engine = fnn_engine_new(found, is_double, &self.plan)
        free(c_layers)
        if self.engine == NULL:
            raise MemoryError("No memory for the description of a network.")
        self.isa, self.is_double = isa, is_double
        self.n_in, self.n_out, self.n_params = layers[0][0], n_out, fnn_engine_n_params(self.engine)

    def __dealloc__(self):
        fnn_engine_free(self.engine)

    def forward(self, params, X, out, bint link, bint check):
        """Raw outputs (or with ``link`` predictions) of ``X (n_rows, n_in)``, dense, into ``out (n_rows, n_out)``.

        False, and ``out`` worth nothing, if ``check`` finds NaN or infinity in X. Releases the GIL for more than a few rows.
        """
        cdef Py_buffer p, x, z
        cdef Py_ssize_t n_rows = len(X), size = 8 if self.is_double else 4
        cdef str kind = "d" if self.is_double else "f"
        cdef fnn_data data
        cdef size_t n_bytes = 0
        cdef int error
        data.indptr = data.indices = data.y = data.weight = NULL
        data.most_in_row = data.wide = 0
        _take(params, &p, kind, size, self.n_params, False, "params")
        try:
            _take(X, &x, kind, size, n_rows * self.n_in, False, "X")
            try:
                _take(out, &z, kind, size, n_rows * self.n_out, True, "out")
                data.values = x.buf
                if n_rows < 4:
                    error = fnn_forward(self.engine, p.buf, &data, n_rows, link, check, z.buf, &n_bytes)
                else:
                    with nogil:
                        error = fnn_forward(self.engine, p.buf, &data, n_rows, link, check, z.buf, &n_bytes)
                PyBuffer_Release(&z)
            finally:
                PyBuffer_Release(&x)
        finally:
            PyBuffer_Release(&p)
        if error == FNN_NO_MEMORY:
            raise MemoryError(f"No memory for {n_bytes} bytes of scratch.")
        return error == FNN_OK

    def forward_csr(self, params, values, indices, indptr, Py_ssize_t n_rows, out, bint link):
        """:meth:`forward` for the three arrays of a CSR matrix."""
        cdef _Borrowed b = _Borrowed(self.is_double)
        cdef fnn_data data
        cdef size_t n_bytes = 0
        cdef const void *p = b.real(params, self.n_params, False, "params")
        cdef void *z = b.real(out, n_rows * self.n_out, True, "out")
        cdef int error
        data.y = data.weight = NULL
        b.csr(&data, values, indices, indptr, n_rows, 0)
        with nogil:
            error = fnn_forward(self.engine, p, &data, n_rows, link, False, z, &n_bytes)
        if error:
            raise MemoryError(f"No memory for {n_bytes} bytes of scratch.")


cdef class _Borrowed:
    """The arrays whose memory a call works on, given back when it ends."""

    cdef Py_buffer views[16]
    cdef int n
    cdef bint is_double

    def __cinit__(self, bint is_double):
        self.n = 0
        self.is_double = is_double

    def __dealloc__(self):
        for i in range(self.n):
            PyBuffer_Release(&self.views[i])

    cdef void *take(self, object array, str kinds, Py_ssize_t itemsize, Py_ssize_t size, bint writable, str name) except? NULL:
        _take(array, &self.views[self.n], kinds, itemsize, size, writable, name)
        self.n += 1
        return self.views[self.n - 1].buf

    cdef void *real(self, object array, Py_ssize_t size, bint writable, str name) except? NULL:
        return self.take(array, "d" if self.is_double else "f", 8 if self.is_double else 4, size, writable, name)

    cdef int csr(self, fnn_data *data, values, indices, indptr, Py_ssize_t n_rows, Py_ssize_t most_in_row) except -1:
        cdef Py_ssize_t size = indices.itemsize
        data.values = self.real(values, len(values), False, "X.data")
        data.indices = self.take(indices, "liq", size, len(values), False, "X.indices")
        data.indptr = self.take(indptr, "liq", size, n_rows + 1, False, "X.indptr")
        data.wide = size == 8
        data.most_in_row = most_in_row
        return 0


cdef class Call:
    """One call of ``train`` or, with ``grad``, of ``loss_grad``: borrowed arrays, then threads that work on them.

    ``X`` is an array, or the tuple (values, indices, indptr, most entries in a row).
    """

    cdef Engine owner
    cdef _Borrowed arrays
    cdef fnn_task task

    def __cinit__(self, Engine owner, params, slots, grad, X, y, weight, rows, rates, losses):
        cdef _Borrowed b = _Borrowed(owner.is_double)
        cdef Py_ssize_t n_rows = len(y)
        self.owner, self.arrays = owner, b
        self.task.params = b.real(params, owner.n_params, grad is None, "params")
        self.task.slots = self.task.grad = NULL
        self.task.n_slots = 0 if slots is None else len(slots)
        if slots is not None:
            self.task.slots = b.real(slots, self.task.n_slots * owner.n_params, True, "slots")
        if grad is not None:
            self.task.grad = b.real(grad, owner.n_params, True, "grad")
        self.task.data.indptr = self.task.data.indices = self.task.data.weight = NULL
        self.task.data.most_in_row = self.task.data.wide = 0
        if isinstance(X, tuple):
            b.csr(&self.task.data, X[0], X[1], X[2], n_rows, X[3])
        else:
            self.task.data.values = b.real(X, n_rows * owner.n_in, False, "X")
        if owner.plan.loss == FNN_LOG_LOSS:
            self.task.data.y = b.take(y, "il", 4, n_rows, False, "y")
        else:
            self.task.data.y = b.real(y, n_rows * owner.n_out, False, "y")
        if weight is not None:
            self.task.data.weight = b.real(weight, n_rows, False, "weight")
        self.task.n_passes, self.task.n_visits = rows.shape
        self.task.rows = <const int64_t *> b.take(rows, "lq", 8, rows.size, False, "rows")
        self.task.rates = NULL
        self.task.batch_size = self.task.n_visits if grad is not None else owner.plan.batch_size
        if rates is not None:
            self.task.rates = <const double *> b.take(rates, "d", 8, rates.size, False, "rates")
        self.task.optimizer = FNN_GRADIENT_ONLY if grad is not None else owner.plan.optimizer
        self.task.losses = <double *> b.take(losses, "d", 8, self.task.n_passes, True, "losses")

    def n_threads(self, int most):
        """How many threads this call is worth, at most ``most``."""
        return fnn_threads(self.owner.engine, &self.task, most)

    def prepare(self, int n_threads):
        """Take the engine and its scratch; MemoryError, naming the bytes, where there is none."""
        cdef size_t n_bytes = 0
        if self.owner.busy:
            raise RuntimeError("This engine is at work in another thread; train needs an engine of its own.")
        if fnn_prepare(self.owner.engine, &self.task, n_threads, &n_bytes):
            raise MemoryError(f"No memory for {n_bytes} bytes of scratch.")
        self.owner.busy = True

    def work(self, int me):
        """The share of worker ``me``, from 1; returns when the whole call is done, or dismissed."""
        with nogil:
            fnn_work(self.owner.engine, &self.task, me)

    def lead(self, int n_threads):
        """Tell the workers how many they are with this thread, and do its share."""
        with nogil:
            fnn_start(self.owner.engine, n_threads)
            fnn_work(self.owner.engine, &self.task, 0)

    def dismiss(self):
        """Send home the workers of a call that nobody will lead; of no effect on one that is done."""
        fnn_start(self.owner.engine, -1)

    def finish(self):
        """Give the engine back."""
        self.owner.busy = False


def spin(str isa, bint is_double, Py_ssize_t n):
    """Independent fused multiply-adds for ``n`` rounds; returns the number of floating-point operations done."""
    cdef const fnn_isa *found = _find(isa)
    cdef double flops
    with nogil:
        flops = fnn_spin(found, is_double, n)
    return flops


def lanes(str isa, bint is_double):
    """Numbers in a vector."""
    return fnn_isa_lanes(_find(isa), is_double)


def apply(str isa, str function, values):
    """Apply one of ``FUNCTIONS`` to a contiguous array in place, with the vector code of an instruction set."""
    cdef bint is_double = values.itemsize == 8
    cdef _Borrowed b = _Borrowed(is_double)
    fnn_apply(_find(isa), is_double, FUNCTIONS.index(function), b.real(values, values.size, True, "values"), values.size)


def shuffle(rows, random_state):
    """Shuffle the int32 array ``rows (n,)`` in place, exactly as ``random_state.shuffle`` does."""
    cdef _Borrowed b = _Borrowed(True)
    generator = random_state._bit_generator
    cdef bitgen *bits = <bitgen *> PyCapsule_GetPointer(generator.capsule, "BitGenerator")
    cdef int32_t n = len(rows)
    cdef int32_t *c_rows = <int32_t *> b.take(rows, "il", 4, n, True, "rows")
    with generator.lock, nogil:
        fnn_shuffle(c_rows, n, bits.next_uint32, bits.state)
