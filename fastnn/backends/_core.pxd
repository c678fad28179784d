"""What Cython knows of csrc/fastnn.h."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t


cdef extern from "fastnn.h" nogil:
    ctypedef enum:
        FNN_DENSE, FNN_CSR, FNN_ENCODED
        FNN_OK, FNN_NO_MEMORY, FNN_NOT_FINITE
        FNN_MAX_SETTINGS, FNN_MAX_EMBEDDING
        PER_OUTPUT

    ctypedef struct fnn_activation_entry:
        const char *name
        int keeps_input, n_settings

    ctypedef struct fnn_loss_entry:
        const char *name
        int y_is_codes, n_settings

    ctypedef struct fnn_optimizer_entry:
        const char *name
        int n_slots, n_settings

    ctypedef void fnn_function(void *a, void *slopes, ptrdiff_t n, ptrdiff_t n_slopes)

    ctypedef struct fnn_layer:
        ptrdiff_t n_in, n_out
        int activation
        double dropout
        double *settings
        fnn_function *function
        ptrdiff_t weights, biases

    ctypedef struct fnn_embedding:
        ptrdiff_t n_numeric, size, n_bins, n_indicators, n_hot, n_out
        const int64_t *starts
        const double *lower
        const double *widths
        const double *hot
        ptrdiff_t bins, linear, bias, scale

    ctypedef struct fnn_network:
        const fnn_layer *layers
        ptrdiff_t n_layers, n_params
        int loss, inverse_link
        const double *loss_settings
        fnn_function *loss_function
        const fnn_embedding *embedding

    ctypedef struct fnn_segment:
        double rate, penalty, decay, epsilon
        int trainable

    ctypedef struct fnn_plan:
        int optimizer
        double *settings
        double alpha, l1, weight_decay, max_norm
        int averages
        ptrdiff_t batch_size
        const fnn_segment *weights
        const fnn_segment *biases
        const fnn_segment *embedding

    ctypedef struct fnn_step:
        pass

    ctypedef struct fnn_data:
        int input
        const void *values
        const void *indptr
        const void *indices
        int index64
        ptrdiff_t max_in_row
        const uint8_t *bins
        const void *indicators
        const int32_t *codes
        ptrdiff_t n_codes
        const void *y
        const void *weight

    ctypedef struct fnn_task:
        fnn_data data
        const fnn_plan *plan
        ptrdiff_t n_members, n_passes, n_visits
        void *params
        void *slots
        void *grad
        const int64_t *rows
        const fnn_step *steps
        ptrdiff_t rows_stride, steps_stride
        const uint32_t *seeds
        int64_t step
        double *losses
        double *weight_sums

    ctypedef struct fnn_columns:
        ptrdiff_t n
        const int64_t *places
        const int64_t *starts
        const double *fills
        const double *centers
        const double *factors
        const double *edges

    ctypedef struct fnn_engine
    ctypedef struct fnn_isa

    const fnn_activation_entry *fnn_activation_at(int code)
    const fnn_loss_entry *fnn_loss_at(int code)
    const fnn_optimizer_entry *fnn_optimizer_at(int code)
    const char *fnn_inverse_link_name(int link)
    const char *fnn_precision_name(int precision)
    const char *fnn_function_name(int function)
    const fnn_isa *fnn_isa_at(int i)
    const char *fnn_isa_name(const fnn_isa *isa)
    int fnn_isa_has(const fnn_isa *isa, int precision)
    double fnn_isa_flops(const fnn_isa *isa, int precision)
    fnn_engine *fnn_engine_new(const fnn_isa *isa, int precision, const fnn_network *network)
    void fnn_engine_free(fnn_engine *engine)
    int fnn_threads(const fnn_engine *engine, const fnn_task *task, int max)
    int fnn_prepare(fnn_engine *engine, const fnn_task *task, int n_threads, size_t *bytes)
    void fnn_work(fnn_engine *engine, const fnn_task *task, int me)
    void fnn_start(fnn_engine *engine, int n_threads)
    double fnn_line_cost(double ns)
    int fnn_intel(int is_)
    int fnn_probe(fnn_engine *engine)
    int fnn_forward(const fnn_engine *engine, const void *params, const fnn_data *data,
                    ptrdiff_t n_rows, void *out, size_t *bytes)
    int fnn_predict(const fnn_engine *engine, const void *params, const fnn_data *data,
                    ptrdiff_t n_rows, void *out, size_t *bytes)
    int fnn_find_bins(const fnn_columns *columns, ptrdiff_t first, ptrdiff_t stop, const double *x,
                      ptrdiff_t n_rows, ptrdiff_t width, uint8_t *bins, float *fractions)
    void fnn_shuffle(int32_t *rows, int32_t n, uint32_t (*next)(void *) noexcept nogil,
                     void *generator)
    double fnn_fma_peak(const fnn_isa *isa, int precision, ptrdiff_t n)
    void fnn_apply(const fnn_isa *isa, int precision, int function, void *values, ptrdiff_t n)
