/* What must an instruction set offer? One table of kernels for each precision. README.md has the legend of letters.
 *
 * T panels put the batch into the lanes: [panel][feature][lane], `lanes` rows of the batch to a panel. F panels put features
 * into the lanes: [panel][row of the batch][lane]. Weights, gradients and optimizer slots are plain row-major.
 */
#ifndef FASTNN_KERNELS_H
#define FASTNN_KERNELS_H

#include "fastnn.h"

typedef struct {
    const void *w, *bias; /* (n_in, n_out), (n_out,) */
    ptrdiff_t n_in, n_out;
    int activation;
} fnn_dense;

/* How a gradient changes parameters in this step. g is what the batch summed up: (g + alpha p) * scale is the gradient. */
typedef struct {
    int optimizer, nesterov;
    double rate, beta_1, beta_2, epsilon;
    double alpha, scale;
} fnn_rule;

/* The rows of a batch that share a T panel: `rows` has n_valid entries, the other lanes repeat the last of them. */
typedef struct {
    const fnn_data *data;
    const int64_t *rows;
    ptrdiff_t n_valid;
} fnn_panel_rows;

/* A batch's CSR rows turned over: the entries of each feature in the order of the batch. */
typedef struct {
    ptrdiff_t *start; /* (n_in + 1,) */
    int32_t *row;     /* number of the row in the block */
    int64_t *at;      /* place of the value in data->values */
} fnn_columns;

enum { MOST_SLOTS = 2 }; /* of an optimizer, that are brought near */

/* What comes next, brought near while a gradient computes: the rows that the next block will gather, `pace` cache lines a step
 * of `gradient`; and the parameters and slots that the update after it changes, each from the gradient's first element on. With
 * several threads the parameters, which stand first, are taken from the other cores. */
typedef struct {
    const char *x; /* NULL: nothing ahead */
    size_t row_size;
    const int64_t *row, *end;
    size_t at;
    ptrdiff_t pace;
    const void *changed[1 + MOST_SLOTS];
    int n_changed, take;
} fnn_ahead;

typedef struct {
    int lanes;
    int group; /* T panels that one product takes at once */
    int tile;  /* rows of a gradient tile */
    size_t size; /* of a number */

    /* X -> one T panel (n_in, lanes). */
    void (*gather)(const fnn_panel_rows *r, ptrdiff_t n_in, void *panel);
    /* CSR X -> one T panel of layer d's output; row is scratch of (lanes, n_out rounded up to lanes). */
    void (*sparse_forward)(const fnn_dense *d, const fnn_panel_rows *r, void *row, void *panel);
    /* T panels through one layer. */
    void (*forward)(const fnn_dense *d, const void *in, void *out, ptrdiff_t panels);
    /* One row of numbers through one layer. */
    void (*forward_row)(const fnn_dense *d, const void *in, void *out);
    /* One T panel of raw outputs -> its delta, times weight, in place; returns the weighted loss, adds up the weights. */
    double (*head)(int loss, ptrdiff_t n_out, const fnn_panel_rows *r, void *panel, double *weight);
    /* below = (delta W') * slope(a): deltas of the layer below, whose outputs a and activation are given. */
    void (*backward)(const fnn_dense *d, const void *delta, const void *a, int activation, void *below, ptrdiff_t panels);
    /* T panels, a range of them -> F panels of `rows` rows each; n_f F panels are written, past the caches if other cores have
     * read what stood there. */
    void (*flip)(const void *t, ptrdiff_t n, ptrdiff_t first, ptrdiff_t panels, void *f, ptrdiff_t n_f, ptrdiff_t rows,
                 int shared);
    /* One T panel -> rows of out (n_valid, n). */
    void (*unpack)(const void *t, ptrdiff_t n, ptrdiff_t n_valid, void *out);
    /* F panels that `flip` must write of an (n,) output for `gradient` to read. */
    ptrdiff_t (*f_panels)(ptrdiff_t n);
    /* g (k1 - k0, n_out) = sum over the batch of a (rows k0..k1) times delta; added to g if `add`. */
    void (*gradient)(const fnn_dense *d, const void *a, const void *delta_t, const void *delta_f, ptrdiff_t batch,
                     ptrdiff_t f_rows, ptrdiff_t k0, ptrdiff_t k1, int add, void *g, fnn_ahead *ahead);
    void (*sparse_gradient)(const fnn_dense *d, const fnn_columns *columns, const void *values, const void *delta_f,
                            ptrdiff_t f_rows, ptrdiff_t k0, ptrdiff_t k1, int add, void *g);
    /* g (n,) = sum over the batch of the delta. */
    void (*bias_gradient)(const void *delta_t, ptrdiff_t n, ptrdiff_t panels, int add, void *g);
    /* n parameters, their slots (slot s stands at slots + s * stride numbers), their gradient; returns the sum of p^2. */
    double (*update)(const fnn_rule *rule, void *p, void *slots, ptrdiff_t stride, void *g, ptrdiff_t n);

    /* Whether none of n numbers is NaN or infinite. */
    int (*finite)(const void *x, ptrdiff_t n);
    /* Raw outputs -> predictions, in place. */
    void (*link)(int loss, void *raw, ptrdiff_t n_rows, ptrdiff_t n_out);
    void (*apply)(int function, void *values, ptrdiff_t n);
    double (*spin)(ptrdiff_t n);
} fnn_kernels;

struct fnn_isa {
    const char *name;
    int (*usable)(void);
    const fnn_kernels *single, *twice; /* float, double */
};

#endif
