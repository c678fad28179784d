/* What must an instruction set offer? One table of kernels for each precision, this contract.
 *
 * README.md has the legend of letters. T panels put the batch into the lanes:
 * [panel][feature][lane], `lanes` rows of the batch to a panel. F panels put features into the
 * lanes: [panel][row of the batch][lane]. Weights, gradients and slots are plain row-major.
 */
#ifndef FASTNN_KERNELS_H
#define FASTNN_KERNELS_H

#include "fastnn.h"

#include "dropout.inc"

typedef struct {
    const void *weights, *biases; /* (n_in, n_out), (n_out,) */
    ptrdiff_t n_in, n_out;
    int activation;
    const double *settings, *settings_below; /* of its activation; of that of the layer below */
    fnn_function *function;                  /* NULL, or an activation from outside */
    ptrdiff_t ahead;                         /* numbers by which `forward` prefetches weights */
    /* Of kernels that pack operands, else NULL: the weights as forward and as backward take them,
     * the latter NULL where it is not called; a thread's scratch. */
    void *packed, *packed_back, *scratch;
} fnn_dense;

/* What backward multiplies by: an activation's code where outputs are kept, or kept slopes. */
enum { FNN_KEPT_SLOPES = FNN_N_ACTIVATIONS };

/* How a gradient changes some parameters in this step: g is what the batch summed up,
 * (g + alpha p + l1 sign(p)) * scale the gradient; before its step a parameter is multiplied by
 * `keep`; after it has `share` in the average that stands behind the optimizer's slots, if any. */
typedef struct {
    int optimizer;
    double settings[FNN_MAX_SETTINGS];
    double rate, keep, epsilon; /* epsilon is a factor of the optimizer's */
    double alpha, l1, scale;
    double share; /* 0: there is no average */
    int reciprocal; /* how Adam divides, to the same bits */
} fnn_rule;

/* A loss, and the settings of its first output; those of the next stand `stride` further. */
typedef struct {
    int loss;
    const double *settings;
    ptrdiff_t stride;
    fnn_function *function; /* NULL, or a loss from outside, summed over the outputs */
} fnn_criterion;

/* Which outputs of a layer dropout silences: a share of them, by a hash under the key of the seed,
 * the step and the layer; `row` is the batch's number of the first row. */
typedef struct {
    double share;
    uint32_t key;
    ptrdiff_t row;
} fnn_dropout;

/* Rows of a block, or those that share a T panel: the other lanes repeat the last of them. */
typedef struct {
    const fnn_data *data;
    const int64_t *numbers; /* (n,) */
    ptrdiff_t n;
} fnn_rows;

/* A block's CSR rows as CSC: the entries of each feature in the order of the block. */
typedef struct {
    ptrdiff_t *start; /* (n_in + 1,) */
    int32_t *row;     /* number of the row in the block */
    int64_t *entry;   /* place of the value in data->values */
} fnn_csc;

/* The gradient of some rows of a layer's weights: g (k1 - k0, n_out) = sum over a block of a (rows
 * k0..k1) times delta; added to g if `add`. */
typedef struct {
    const fnn_dense *d;
    const void *a;      /* T panels of inputs, or for CSR X: */
    const void *values; /* of the data, */
    fnn_csc csc;        /* and the block */
    const void *delta, *delta_f; /* T panels; F panels of f_rows rows each */
    ptrdiff_t n, f_rows;         /* rows of the block */
    ptrdiff_t n_f;               /* F panels that `bias_gradient` reads instead of T panels */
    ptrdiff_t k0, k1;
    int add;
    void *g;
} fnn_unit;

/* Where T panels go as F panels: n of them, of `rows` rows each, from a T panel's rows on; past the
 * caches if other cores have read what stood there. */
typedef struct {
    void *f;
    ptrdiff_t n, rows, first;
    int shared;
} fnn_turned;

enum { PREFETCHED_SLOTS = 2 };

/* What is prefetched while a gradient computes: the rows that the next block gathers, `pace` cache
 * lines a step of `gradient`; and the parameters and slots that the update after it changes, each
 * from the gradient's first element on. */
