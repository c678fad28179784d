/* How does a network learn? train, loss_grad and forward, written once over the kernel table of any instruction set.
 *
 * A batch is worked in blocks of at most BLOCK rows, so that scratch does not grow with it. A block has two phases. In phase A
 * rows are owned: each thread takes a range of panels forward, through the loss and backward. In phase B parameters are dealt:
 * a unit is some rows of one layer's weights (the last unit of a layer is its bias), whose gradient is summed over the whole
 * block and goes straight into the optimizer. Each number is made by one thread in one order, so that the number of threads
 * changes nothing, and two barriers a block are all the threads ever wait for.
 */
#include <stdlib.h>
#include <string.h>

#include "crew.h"
#include "kernels.h"

enum { BLOCK = 1024, UNIT_ROWS = 32, UNIT_BYTES = 1 << 18, WEIGHTS_IN_CACHE = 1 << 19, ROW_BUFFER = 4096 };

typedef struct {
    ptrdiff_t n_in, n_out;
    int activation;
    ptrdiff_t w, bias;               /* places in the parameter vector */
    ptrdiff_t unit_rows, first_unit; /* how phase B cuts its weights */
    ptrdiff_t n_f;                   /* F panels of its delta */
    char *a, *delta, *delta_f;       /* inputs and deltas of a block: T panels, T panels, F panels */
} layer;

struct fnn_engine {
    const fnn_kernels *k;
    fnn_plan plan;
    ptrdiff_t n_layers, n_params, n_weights, n_units, widest;
    layer *layers;

    void *memory; /* scratch, cut up by fnn_prepare */
    size_t memory_size;
    char *strips, *sum; /* gradients: of one unit for each thread; of all parameters where a batch has several blocks */
    size_t strip_size;
    ptrdiff_t block, f_rows;                           /* rows */
    ptrdiff_t n_segments;                              /* of all gradients: 16 rows of a tile at most */
    double *panel_loss, *panel_weight, *unit_squares; /* by panel, by panel, by unit */
    fnn_columns columns;
    fnn_share *shares; /* of phase B's units, one for each thread */
    fnn_crew crew;
};

static ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static ptrdiff_t most(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }
static ptrdiff_t ceil_div(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }

fnn_engine *fnn_engine_new(const fnn_isa *isa, int is_double, const fnn_plan *plan)
{
    fnn_engine *e = calloc(1, sizeof *e);
    layer *layers = calloc(plan->n_layers, sizeof *layers);
    if (!e || !layers) {
        free(e);
        free(layers);
        return NULL;
    }
    e->k = is_double ? isa->twice : isa->single;
    e->plan = *plan;
    e->plan.layers = NULL; /* the caller's; copied below */
    e->n_layers = plan->n_layers;
    e->layers = layers;
    for (ptrdiff_t i = 0; i < e->n_layers; i++) {
        layer *l = &layers[i];
        l->n_in = plan->layers[i].n_in;
        l->n_out = plan->layers[i].n_out;
        l->activation = plan->layers[i].activation;
        l->w = e->n_weights;
        e->n_weights += l->n_in * l->n_out;
        l->unit_rows = least(UNIT_ROWS, most(e->k->tile, UNIT_BYTES / (ptrdiff_t)(l->n_out * e->k->size) / 8 * 8));
        l->first_unit = e->n_units;
        e->n_units += ceil_div(l->n_in, l->unit_rows) + 1;
        e->widest = most(e->widest, most(l->n_in, l->n_out));
        /* Also scratch of sparse_forward: one panel's outputs. */
        e->strip_size = most(e->strip_size, most(l->unit_rows * l->n_out, e->k->lanes * (l->n_out + e->k->lanes)));
    }
    e->n_params = e->n_weights;
    for (ptrdiff_t i = 0; i < e->n_layers; i++) {
        layers[i].bias = e->n_params;
        e->n_params += layers[i].n_out;
    }
    e->strip_size = ceil_div(e->strip_size * e->k->size, 64) * 64;
    return e;
}

void fnn_engine_free(fnn_engine *e)
{
    if (e) {
        free(e->memory);
        free(e->layers);
        free(e);
    }
}

ptrdiff_t fnn_engine_n_params(const fnn_engine *e) { return e->n_params; }

