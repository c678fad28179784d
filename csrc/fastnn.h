/* What may the rest of the world see of the C core? Structs, codes and a handful of functions.
 *
 * Numbers of one engine are all of one precision; pointers to them are void *. Matrices are
 * row-major. Several networks of one engine, the members, may train in one call: the first axis of
 * params, slots, grad, rows, rates and losses counts them.
 */
#ifndef FASTNN_H
#define FASTNN_H

#include <stddef.h>
#include <stdint.h>

#include "activations.inc"
#include "losses.inc"
#include "math.inc"
#include "optimizers.inc"

/* FNN_BF16: numbers are float, but products take operands rounded to bfloat16 in training. */
enum fnn_precision { FNN_F32, FNN_F64, FNN_BF16, FNN_N_PRECISIONS };

/* One code for each entry of the lists, in their order. */
#define CODE(name, ...) FNN_ACTIVATION_##name,
enum fnn_activation { ACTIVATIONS(CODE) FNN_N_ACTIVATIONS };
#undef CODE
#define CODE(name, ...) FNN_LOSS_##name,
enum fnn_loss { LOSSES(CODE) FNN_N_LOSSES };
#undef CODE
#define CODE(name) FNN_INVERSE_LINK_##name,
enum fnn_inverse_link { INVERSE_LINKS(CODE) FNN_N_INVERSE_LINKS };
#undef CODE
#define CODE(name, ...) FNN_OPTIMIZER_##name,
enum fnn_optimizer { OPTIMIZERS(CODE) FNN_N_OPTIMIZERS };
#undef CODE

/* Of an optimizer; settings of an activation, too. */
enum { FNN_MAX_SLOTS = 8, FNN_MAX_SETTINGS = 8 };

enum fnn_input { FNN_DENSE, FNN_CSR, FNN_ENCODED, FNN_N_INPUTS };

enum { FNN_MAX_EMBEDDING = 64 }; /* numbers that a column becomes */

enum fnn_error { FNN_OK, FNN_NO_MEMORY, FNN_NOT_FINITE };

/* What the lists say of each code; NULL after the last. */
typedef struct {
    const char *name;
    int keeps_input; /* the slope does not follow from the value */
    int n_settings;
} fnn_activation_entry;
typedef struct {
    const char *name;
    int y_is_codes, n_settings; /* or PER_OUTPUT */
} fnn_loss_entry;
typedef struct {
    const char *name;
    int n_slots, n_settings;
} fnn_optimizer_entry;
const fnn_activation_entry *fnn_activation_at(int code);
const fnn_loss_entry *fnn_loss_at(int code);
const fnn_optimizer_entry *fnn_optimizer_at(int code);
const char *fnn_inverse_link_name(int link);
const char *fnn_precision_name(int precision);
const char *fnn_function_name(int function);

/* A function from outside: n numbers in `a` -> values, in place, and n_slopes (n or 0) slopes. Of an
 * activation they are weighted inputs; of a loss raw outputs, whose targets stand in `slopes`. */
typedef void fnn_function(void *a, void *slopes, ptrdiff_t n, ptrdiff_t n_slopes);

typedef struct {
    ptrdiff_t n_in, n_out;
    int activation;
    double dropout;            /* the share of its outputs that training silences */
    double settings[FNN_MAX_SETTINGS]; /* of the activation */
    fnn_function *function;            /* may be NULL; else the activation is the identity */
    ptrdiff_t weights, biases; /* where they start in the parameter vector */
} fnn_layer;

/* What stands below the first layer where X is encoded; see core/embedding.py. */
typedef struct {
    ptrdiff_t n_numeric, size, n_bins, n_indicators, n_hot, n_out;
    const int64_t *starts;               /* (n_numeric + 1,): where each column's bins begin */
    const double *lower, *widths, *hot;  /* (n_bins,), (n_bins,), (n_hot,) */
    ptrdiff_t bins, linear, bias, scale; /* where they start in the parameter vector */
} fnn_embedding;

typedef struct {
    const fnn_layer *layers;
    ptrdiff_t n_layers, n_params;
    int loss, inverse_link;
    const double *loss_settings; /* as many as the loss has */
    fnn_function *loss_function; /* may be NULL; else it takes the place of absolute_error */
    const fnn_embedding *embedding; /* may be NULL; its arrays must outlive the engine */
} fnn_network;

/* How the weights or the biases of a layer train; see Segment in core/network.py. */
typedef struct {
    double rate, penalty, decay, epsilon;
    int trainable;
} fnn_segment;

/* How a network is trained, apart from the data; see Plan in backends/base.py. */
typedef struct {
    int optimizer;
    double settings[FNN_MAX_SETTINGS];
    double alpha, l1, weight_decay;
    double max_norm; /* of a batch's gradient; 0: of any norm */
    int averages;    /* whether one more slot is the parameters' average */
    ptrdiff_t batch_size;
    const fnn_segment *weights, *biases; /* (n_layers,) */
    const fnn_segment *embedding;        /* (4,): bins, linear, bias and scale */
} fnn_plan;

