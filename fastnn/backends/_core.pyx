# cython: language_level=3, freethreading_compatible=True, boundscheck=False, wraparound=False
"""The whole border between Python and the C core in csrc/: arrays to pointers, error codes to
exceptions.

It knows arrays, codes and numbers; :mod:`fastnn.backends.cython_backend` translates networks and
plans. Every array is checked for its type and its size before C sees it; that row numbers and CSR
indices lie in range is checked by the caller, once.
"""

import os
from collections import namedtuple

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free


cdef struct bitgen:  # NumPy's public bitgen_t (numpy/random/bitgen.h)
    void *state
    uint64_t (*next_uint64)(void *) noexcept nogil
    uint32_t (*next_uint32)(void *) noexcept nogil


Activation = namedtuple("Activation", "code keeps n_settings")
Loss = namedtuple("Loss", "code y_is_codes n_settings")  # None: a setting for each output
Optimizer = namedtuple("Optimizer", "code n_slots n_settings")


def _activations():
    cdef int i = 0
    found = {}
    while fnn_activation_at(i) != NULL:
        keeps = "input" if fnn_activation_at(i).keeps_input else "output"
        entry = Activation(i, keeps, fnn_activation_at(i).n_settings)
        found[fnn_activation_at(i).name.decode()] = entry
        i += 1
    return found


def _losses():
    cdef int i = 0
    found = {}
    while fnn_loss_at(i) != NULL:
        n_settings = fnn_loss_at(i).n_settings
        found[fnn_loss_at(i).name.decode()] = Loss(
            i, bool(fnn_loss_at(i).y_is_codes), None if n_settings == PER_OUTPUT else n_settings)
        i += 1
    return found


def _optimizers():
    cdef int i = 0
    found = {}
    while fnn_optimizer_at(i) != NULL:
        n_slots, n_settings = fnn_optimizer_at(i).n_slots, fnn_optimizer_at(i).n_settings
        found[fnn_optimizer_at(i).name.decode()] = Optimizer(i, n_slots, n_settings)
        i += 1
    return found


ctypedef const char *(*name_at)(int)


cdef dict _codes(name_at name):
    cdef int i = 0
    found = {}
    while name(i) != NULL:
        found[name(i).decode()] = i
        i += 1
    return found


# What the C core knows, by the names of core/: its lists are the only ones.
ACTIVATIONS, LOSSES, OPTIMIZERS = _activations(), _losses(), _optimizers()
INVERSE_LINKS = _codes(fnn_inverse_link_name)
PRECISIONS = _codes(fnn_precision_name)  # names of dtypes, and "bfloat16", whose arrays are float32
FUNCTIONS = _codes(fnn_function_name)  # of `apply`


cdef const fnn_isa *_find(str name) except NULL:
    cdef int i = 0
    while fnn_isa_at(i) != NULL:
        if fnn_isa_name(fnn_isa_at(i)).decode() == name:
            return fnn_isa_at(i)
        i += 1
    raise ValueError(f"instruction set must be one of {', '.join(INSTRUCTION_SETS)}, got {name!r}.")


cdef int _precision(str isa, str dtype) except -1:
    """The code of a precision that an instruction set has kernels for."""
    cdef const fnn_isa *found = _find(isa)
    has = [name for name, code in PRECISIONS.items() if fnn_isa_has(found, code)]
    if dtype not in has:
        raise ValueError(f"The kernels for {isa} compute in {' or '.join(has)}, not in {dtype}.")
    return PRECISIONS[dtype]


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
        # Not an ImportError: "auto" would take another backend, and what was asked for would pass
        # unnoticed.
        raise ValueError(
            f"The environment variable FASTNN_CPU is {name!r}; this CPU can run"
            f" {', '.join(INSTRUCTION_SETS)}. Set it to one of these, or unset it to take the"
            " first."
        )
    return name


INSTRUCTION_SETS = _usable()  # compiled in and usable on this CPU, best first
DEFAULT = _chosen()  # the one that engines take