typedef struct {
    const char *x; /* NULL: no next block */
    size_t row_size;
    const int64_t *row, *end;
    size_t at;
    ptrdiff_t pace;
    const void *changed[1 + PREFETCHED_SLOTS]; /* parameters first */
    int n_changed, n_prefetched; /* how many of them: all or none */
    int acquire; /* other cores hold the parameters: have them given up meanwhile */
} fnn_prefetch;

typedef struct fnn_kernels fnn_kernels;
struct fnn_kernels {
    int lanes;
    int mr, nr;   /* the micro-kernel's most scalars and vectors (T panels) at once */
    double flops; /* of products in a cycle, about: what threads are worth follows from it */
    size_t size;  /* of a number */

    /* Whether the system lets this process run them, asked where they are wanted; NULL: it does.
     * And what takes their place where it does not. */
    int (*allowed)(void);
    const fnn_kernels *instead;

    /* What a worker sets on its thread, and sets back with what `enter` returned. */
    uint64_t (*enter)(void);
    void (*leave)(uint64_t before);

    /* Bytes of a packed operand of n sums or vectors; packs rows [k0, k1) of weights, k0 a multiple
     * of 32, k1 one or the end. NULL where nothing is packed. */
    size_t (*packed_size)(ptrdiff_t n_members, ptrdiff_t n);
    void (*pack)(const fnn_dense *d, ptrdiff_t k0, ptrdiff_t k1);

    /* X -> one T panel (n_in, lanes). */
    void (*gather)(const fnn_rows *r, ptrdiff_t n_in, void *panel);
    /* CSR X -> one T panel of the first layer's output; row is scratch of (lanes, n_out rounded up
     * to lanes). */
    void (*sparse_forward)(const fnn_dense *d, const fnn_rows *r, void *row, void *out,
                           void *slopes);
    /* T panels through one layer; slopes is NULL where they are not kept. */
    void (*forward)(const fnn_dense *d, const void *in, void *out, void *slopes, ptrdiff_t panels);
    /* One row of numbers through one layer. */
    void (*forward_row)(const fnn_dense *d, const void *in, void *out);
    /* T panels of a layer's outputs, in place, and their slopes, times 0 or what makes up for it.
     * Slopes are kept already, or are those of the outputs, as for `backward`. */
    void (*drop)(const fnn_dropout *drop, const fnn_dense *d, int slope, void *out, void *slopes,
                 ptrdiff_t panels);
    /* One T panel of raw outputs -> its delta, times weight, in place; returns the weighted loss,
     * adds up the weights. `scratch` is one more panel. */
    double (*loss)(const fnn_criterion *criterion, ptrdiff_t n_out, const fnn_rows *r, void *panel,
                   void *scratch, double *weight);
    /* below = (delta W') * slope: deltas of the layer below, from the outputs or slopes it kept. */
    void (*backward)(const fnn_dense *d, const void *delta, int slope, const void *kept,
                     void *below, ptrdiff_t panels);
    /* The same as F panels, for layers whose deltas no layer below takes; in `rest`, T panels, the
     * features that F panels leave out, the others undefined. NULL where F panels are not numbers
     * as they are. */
    void (*backward_turned)(const fnn_dense *d, const void *delta, int slope, const void *kept,
                            void *rest, ptrdiff_t panels, const fnn_turned *to);
    /* T panels, a range of them -> F panels of `rows` rows each; n_f F panels are written, past the
     * caches if other cores have read what stood there. */
    void (*transpose_panels)(const void *t, ptrdiff_t n, ptrdiff_t first, ptrdiff_t panels, void *f,
                             ptrdiff_t n_f, ptrdiff_t rows, int shared);
    /* The same of a delta, in the form that `gradient` reads, in no more memory. */
    void (*transpose_delta)(const void *t, ptrdiff_t n, ptrdiff_t first, ptrdiff_t panels, void *f,
                            ptrdiff_t n_f, ptrdiff_t rows, int shared);
    /* One T panel -> rows of out (n_valid, n). */
    void (*unpack)(const void *t, ptrdiff_t n, ptrdiff_t n_valid, void *out);
    /* F panels of an (n,) delta that `gradient` reads; sparse_gradient reads all of it. */
    ptrdiff_t (*f_panels)(ptrdiff_t n);
    void (*gradient)(const fnn_unit *u, fnn_prefetch *next);
    void (*sparse_gradient)(const fnn_unit *u);
    /* g (n_out,) = sum over the block of the delta. */
    void (*bias_gradient)(const fnn_unit *u);
    /* n parameters, their slots (slot s stands at slots + s * stride numbers), their gradient;
     * returns the penalty of the parameters before. */
    double (*update)(const fnn_rule *rule, void *p, void *slots, ptrdiff_t stride, const void *g,
                     ptrdiff_t n);
    double (*penalty)(const fnn_rule *rule, const void *p, ptrdiff_t n);
    /* The sum of squares of the gradient that `update` would take. */
    double (*gradient_squares)(const fnn_rule *rule, const void *p, const void *g, ptrdiff_t n);