int fnn_threads(const fnn_engine *e, const fnn_task *task, int limit)
{
    const ptrdiff_t rows = least(task->batch_size, task->n_visits), panels = ceil_div(least(rows, BLOCK), e->k->lanes);
    /* Cycles of one core: two fused multiply-adds a cycle at 60 %, and the optimizer's pass. Measured on Zen 5: a barrier costs
     * about half a microsecond, starting a thread a hundred. A thread that has less than 50,000 cycles of a step to do mostly
     * waits for the others, and for the lines of memory that they have changed. */
    const double step = (double)e->n_weights * rows * 6 / (2.4 * e->k->lanes) + 1.5 * e->n_params;
    const double steps = (double)task->n_passes * ceil_div(most(task->n_visits, 1), most(task->batch_size, 1));
    if (step * steps < 3e6)
        return 1;
    return (int)most(1, least(limit, least(panels, (ptrdiff_t)(step / 5e4))));
}

/* Cuts memory into the arrays of a task; with memory NULL it only adds up their sizes. */
static char *cut(char **memory, size_t *total, size_t size)
{
    char *begin = *memory;
    size = (size + 63) / 64 * 64;
    *total += size;
    if (begin)
        *memory += size;
    return begin;
}

int fnn_prepare(fnn_engine *e, const fnn_task *task, int n_threads, size_t *bytes)
{
    const fnn_kernels *k = e->k;
    const int sparse = task->data.indptr != NULL;
    const ptrdiff_t rows = least(task->batch_size, task->n_visits);
    e->block = ceil_div(most(1, least(rows, BLOCK)), k->lanes) * k->lanes;
    e->f_rows = e->block;
    e->n_segments = 1;
    for (ptrdiff_t i = 0; i < e->n_layers; i++)
        e->n_segments += ceil_div(e->layers[i].n_in, k->tile) * ceil_div(k->f_panels(e->layers[i].n_out), k->group) *
                         (e->block / k->lanes);
    for (int placing = 0; placing < 2; placing++) {
        char *memory = NULL;
        if (placing)
            memory = (char *)(((uintptr_t)e->memory + 63) / 64 * 64);
        size_t total = 64;
        for (ptrdiff_t i = 0; i < e->n_layers; i++) {
            layer *l = &e->layers[i];
            l->n_f = sparse && i == 0 ? ceil_div(l->n_out, k->lanes) : k->f_panels(l->n_out);
            if (i > 0 || !sparse)
                l->a = cut(&memory, &total, e->block * l->n_in * k->size);
            l->delta = cut(&memory, &total, e->block * l->n_out * k->size);
            l->delta_f = cut(&memory, &total, e->block * l->n_f * k->lanes * k->size);
        }
        e->strips = cut(&memory, &total, e->strip_size * n_threads);
        e->shares = (fnn_share *)cut(&memory, &total, n_threads * sizeof *e->shares);
        e->sum = rows > e->block && !task->grad ? cut(&memory, &total, e->n_params * k->size) : NULL;
        e->panel_loss = (double *)cut(&memory, &total, e->block / k->lanes * sizeof(double));
        e->panel_weight = (double *)cut(&memory, &total, e->block / k->lanes * sizeof(double));
        e->unit_squares = (double *)cut(&memory, &total, e->n_units * sizeof(double));
        if (sparse) {
            const size_t entries = (size_t)e->block * task->data.most_in_row;
            e->columns.start = (ptrdiff_t *)cut(&memory, &total, (e->layers[0].n_in + 2) * sizeof(ptrdiff_t));
            e->columns.row = (int32_t *)cut(&memory, &total, entries * sizeof(int32_t));
            e->columns.at = (int64_t *)cut(&memory, &total, entries * sizeof(int64_t));
        }
        if (!placing && total > e->memory_size) {
            free(e->memory);
            e->memory = malloc(total);
            e->memory_size = e->memory ? total : 0;
            *bytes = total;
            if (!e->memory)
                return FNN_NO_MEMORY;
        }
    }
    memset(&e->crew, 0, sizeof e->crew);
    return FNN_OK;
}

static fnn_dense dense(const fnn_engine *e, const void *params, ptrdiff_t i)
{
    const layer *l = &e->layers[i];
    const size_t size = e->k->size;
    return (fnn_dense){(const char *)params + l->w * size, (const char *)params + l->bias * size, l->n_in, l->n_out,
                       l->activation};
}

/* Rows of a block that panel p holds. */
static fnn_panel_rows panel_rows(const fnn_engine *e, const fnn_data *data, const int64_t *rows, ptrdiff_t n, ptrdiff_t p)
{
    const ptrdiff_t first = p * e->k->lanes;
    return (fnn_panel_rows){data, rows + first, least(e->k->lanes, n - first)};
}