cdef int _borrow(object array, Py_buffer *view, str kinds, Py_ssize_t itemsize, Py_ssize_t size,
                 bint writable, str name) except -1:
    """Borrow the memory of an array of ``size`` numbers of a kind; the caller must release it."""
    flags = PyBUF_FORMAT | PyBUF_C_CONTIGUOUS | (PyBUF_WRITABLE if writable else 0)
    PyObject_GetBuffer(array, view, flags)
    if (view.itemsize != itemsize or view.len != size * itemsize
            or chr(view.format[0]) not in kinds):
        message = (
            f"{name} must hold {size} numbers of {itemsize} bytes (kind {kinds[0]!r}), got"
            f" {view.len // view.itemsize} of {view.itemsize} bytes (kind"
            f" {view.format.decode()!r})."
        )
        PyBuffer_Release(view)
        raise ValueError(message)
    return 0


cdef int _settings(str name, settings, Py_ssize_t n, double *into) except -1:
    """Copy the settings of the kernel of this name, of which there must be ``n``."""
    if len(settings) != n:
        raise ValueError(f"The kernel of {name!r} reads {n} settings, got {len(settings)}.")
    for i, setting in enumerate(settings):
        into[i] = setting
    return 0


Encoded = namedtuple("Encoded", "fractions bins indicators codes")  # X of that kind


cdef class Embedding:
    """What stands below the first layer where X is encoded.

    Sizes, then arrays of 8-byte numbers, then where its four segments start in the parameter
    vector.
    """

    cdef fnn_embedding embedding
    cdef Py_buffer views[4]
    cdef int n

    def __cinit__(self, Py_ssize_t size, Py_ssize_t n_indicators, starts, lower, widths, hot,
                  segments):
        cdef fnn_embedding *m = &self.embedding
        if size > FNN_MAX_EMBEDDING:
            raise ValueError(f"size must be at most {FNN_MAX_EMBEDDING}, got {size}.")
        m.n_numeric, m.size, m.n_bins = len(starts) - 1, size, len(lower)
        m.n_indicators, m.n_hot = n_indicators, len(hot)
        m.n_out = m.n_numeric * size + n_indicators + m.n_hot
        m.starts = <const int64_t *> self.borrow(0, starts, "lq", m.n_numeric + 1, "starts")
        m.lower = <const double *> self.borrow(1, lower, "d", m.n_bins, "lower")
        m.widths = <const double *> self.borrow(2, widths, "d", m.n_bins, "widths")
        m.hot = <const double *> self.borrow(3, hot, "d", m.n_hot, "hot")
        m.bins, m.linear, m.bias, m.scale = segments

    cdef void *borrow(self, int i, object array, str kinds, Py_ssize_t size, str name) except? NULL:
        _borrow(array, &self.views[i], kinds, 8, size, False, name)
        self.n = i + 1
        return self.views[i].buf

    def __dealloc__(self):
        for i in range(self.n):
            PyBuffer_Release(&self.views[i])