typedef struct {
    int input;          /* enum fnn_input */
    const void *values; /* dense: (n_rows, n_in); CSR: (n_entries,); encoded: fractions */
    const void *indptr, *indices; /* of CSR: int64 if index64, else int32 */
    int index64;
    ptrdiff_t max_in_row;   /* of CSR: entries of the longest row */
    const uint8_t *bins;    /* of encoded X: (n_rows, n_numeric), as the fractions; */
    const void *indicators; /* (n_rows, n_indicators); */
    const int32_t *codes;   /* (n_rows, n_codes), hot columns, -1 for none */
    ptrdiff_t n_codes;
    const void *y, *weight; /* y (n_rows, n_out) or int32 codes (n_rows,); weight may be NULL */
} fnn_data;

/* The numbers of a step; see Optimizer.steps in core/optimizers.py. */
typedef struct {
    double rate, effective_rate, share;
} fnn_step;

/* One call of train; or, without a plan, of gradient: one pass, one batch, plain sums. */
typedef struct {
    fnn_data data;
    const fnn_plan *plan;
    ptrdiff_t n_members, n_passes, n_visits;
    void *params;        /* (n_members, n_params) */
    void *slots;         /* train: (n_members, n_slots, n_params) */
    void *grad;          /* gradient: (n_members, n_params) */
    const int64_t *rows; /* (n_members, n_passes, n_visits) */
    const fnn_step *steps; /* train: (n_members, n_passes, n_steps) */
    ptrdiff_t rows_stride, steps_stride; /* from member to member; 0 where they share them */
    const uint32_t *seeds; /* (n_members,) */
    int64_t step;          /* steps done before */
    double *losses;      /* (n_members, n_passes): mean losses, or loss sums of gradient */
    double *weight_sums; /* gradient: (n_members,) */
} fnn_task;

typedef struct fnn_engine fnn_engine;
typedef struct fnn_isa fnn_isa;

/* Instruction sets usable on this CPU, best first: fnn_isa_at(0) is the default. */
const fnn_isa *fnn_isa_at(int i);
const char *fnn_isa_name(const fnn_isa *isa);
int fnn_isa_has(const fnn_isa *isa, int precision);
/* Of products in a cycle, about: by which precisions compare. May ask the system for a permission. */
double fnn_isa_flops(const fnn_isa *isa, int precision);

/* The instruction set must have the precision. NULL where memory ran out. */
fnn_engine *fnn_engine_new(const fnn_isa *isa, int precision, const fnn_network *network);
void fnn_engine_free(fnn_engine *engine);

/* How many threads this task is worth, at most `max`: never changes a result. */
int fnn_threads(const fnn_engine *engine, const fnn_task *task, int max);

/* Prepares scratch for a task, kept for later ones: FNN_OK, or FNN_NO_MEMORY and the bytes asked
 * for. Nothing is allocated from here to the end of the task. */
int fnn_prepare(fnn_engine *engine, const fnn_task *task, int n_threads, size_t *bytes);

/* Whether this is a processor of Intel's, whose AVX-512 kernels do some things otherwise, to the same
 * bits; is >= 0 says so, for tests. */
int fnn_intel(int is);

/* Nanoseconds that a line of memory takes to another core, as last measured or set (ns >= 0; 0 is
 * not measured). */
double fnn_line_cost(double ns);

/* Measures it, between fnn_prepare and fnn_start, with thread 1 of the task, which has been started;
 * some ten microseconds, once in a process; it is tried ten times. 1 if it was measured now. */
int fnn_probe(fnn_engine *engine);

/* The work of thread `me`, from beginning to end. All threads of the team run it, 0 the calling
 * one. They wait for fnn_start, which tells them how many they are, at most those prepared for (the
 * others return); or with -1 that the call was given up. */
void fnn_work(fnn_engine *engine, const fnn_task *task, int me);
void fnn_start(fnn_engine *engine, int n_threads);

/* Raw outputs of the first n_rows rows into out (n_rows, n_out). Re-entrant. */
int fnn_forward(const fnn_engine *engine, const void *params, const fnn_data *data,
                ptrdiff_t n_rows, void *out, size_t *bytes);

/* Predictions: the inverse link of raw outputs. FNN_NOT_FINITE, and out worth nothing, if a dense
 * row holds NaN or infinity. */
int fnn_predict(const fnn_engine *engine, const void *params, const fnn_data *data,
                ptrdiff_t n_rows, void *out, size_t *bytes);

/* Numeric columns of a table, each with its bins; see NumericColumns in tabular/bins.py. */
typedef struct {
    ptrdiff_t n;
    const int64_t *places, *starts; /* (n,): in the table; (n + 1,): of the edges */
    const double *fills, *centers, *factors, *edges;
} fnn_columns;

/* Bins and fractions (n_rows, n) of the columns from first to stop, from x (n_rows, width): the
 * table, or the only column asked for. 0 if a number is infinite. */
int fnn_find_bins(const fnn_columns *columns, ptrdiff_t first, ptrdiff_t stop, const double *x,
                  ptrdiff_t n_rows, ptrdiff_t width, uint8_t *bins, float *fractions);

/* Shuffles n row numbers as NumPy's RandomState does; next draws from the generator. */
void fnn_shuffle(int32_t *rows, int32_t n, uint32_t (*next)(void *), void *generator);

/* n rounds of independent fused multiply-adds; returns the floating-point operations done. */
double fnn_fma_peak(const fnn_isa *isa, int precision, ptrdiff_t n);

/* Applies a function of math.inc to n values in place, for tests. */
void fnn_apply(const fnn_isa *isa, int precision, int function, void *values, ptrdiff_t n);

#endif