/* Phase A for panels [first, end) of a block of n rows. strip is scratch. */
static void rows_forward_and_back(fnn_engine *e, const fnn_task *task, const int64_t *rows, ptrdiff_t n, ptrdiff_t first,
                                  ptrdiff_t end, void *strip)
{
    const fnn_kernels *k = e->k;
    const size_t panel_size = k->lanes * k->size; /* of one feature */
    const ptrdiff_t last = e->n_layers - 1;
    /* Where the weights fit the cache, a group of panels goes through all layers while its activations are at hand. */
    const ptrdiff_t chunk = e->n_weights * (ptrdiff_t)k->size <= WEIGHTS_IN_CACHE ? k->group : end - first;
    for (ptrdiff_t p = first, panels; p < end; p += panels) {
        panels = ceil_div(end - p, ceil_div(end - p, chunk));
#define AT(array, features) ((array) + p * (features) * panel_size)
        for (ptrdiff_t i = 0; i <= last; i++) {
            const layer *l = &e->layers[i];
            const fnn_dense d = dense(e, task->params, i);
            char *out = i < last ? e->layers[i + 1].a : l->delta;
            if (i == 0)
                for (ptrdiff_t q = p; q < p + panels; q++) {
                    const fnn_panel_rows r = panel_rows(e, &task->data, rows, n, q);
                    if (task->data.indptr)
                        k->sparse_forward(&d, &r, strip, out + q * l->n_out * panel_size);
                    else
                        k->gather(&r, l->n_in, l->a + q * l->n_in * panel_size);
                }
            if (i > 0 || !task->data.indptr)
                k->forward(&d, AT(l->a, l->n_in), AT(out, l->n_out), panels);
        }
        const layer *top = &e->layers[last];
        for (ptrdiff_t q = p; q < p + panels; q++) {
            const fnn_panel_rows r = panel_rows(e, &task->data, rows, n, q);
            e->panel_weight[q] = 0;
            e->panel_loss[q] =
                k->head(e->plan.loss, top->n_out, &r, top->delta + q * top->n_out * panel_size, &e->panel_weight[q]);
        }
        for (ptrdiff_t i = last; i >= 0; i--) {
            const layer *l = &e->layers[i];
            k->flip(l->delta, l->n_out, p, panels, l->delta_f, l->n_f, e->f_rows, fnn_load(&e->crew.n) > 1);
            if (i > 0) {
                const fnn_dense d = dense(e, task->params, i);
                const layer *below = &e->layers[i - 1];
                k->backward(&d, AT(l->delta, l->n_out), AT(l->a, l->n_in), below->activation, AT(below->delta, l->n_in),
                            panels);
            }
        }
#undef AT
    }
}

/* Phase B for one unit: the gradient of its parameters and, at the end of a batch, their update. */
static void unit_update(fnn_engine *e, const fnn_task *task, const fnn_rule *rule, ptrdiff_t unit, ptrdiff_t n, int add,
                        int ends, char *strip, fnn_ahead *ahead)
{
    const fnn_kernels *k = e->k;
    ptrdiff_t i = e->n_layers - 1;
    while (unit < e->layers[i].first_unit)
        i--;
    const layer *l = &e->layers[i];
    const ptrdiff_t k0 = (unit - l->first_unit) * l->unit_rows, k1 = least(l->n_in, k0 + l->unit_rows);
    const int is_bias = k0 >= l->n_in;
    const ptrdiff_t place = is_bias ? l->bias : l->w + k0 * l->n_out, size = is_bias ? l->n_out : (k1 - k0) * l->n_out;
    char *sum = task->grad ? task->grad : e->sum, *g = sum ? sum + place * k->size : strip;
    char *params = (char *)task->params + place * k->size;
    char *slots = task->slots ? (char *)task->slots + place * k->size : NULL;
    ahead->n_changed = 0;
    if (ends && !task->grad) {
        ahead->changed[ahead->n_changed++] = params;
        for (ptrdiff_t i = 0; i < least(task->n_slots, MOST_SLOTS); i++)
            ahead->changed[ahead->n_changed++] = slots + i * e->n_params * k->size;
    }
    if (is_bias) {
        k->bias_gradient(l->delta, l->n_out, ceil_div(n, k->lanes), add, g);
    } else {
        const fnn_dense d = dense(e, task->params, i);
        if (i == 0 && task->data.indptr)
            k->sparse_gradient(&d, &e->columns, task->data.values, l->delta_f, e->f_rows, k0, k1, add, g);
        else
            k->gradient(&d, l->a, l->delta, l->delta_f, n, e->f_rows, k0, k1, add, g, ahead);
    }
    if (ends) {
        fnn_rule mine = *rule;
        if (is_bias)
            mine.alpha = 0;
        const double squares = k->update(&mine, params, slots, e->n_params, g, size);
        e->unit_squares[unit] = is_bias ? 0 : squares;
    }
}