cdef class Engine:
    """A network in C and its scratch.

    ``layers`` are tuples (n_in, n_out, activation's name, its settings, the address of a function
    that takes its place or 0, dropout, where its weights and where its biases start in the
    parameter vector); ``loss`` is (its name, its settings, the address of a function that takes its
    place or 0, the inverse link's name). ``embedding`` may be None; ``dtype`` is of PRECISIONS.
    """

    cdef fnn_engine *engine
    cdef bint y_is_codes
    cdef Py_ssize_t itemsize
    cdef str kind
    cdef Embedding embedding
    cdef readonly Py_ssize_t n_in, n_out, n_params
    cdef bint busy

    def __cinit__(self, str isa, str dtype, layers, Py_ssize_t n_params, loss,
                  Embedding embedding):
        cdef int precision = _precision(isa, dtype)
        cdef fnn_network network
        cdef Py_buffer numbers
        name, settings, loss_address, link = loss
        known = LOSSES[name]
        n_out = layers[len(layers) - 1][1]
        n_settings = n_out if known.n_settings is None else known.n_settings
        _borrow(settings, &numbers, "d", 8, n_settings, False, f"settings of {name!r}")
        cdef fnn_layer *c_layers = <fnn_layer *> calloc(len(layers), sizeof(fnn_layer))
        if c_layers == NULL:
            PyBuffer_Release(&numbers)
            raise MemoryError()
        try:
            for i, layer in enumerate(layers):
                n_in, n_out, activation, settings, address, dropout, weights, biases = layer
                c_layers[i].n_in, c_layers[i].n_out = n_in, n_out
                c_layers[i].dropout = dropout
                c_layers[i].weights, c_layers[i].biases = weights, biases
                c_layers[i].function = <fnn_function *> <size_t> address
                entry = ACTIVATIONS[activation]
                c_layers[i].activation = entry.code
                _settings(activation, settings, entry.n_settings, c_layers[i].settings)
            network = fnn_network(c_layers, len(layers), n_params, known.code,
                                  INVERSE_LINKS[link], <const double *> numbers.buf,
                                  <fnn_function *> <size_t> loss_address, NULL)
            if embedding is not None:
                network.embedding = &embedding.embedding
            self.embedding = embedding
            self.engine = fnn_engine_new(_find(isa), precision, &network)
        finally:
            PyBuffer_Release(&numbers)
            free(c_layers)
        if self.engine == NULL:
            raise MemoryError("No memory for the description of a network.")
        self.y_is_codes = known.y_is_codes
        self.kind, self.itemsize = ("d", 8) if dtype == "float64" else ("f", 4)
        self.n_in, self.n_out, self.n_params = layers[0][0], n_out, n_params

    def __dealloc__(self):
        fnn_engine_free(self.engine)

    def forward(self, params, X, out):
        """Raw outputs of ``X (n_rows, n_in)``, dense or as :class:`Call` takes it, into ``out``.

        True. Releases the GIL for more than a few rows. Of several members the first axis of
        ``params`` and ``out``, then of three dimensions, counts them.
        """
        return self.answer(params, X, out, fnn_forward)

    def predict(self, params, X, out):
        """Predictions of X into ``out``; False, and ``out`` worth nothing, if a dense X holds NaN
        or infinity."""
        return self.answer(params, X, out, fnn_predict)

    def takes(self, X, Py_ssize_t n_rows):
        """Whether an :class:`Encoded` of so many rows fits, and stays within, the embedding."""
        cdef const fnn_embedding *m = &self.embedding.embedding
        cdef _Borrowed borrowed = _Borrowed(self)
        cdef fnn_data data
        cdef Py_ssize_t i, f
        cdef bint fits = True
        try:
            borrowed.encoded(&data, X, n_rows)
        except ValueError:
            return False
        with nogil:
            for i in range(n_rows):
                for f in range(m.n_numeric):
                    fits &= data.bins[i * m.n_numeric + f] < m.starts[f + 1] - m.starts[f]
            for i in range(n_rows * data.n_codes):
                fits &= -1 <= data.codes[i] < m.n_hot
        return fits

    cdef bint answer(self, params, X, out,
                     int (*call)(const fnn_engine *, const void *, const fnn_data *, ptrdiff_t,
                                 void *, size_t *) noexcept nogil) except? 0:
        cdef Py_buffer p, x, z
        cdef Py_ssize_t n_members = len(out) if out.ndim == 3 else 1
        cdef Py_ssize_t n_rows = out.shape[out.ndim - 2]
        cdef Py_ssize_t own = self.n_params * self.itemsize
        cdef Py_ssize_t own_out = n_rows * self.n_out * self.itemsize
        cdef fnn_data data
        cdef size_t n_bytes = 0
        cdef int error = FNN_OK
        cdef char *at_p
        cdef char *at_z
        cdef _Borrowed other
        data.y = data.weight = NULL
        _borrow(params, &p, self.kind, self.itemsize, n_members * self.n_params, False, "params")
        try:
            if isinstance(X, tuple):
                other = _Borrowed(self)
                other.inputs(&data, X, n_rows)
            else:
                _borrow(X, &x, self.kind, self.itemsize, n_rows * self.n_in, False, "X")
                data.input = FNN_DENSE
                data.values = x.buf
            try:
                _borrow(out, &z, self.kind, self.itemsize, n_members * n_rows * self.n_out, True,
                        "out")
                at_p, at_z = <char *> p.buf, <char *> z.buf
                for _ in range(n_members):
                    if error != FNN_OK:
                        break
                    if n_rows < 4:
                        error = call(self.engine, at_p, &data, n_rows, at_z, &n_bytes)
                    else:
                        with nogil:
                            error = call(self.engine, at_p, &data, n_rows, at_z, &n_bytes)
                    at_p, at_z = at_p + own, at_z + own_out
                PyBuffer_Release(&z)
            finally:
                if data.input == FNN_DENSE:
                    PyBuffer_Release(&x)
        finally:
            PyBuffer_Release(&p)
        if error == FNN_NO_MEMORY:
            raise MemoryError(f"No memory for {n_bytes} bytes of scratch.")
        return error == FNN_OK


