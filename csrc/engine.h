/* What do the parts of the engine share? Its layers, and where everything stands in its scratch. */
#ifndef FASTNN_ENGINE_H
#define FASTNN_ENGINE_H

#include "kernels.h"
#include "team.h"

/* A block: rows that are worked at a time, so that scratch does not grow with the batch. */
enum { MAX_BLOCK = 1024 };

/* An embedding at work: its tables, made anew when parameters change, and scratch for rows. */
typedef struct {
    const fnn_embedding *m;
    void *tables, *rows;
} fnn_embedder;

/* How the first layer reads X: a row for each kind, found by fnn_data.input. */
typedef struct {
    int gathers;    /* rows become T panels first, as the layers above take them */
    int prefetches; /* rows of X are those of the panels */
    /* F panels of the first layer's delta that `gradient` reads. */
    ptrdiff_t (*f_panels)(const fnn_kernels *k, ptrdiff_t n_out);
    /* What one thread does for a block before the others read it; may be NULL. */
    void (*prepare)(const fnn_rows *block, ptrdiff_t n_in, const fnn_csc *csc);
    /* Panels [first, first + panels) of a block -> those of outputs and slopes. `in` takes the
     * gathered panels, or is scratch of one panel of outputs, rounded up to lanes. */
    void (*forward)(const fnn_kernels *k, const fnn_dense *d, const fnn_embedder *embedder,
                    const fnn_rows *block, ptrdiff_t first, ptrdiff_t panels, char *in, char *out,
                    char *slopes);
    void (*gradient)(const fnn_kernels *k, const fnn_unit *u, fnn_prefetch *next);
} fnn_input_kind;
extern const fnn_input_kind fnn_input_kinds[FNN_N_INPUTS];

typedef struct {
    ptrdiff_t n_in, n_out;
    int activation, slope; /* slope: what the layer above multiplies by, see kernels.h */
    int own_slope;         /* the same before dropout */
    double dropout;
    double settings[FNN_MAX_SETTINGS]; /* of the activation */
    fnn_function *function;            /* NULL, or an activation from outside */
    ptrdiff_t weights, biases;
    ptrdiff_t unit_rows, first_unit; /* how its weights are cut into units; the last is its bias */
    ptrdiff_t n_f;                   /* F panels of its delta */
    size_t in, slopes, delta, delta_f; /* places in a workspace: T panels, T, T, F */
    size_t packed, packed_back;        /* its weights, see fnn_dense; 0: none */
} fnn_engine_layer;

struct fnn_engine {
    const fnn_kernels *k;       /* what trains, */
    const fnn_kernels *answers; /* and what answers: bfloat16 is of training alone */
    fnn_criterion criterion; /* its settings are the engine's own */
    int inverse_link;
    int intel; /* whether to do what Intel's cores are faster by */
    ptrdiff_t n_layers, n_params, n_weights, n_units, max_width, widths; /* widths: in and out */
    fnn_engine_layer *layers;
    fnn_embedding embedding;         /* n_out is 0 where there is none */
    ptrdiff_t first_column;          /* its units: one for each numeric column, one for the rest */
    size_t tables_size, embedder_size; /* bytes of the tables; with the scratch of a thread */

    /* Threads that work on one member share a workspace; all workspaces are alike. */
    void *memory;
    size_t memory_size, workspace_size;
    char *workspaces;
    int n_workspaces;
    ptrdiff_t block;          /* rows, whole panels */
    ptrdiff_t gradient_steps; /* of a block, for prefetching at an even pace */
    size_t partial_size; /* a thread's scratch: the gradient of one unit, or a panel of outputs */
    /* Places in a workspace. */
    size_t denses; /* a thread's layers, as kernels take them */
    size_t partials, sums, queues, panel_loss, panel_weight, unit_penalty, unit_squares;
    size_t csc_start, csc_row, csc_entry;
    size_t embedders, below, below_f; /* a thread's tables and scratch; deltas of the input */
    size_t operands, operands_size;   /* a thread's scratch where operands are packed, its bytes */

    fnn_atomic next_member; /* where each thread takes whole members */
    fnn_team team;
};

/* A line's cost where it has not been measured: of cores that share a cache, in ns. */
#define FNN_LINE_COST 25.0
void fnn_answer_probe(fnn_team *team);

static inline ptrdiff_t fnn_min(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static inline ptrdiff_t fnn_max(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }
static inline ptrdiff_t fnn_ceil_div(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }

static inline fnn_dense fnn_dense_of(const fnn_engine *e, const void *params, ptrdiff_t i)
{
    const fnn_engine_layer *l = &e->layers[i];
    const char *p = params;
    return (fnn_dense){.weights = p + l->weights * e->k->size,
                       .biases = p + l->biases * e->k->size,
                       .n_in = l->n_in,
                       .n_out = l->n_out,
                       .activation = l->activation,
                       .settings = l->settings,
                       .settings_below = i ? l[-1].settings : NULL,
                       .function = l->function,
                       /* Rows lie up to a page apart, where no processor prefetches by itself; or
                        * the next line of the row, which the next tile reads. */
                       .ahead = e->intel ? 64 / (ptrdiff_t)e->k->size : 32 * l->n_out};
}

/* A thread's embedder; its memory is `space`, embedder_size bytes. */
static inline fnn_embedder fnn_embedder_at(const fnn_engine *e, char *space)
{
    return (fnn_embedder){&e->embedding, space, space + e->tables_size};
}

/* Rows of a block that panel p holds. */
static inline fnn_rows fnn_panel_rows(const fnn_kernels *k, const fnn_rows *block, ptrdiff_t p)
{
    const ptrdiff_t first = p * k->lanes;
    return (fnn_rows){block->data, block->numbers + first, fnn_min(k->lanes, block->n - first)};
}

#endif