/* The entries of each feature among n rows, in the order of the rows: a counting sort. */
static void turn_over(fnn_engine *e, const fnn_data *data, const int64_t *rows, ptrdiff_t n)
{
    ptrdiff_t *start = e->columns.start + 1; /* shifted by one, so that filling leaves it in place */
    const ptrdiff_t n_in = e->layers[0].n_in;
#define INDEX(p, i) (data->wide ? ((const int64_t *)(p))[i] : ((const int32_t *)(p))[i])
    memset(e->columns.start, 0, (n_in + 2) * sizeof *start);
    for (ptrdiff_t b = 0; b < n; b++)
        for (int64_t j = INDEX(data->indptr, rows[b]); j < INDEX(data->indptr, rows[b] + 1); j++)
            start[INDEX(data->indices, j) + 1]++;
    for (ptrdiff_t i = 0; i < n_in; i++)
        start[i + 1] += start[i];
    for (ptrdiff_t b = 0; b < n; b++)
        for (int64_t j = INDEX(data->indptr, rows[b]); j < INDEX(data->indptr, rows[b] + 1); j++) {
            const ptrdiff_t to = start[INDEX(data->indices, j)]++;
            e->columns.row[to] = (int32_t)b;
            e->columns.at[to] = j;
        }
#undef INDEX
}