cdef class Plan:
    """How a network is trained.

    ``penalties`` are (alpha, l1, weight decay, largest norm or None, whether there is an average);
    ``weights`` and ``biases`` hold a tuple (rate, penalty, decay, epsilon, trainable) for each
    layer, ``embedding`` one for each of its segments.
    """

    cdef fnn_plan plan
    cdef fnn_segment *segments

    def __cinit__(self, str optimizer, settings, penalties, Py_ssize_t batch_size, weights, biases,
                  embedding):
        entry = OPTIMIZERS[optimizer]
        _settings(optimizer, settings, entry.n_settings, self.plan.settings)
        self.segments = <fnn_segment *> calloc(
            2 * len(weights) + len(embedding), sizeof(fnn_segment))
        if self.segments == NULL:
            raise MemoryError()
        each = [*weights, *biases, *embedding]
        for i, (rate, penalty, decay, epsilon, trainable) in enumerate(each):
            self.segments[i] = fnn_segment(rate, penalty, decay, epsilon, trainable)
        self.plan.optimizer = entry.code
        alpha, l1, weight_decay, max_norm, self.plan.averages = penalties
        self.plan.alpha, self.plan.l1, self.plan.weight_decay = alpha, l1, weight_decay
        self.plan.max_norm = max_norm or 0
        self.plan.batch_size = batch_size
        self.plan.weights, self.plan.biases = self.segments, self.segments + len(weights)
        self.plan.embedding = self.segments + 2 * len(weights)

    def __dealloc__(self):
        free(self.segments)