    /* What an embedding's parameters come to, see encoded.inc: for all bins, or for one of each
     * column, bins (n_numeric,). */
    void (*embedding_tables)(const fnn_embedding *m, const void *params, const uint8_t *bins,
                             void *tables);
    /* One encoded row -> the first layer's input (n_out,). */
    void (*embed_row)(const fnn_embedding *m, const void *tables, const fnn_data *data,
                      int64_t row, void *out);
    /* Encoded X -> one T panel of the first layer's input; rows is scratch of (lanes, n_out). */
    void (*embed)(const fnn_embedding *m, const void *tables, const fnn_rows *r, void *rows,
                  void *panel);
    /* From F panels of the deltas of the first layer's input: the gradients of one numeric column's
     * part of W, linear, bias and scale, added to g if `add`; sums is scratch of (2, bins, size). */
    void (*embedding_column)(const fnn_embedding *m, const void *params, const fnn_rows *block,
                             const void *delta_f, ptrdiff_t f_rows, ptrdiff_t f, int add,
                             void *sums, void *const g[4]);
    /* The same for the scale of all indicators and hot columns. */
    void (*indicator_scale)(const fnn_embedding *m, const fnn_rows *block, const void *delta_f,
                            ptrdiff_t f_rows, int add, void *g);

    /* Whether none of n numbers is NaN or infinite. */
    int (*all_finite)(const void *x, ptrdiff_t n);
    /* Raw outputs -> predictions, in place. */
    void (*inverse_link)(int link, void *raw, ptrdiff_t n_rows, ptrdiff_t n_out);
    void (*apply)(int function, void *values, ptrdiff_t n);
    double (*fma_peak)(ptrdiff_t n);
};

struct fnn_isa {
    const char *name;
    int (*usable)(void);                            /* NULL: not compiled in */
    const fnn_kernels *kernels[FNN_N_PRECISIONS]; /* NULL: no such precision */
};

/* A set with the kernels of `vectors` but for bfloat16, whose `products` are named. */
#define FNN_ISA(set, test, vectors, products)                \
    {                                                        \
        .name = #set, .usable = test,                        \
        .kernels = {[FNN_F32] = &fnn_kernels_##vectors##_32, \
                    [FNN_F64] = &fnn_kernels_##vectors##_64, \
                    [FNN_BF16] = &fnn_kernels_##products##_##vectors##_32}, \
    }

/* The kernels of a precision that this process may run: asks the system where that takes it. */
const fnn_kernels *fnn_allowed_kernels(const fnn_isa *isa, int precision);

/* Numbers too small for full precision count as 0: on some CPUs each costs a hundred cycles. */
uint64_t fnn_flush_denormals(void);
void fnn_restore_denormals(uint64_t before);

/* Intel's AMX: whether this CPU and system have it, and whether this process may use it. */
int fnn_amx_usable(void);
int fnn_amx_allowed(void);

#endif