static double sum_up(const double *x, ptrdiff_t n)
{
    double sum = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

/* This thread's share of the block that begins at `rows`, spread evenly over its share of phase B. */
static fnn_ahead look_ahead(const fnn_engine *e, const fnn_task *task, const int64_t *rows, int me, int n_threads)
{
    const int64_t *end = task->rows + task->n_passes * task->n_visits;
    const ptrdiff_t n = least(least(e->block, task->batch_size), end - rows);
    const size_t row_size = e->layers[0].n_in * e->k->size;
    fnn_ahead ahead = {.take = n_threads > 1};
    if (!task->data.indptr && n > 0) {
        ahead.x = task->data.values;
        ahead.row_size = row_size;
        ahead.row = rows + n * me / n_threads;
        ahead.end = rows + n * (me + 1) / n_threads;
        ahead.pace = (ptrdiff_t)(n * (row_size / 64 + 1)) / e->n_segments + 1;
    }
    return ahead;
}

/* One batch of n rows; returns its loss in thread 0. */
static double batch(fnn_engine *e, const fnn_task *task, const int64_t *rows, ptrdiff_t n, double rate, int me, int n_threads)
{
    double loss = 0, weight = 0;
    char *strip = e->strips + me * e->strip_size;
    for (ptrdiff_t begin = 0; begin < n; begin += e->block) {
        const ptrdiff_t m = least(e->block, n - begin), panels = ceil_div(m, e->k->lanes);
        fnn_store(&e->shares[me].next, (int)(e->n_units * me / n_threads));
        e->shares[me].end = (int)(e->n_units * (me + 1) / n_threads);
        if (me == 0 && task->data.indptr)
            turn_over(e, &task->data, rows + begin, m);
        rows_forward_and_back(e, task, rows + begin, m, panels * me / n_threads, panels * (me + 1) / n_threads, strip);
        fnn_meet(&e->crew, n_threads);
        loss += sum_up(e->panel_loss, panels);
        weight += sum_up(e->panel_weight, panels);
        const fnn_rule rule = {task->optimizer, e->plan.nesterov, rate, e->plan.beta_1, e->plan.beta_2, e->plan.epsilon,
                               e->plan.alpha, weight == 0 ? 0 : 1 / weight};
        fnn_ahead ahead = look_ahead(e, task, rows + begin + m, me, n_threads);
        int unit;
        while ((unit = fnn_deal(e->shares, me, n_threads)) >= 0)
            unit_update(e, task, &rule, unit, m, begin > 0, begin + m == n, strip, &ahead);
        fnn_meet(&e->crew, n_threads);
    }
    if (weight == 0)
        return 0;
    return (loss + (e->plan.alpha ? 0.5 * e->plan.alpha * sum_up(e->unit_squares, e->n_units) : 0)) / weight;
}

void fnn_start(fnn_engine *e, int n_threads) { fnn_announce(&e->crew, &e->crew.n, n_threads); }

void fnn_work(fnn_engine *e, const fnn_task *task, int me)
{
    const int n_threads = fnn_wait_while(&e->crew, &e->crew.n, 0);
    if (n_threads < 0)
        return; /* dismissed: the call was given up before it began */
    const uint64_t before = fnn_flush_denormals();
    const double *rate = task->rates;
    for (ptrdiff_t pass = 0; pass < task->n_passes; pass++) {
        const int64_t *rows = task->rows + pass * task->n_visits;
        double sum = 0;
        for (ptrdiff_t begin = 0; begin < task->n_visits; begin += task->batch_size) {
            const ptrdiff_t n = least(task->batch_size, task->n_visits - begin);
            sum += n * batch(e, task, rows + begin, n, rate ? *rate++ : 0, me, n_threads);
        }
        if (me == 0)
            task->losses[pass] = sum / task->n_visits;
    }
    fnn_restore(before);
}

int fnn_forward(const fnn_engine *e, const void *params, const fnn_data *data, ptrdiff_t n_rows, int link, int check,
                void *out, size_t *bytes)
{
    const fnn_kernels *k = e->k;
    const ptrdiff_t last = e->n_layers - 1, n_in = e->layers[0].n_in, n_out = e->layers[last].n_out;
    const int by_rows = !data->indptr && n_rows < most(2, k->lanes / 2);
    const ptrdiff_t chunk = by_rows ? 1 : k->group * k->lanes; /* rows at a time */
    const size_t half = (chunk * (e->widest + k->lanes) * k->size + 63) / 64 * 64;
    double here[ROW_BUFFER / sizeof(double)];
    char *memory = (char *)here, *allocated = NULL;
    if (2 * half + 64 > sizeof here) {
        *bytes = 2 * half + 64;
        allocated = malloc(*bytes);
        if (!allocated)
            return FNN_NO_MEMORY;
        memory = allocated;
    }
    memory = (char *)(((uintptr_t)memory + 63) / 64 * 64);
    for (ptrdiff_t row = 0; row < n_rows; row += chunk) {
        char *in = memory, *next = memory + half;
        const ptrdiff_t n = least(chunk, n_rows - row), panels = ceil_div(n, k->lanes);
        if (check && !k->finite((const char *)data->values + row * n_in * k->size, n * n_in)) {
            free(allocated);
            return FNN_NOT_FINITE;
        }
        if (by_rows) {
            const char *x = (const char *)data->values + row * n_in * k->size;
            for (ptrdiff_t i = 0; i <= last; i++) {
                const fnn_dense d = dense(e, params, i);
                char *z = i == last ? (char *)out + row * n_out * k->size : next;
                k->forward_row(&d, x, z);
                next = next == memory ? memory + half : memory;
                x = z;
            }
            continue;
        }
        int64_t rows[64];
        for (ptrdiff_t i = 0; i < n; i++)
            rows[i] = row + i;
        for (ptrdiff_t i = 0; i <= last; i++) {
            const fnn_dense d = dense(e, params, i);
            if (i == 0)
                for (ptrdiff_t p = 0; p < panels; p++) {
                    const fnn_panel_rows r = panel_rows(e, data, rows, n, p);
                    if (data->indptr) /* what would hold the inputs is scratch for the outputs of a panel */
                        k->sparse_forward(&d, &r, in, next + p * d.n_out * k->lanes * k->size);
                    else
                        k->gather(&r, n_in, in + p * n_in * k->lanes * k->size);
                }
            if (i > 0 || !data->indptr)
                k->forward(&d, in, next, panels);
            char *t = in;
            in = next;
            next = t;
        }
        for (ptrdiff_t p = 0; p < panels; p++)
            k->unpack(in + p * n_out * k->lanes * k->size, n_out, least(k->lanes, n - p * k->lanes),
                      (char *)out + (row + p * k->lanes) * n_out * k->size);
    }
    free(allocated);
    if (link)
        k->link(e->plan.loss, out, n_rows, n_out);
    return FNN_OK;
}