cdef class _Borrowed:
    """The arrays whose memory a call works on, given back when it ends."""

    cdef Py_buffer views[16]
    cdef int n
    cdef Engine owner

    def __cinit__(self, Engine owner):
        self.n = 0
        self.owner = owner

    def __dealloc__(self):
        for i in range(self.n):
            PyBuffer_Release(&self.views[i])

    cdef void *borrow(self, object array, str kinds, Py_ssize_t itemsize, Py_ssize_t size,
                      bint writable, str name) except? NULL:
        _borrow(array, &self.views[self.n], kinds, itemsize, size, writable, name)
        self.n += 1
        return self.views[self.n - 1].buf

    cdef void *real(self, object array, Py_ssize_t size, bint writable, str name) except? NULL:
        return self.borrow(array, self.owner.kind, self.owner.itemsize, size, writable, name)

    cdef int inputs(self, fnn_data *data, X, Py_ssize_t n_rows) except -1:
        if isinstance(X, Encoded):
            self.encoded(data, X, n_rows)
        elif isinstance(X, tuple):
            self.csr(data, X, n_rows)
        else:
            data.input = FNN_DENSE
            data.values = self.real(X, n_rows * self.owner.n_in, False, "X")
        return 0

    cdef int encoded(self, fnn_data *data, X, Py_ssize_t n_rows) except -1:
        cdef fnn_embedding *m = &self.owner.embedding.embedding
        cdef Py_ssize_t size = n_rows * m.n_numeric
        data.input = FNN_ENCODED
        data.values = self.real(X.fractions, size, False, "X.fractions")
        data.bins = <const uint8_t *> self.borrow(X.bins, "B", 1, size, False, "X.bins")
        data.indicators = self.real(X.indicators, n_rows * m.n_indicators, False, "X.indicators")
        data.n_codes = X.codes.shape[1]
        data.codes = <const int32_t *> self.borrow(
            X.codes, "il", 4, n_rows * data.n_codes, False, "X.codes")
        return 0

    cdef int csr(self, fnn_data *data, X, Py_ssize_t n_rows) except -1:
        values, indices, indptr, max_in_row = X
        cdef Py_ssize_t size = indices.itemsize
        data.input = FNN_CSR
        data.values = self.real(values, len(values), False, "X.data")
        data.indices = self.borrow(indices, "liq", size, len(values), False, "X.indices")
        data.indptr = self.borrow(indptr, "liq", size, n_rows + 1, False, "X.indptr")
        data.index64 = size == 8
        data.max_in_row = max_in_row
        return 0


cdef class Call:
    """One call of ``train`` or, without a plan, of ``gradient``: borrowed arrays, then threads that
    work on them.

    Members come first in all arrays: ``params (n, n_params)``, ``seeds (n,)``, ``rows (n or 1,
    n_passes, n_visits)``. ``X`` is an array, an ``Encoded``, or the tuple (values, indices, indptr,
    most entries of a row).
    """

    cdef Engine owner
    cdef Plan plan
    cdef _Borrowed arrays
    cdef fnn_task task

    def __cinit__(self, Engine owner, Plan plan, params, seeds, int64_t step, X, y, weight, rows,
                  losses):
        cdef _Borrowed b = _Borrowed(owner)
        cdef Py_ssize_t n_rows = len(y), n_members = len(params)
        cdef fnn_task *task = &self.task
        self.owner, self.plan, self.arrays = owner, plan, b
        task.plan = NULL if plan is None else &plan.plan
        task.n_members = n_members
        task.params = b.real(params, n_members * owner.n_params, plan is not None, "params")
        task.seeds = <const uint32_t *> b.borrow(seeds, "IL", 4, n_members, False, "seeds")
        task.step = step
        b.inputs(&task.data, X, n_rows)
        if owner.y_is_codes:
            task.data.y = b.borrow(y, "il", 4, n_rows, False, "y")
        else:
            task.data.y = b.real(y, n_rows * owner.n_out, False, "y")
        if weight is not None:
            task.data.weight = b.real(weight, n_rows, False, "weight")
        n_rows_members, task.n_passes, task.n_visits = rows.shape
        task.rows = <const int64_t *> b.borrow(rows, "lq", 8, rows.size, False, "rows")
        task.rows_stride = 0 if n_rows_members == 1 else task.n_passes * task.n_visits
        task.losses = <double *> b.borrow(
            losses, "d", 8, n_members * task.n_passes, True, "losses")

    def train(self, slots, steps):
        """What else a call with a plan needs; steps of shape ``(n or 1, n_passes, n_steps, 3)``."""
        cdef _Borrowed b = self.arrays
        cdef fnn_task *task = &self.task
        n_slots = fnn_optimizer_at(task.plan.optimizer).n_slots + task.plan.averages
        size = task.n_members * n_slots * self.owner.n_params
        task.slots = b.real(slots, size, True, "slots")
        task.steps = <const fnn_step *> b.borrow(steps, "d", 8, steps.size, False, "steps")
        task.steps_stride = 0 if len(steps) == 1 else steps[0].size // 3
        return self

    def gradient(self, grad, weight_sums):
        """What else a call without a plan needs."""
        cdef _Borrowed b = self.arrays
        cdef fnn_task *task = &self.task
        task.grad = b.real(grad, task.n_members * self.owner.n_params, True, "grad")
        task.weight_sums = <double *> b.borrow(
            weight_sums, "d", 8, task.n_members, True, "weight sums")
        return self

    def n_threads(self, int max):
        """How many threads this call is worth, at most ``max``."""
        return fnn_threads(self.owner.engine, &self.task, max)

    def prepare(self, int n_threads):
        """Take the engine and its scratch; MemoryError, naming the bytes, where there is none."""
        cdef size_t n_bytes = 0
        if self.owner.busy:
            raise RuntimeError(
                "This engine is at work in another thread; train needs an engine of its own."
            )
        if fnn_prepare(self.owner.engine, &self.task, n_threads, &n_bytes):
            raise MemoryError(f"No memory for {n_bytes} bytes of scratch.")
        self.owner.busy = True

    def work(self, int me):
        """The share of worker ``me``, from 1; returns when all is done, or the call given up."""
        with nogil:
            fnn_work(self.owner.engine, &self.task, me)

    def probe(self):
        """Measure what a line of memory costs between cores, with worker 1; true if it is new.

        Once in a process; afterwards :meth:`n_threads` knows it.
        """
        cdef int is_new
        with nogil:
            is_new = fnn_probe(self.owner.engine)
        return bool(is_new)

    def lead(self, int n_threads):
        """Tell the workers how many they are with this thread, and do its share."""
        with nogil:
            fnn_start(self.owner.engine, n_threads)
            fnn_work(self.owner.engine, &self.task, 0)

    def give_up(self):
        """Let the workers of a call that nobody leads return; no effect on one that is done."""
        fnn_start(self.owner.engine, -1)

    def finish(self):
        """Give the engine back."""
        self.owner.busy = False


def fma_peak(str isa, str dtype, Py_ssize_t n):
    """Independent fused multiply-adds for ``n`` rounds; returns the floating-point operations."""
    cdef int precision = _precision(isa, dtype)
    cdef const fnn_isa *found = _find(isa)
    cdef double flops
    with nogil:
        flops = fnn_fma_peak(found, precision, n)
    return flops


def tuning(double line_cost=-1, int intel=-1):
    """Nanoseconds of a line from core to core (0: not measured), whether it is Intel's; or set."""
    return fnn_line_cost(line_cost), bool(fnn_intel(intel))


def flops(str isa, str dtype):
    """Floating-point operations of products in a cycle, about: by which precisions compare."""
    return fnn_isa_flops(_find(isa), _precision(isa, dtype))


def apply(str isa, str function, values):
    """Apply one of ``FUNCTIONS`` to a contiguous array in place, with an instruction set's code."""
    cdef Py_buffer view
    cdef int precision = _precision(isa, values.dtype.name), number = FUNCTIONS[function]
    _borrow(values, &view, "fd", values.itemsize, values.size, True, "values")
    fnn_apply(_find(isa), precision, number, view.buf, values.size)
    PyBuffer_Release(&view)


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


def shuffle(rows, random_state):
    """Shuffle the int32 array ``rows (n,)`` in place, exactly as ``random_state.shuffle`` does."""
    cdef Py_buffer view
    generator = random_state._bit_generator
    cdef bitgen *bits = <bitgen *> PyCapsule_GetPointer(generator.capsule, "BitGenerator")
    cdef int32_t n = len(rows)
    _borrow(rows, &view, "il", 4, n, True, "rows")
    with generator.lock, nogil:
        fnn_shuffle(<int32_t *> view.buf, n, bits.next_uint32, bits.state)
    PyBuffer_Release(&view)
