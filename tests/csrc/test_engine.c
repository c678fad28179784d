/* Does every instruction set compute what twenty plain lines do? Exits with 1 and names the first
 * difference.
 *
 * usage: test_engine [instruction set]; arrays are allocated to the byte, so that a sanitizer sees
 * any step beyond them. The Makefile sends the calls of malloc and its kin in the core through this
 * file, which watches them and can refuse them.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastnn.h"

/* Three threads on two members share each; on four, each takes its own. */
enum { N_THREADS = 3, MAX_MEMBERS = 4, MAX_LAYERS = 3 };

extern const fnn_isa fnn_isa_amx;
static _Thread_local int at_work;
static int refuse; /* memory */

static void watch(const char *what)
{
    if (at_work) {
        printf("%s was called during a call\n", what);
        exit(1);
    }
}

#define WRAP(name, parameters, arguments)           \
    void *name parameters;                          \
    void *watched_##name parameters                 \
    {                                               \
        watch(#name);                               \
        return refuse ? NULL : name arguments;      \
    }
#undef malloc
#undef calloc
#undef realloc
WRAP(malloc, (size_t size), (size))
WRAP(calloc, (size_t n, size_t size), (n, size))
WRAP(realloc, (void *p, size_t size), (p, size))

typedef struct {
    fnn_engine *engine;
    const fnn_task *task;
    int me;
} worker;

static void *enter(void *p)
{
    const worker *w = p;
    at_work = 1;
    fnn_work(w->engine, w->task, w->me);
    at_work = 0;
    return NULL;
}

static unsigned long long seed = 1;
static void work(fnn_engine *e, const fnn_task *task)
{
    pthread_t threads[N_THREADS];
    worker workers[N_THREADS];
    size_t bytes = 0;
    if (fnn_prepare(e, task, N_THREADS, &bytes))
        exit(2);
    for (int i = 0; i < N_THREADS; i++) {
        workers[i] = (worker){e, task, i};
        if (i && pthread_create(&threads[i], NULL, enter, &workers[i]))
            exit(2);
    }
    fnn_line_cost(0), fnn_probe(e);
    fnn_start(e, N_THREADS - (int)(seed >> 40) % 2); /* the last may have come for nothing */
    enter(&workers[0]);
    for (int i = 1; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
}

static double uniform(void)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (double)(seed >> 11) / 9007199254740992.0 * 2 - 1;
}

static void *exactly(size_t n)
{
    void *p = malloc(n ? n : 1);
    if (!p)
        exit(2);
    return p;
}

static double get(const void *p, ptrdiff_t i, int f64)
{
    return f64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}
static void put(void *p, ptrdiff_t i, int f64, double x)
{
    if (f64)
        ((double *)p)[i] = x;
    else
        ((float *)p)[i] = (float)x;
}

typedef struct {
    fnn_layer layers[MAX_LAYERS];
    ptrdiff_t n_layers, n_rows, n_params;
    int loss;
    fnn_embedding m; /* n_out is 0 where X is not encoded; else its rows: */
    uint8_t *bins;
    int32_t *codes; /* two a row */
    double *fractions, *indicators;
} problem;

static double value_of(const fnn_layer *l, double z)
{
    const double p = 1 / (1 + exp(-z));
    switch (l->activation) {
    case FNN_ACTIVATION_relu: return fmax(z, 0);
    case FNN_ACTIVATION_tanh: return tanh(z);
    case FNN_ACTIVATION_logistic: return p;
    case FNN_ACTIVATION_leaky_relu: return z > 0 ? z : l->settings[0] * z;
    case FNN_ACTIVATION_elu: return z > 0 ? z : l->settings[0] * expm1(z);
    case FNN_ACTIVATION_selu:
        return 1.0507009873554805 * (z > 0 ? z : 1.6732632423543772 * expm1(z));
    case FNN_ACTIVATION_gelu: return 0.5 * z * erfc(-z / sqrt(2));
    case FNN_ACTIVATION_silu: return z * p;
    case FNN_ACTIVATION_mish: return z * tanh(log1p(exp(z)));
    case FNN_ACTIVATION_softplus: return log1p(exp(z));
    default: return z;
    }
}

static double slope_of(const fnn_layer *l, double z)
{
    const double p = 1 / (1 + exp(-z)), t = tanh(log1p(exp(z)));
    switch (l->activation) {
    case FNN_ACTIVATION_relu: return z > 0;
    case FNN_ACTIVATION_tanh: return 1 - tanh(z) * tanh(z);
    case FNN_ACTIVATION_logistic: return p * (1 - p);
    case FNN_ACTIVATION_leaky_relu: return z > 0 ? 1 : l->settings[0];
    case FNN_ACTIVATION_elu: return z > 0 ? 1 : l->settings[0] * exp(z);
    case FNN_ACTIVATION_selu: return 1.0507009873554805 * (z > 0 ? 1 : 1.6732632423543772 * exp(z));
    case FNN_ACTIVATION_gelu:
        return 0.5 * erfc(-z / sqrt(2)) + z * exp(-z * z / 2) * 0.3989422804014327;
    case FNN_ACTIVATION_silu: return p + z * p * (1 - p);
    case FNN_ACTIVATION_mish: return t + z * (1 - t * t) * p;
    case FNN_ACTIVATION_softplus: return p;
    default: return 1;
    }
}

static uint32_t mix(uint32_t x)
{
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

enum { STEP = 70000 }; /* number of the step, which dropout goes by */

/* What dropout multiplies an output by; without a seed there is none. */
static double factor_of(const problem *p, const uint32_t *seed, ptrdiff_t layer, ptrdiff_t row,
                        ptrdiff_t unit)
{
    const double share = p->layers[layer].dropout;
    if (!seed || !share)
        return 1;
    const uint32_t key = mix(mix(mix(*seed) ^ STEP) ^ (uint32_t)layer);
    const uint32_t hash = mix(mix(key ^ (uint32_t)row) ^ (uint32_t)unit);
    return (int32_t)hash < share * 4294967296.0 - 2147483649.0 ? 0 : 1 / (1 - share);
}

/* What a row of an encoded table becomes (`x`); or, of its delta, what the gradient gains. */
static void embed(const problem *p, const double *params, ptrdiff_t row, double *x,
                  const double *delta, double *grad)
{
    const fnn_embedding *m = &p->m;
    const double *scale = params + m->scale;
    for (ptrdiff_t i = 0; i < m->n_numeric * m->size; i++) {
        const ptrdiff_t f = i / m->size, at = row * m->n_numeric + f;
        const ptrdiff_t own = m->starts[f] + p->bins[at];
        const double t = p->fractions[at], number = m->lower[own] + t * m->widths[own];
        double value = params[m->bias + i] + number * params[m->linear + i];
        for (ptrdiff_t j = m->starts[f]; j <= own; j++) {
            const ptrdiff_t w = m->bins + j * m->size + i % m->size;
            value += params[w] * (j < own ? 1 : t);
            if (delta)
                grad[w] += delta[i] * scale[i] * (j < own ? 1 : t);
        }
        if (delta) {
            grad[m->linear + i] += delta[i] * scale[i] * number;
            grad[m->bias + i] += delta[i] * scale[i];
            grad[m->scale + i] += delta[i] * value;
        } else {
            x[i] = value * scale[i];
        }
    }
    for (ptrdiff_t i = 0, k = m->n_numeric * m->size; i < m->n_indicators + m->n_hot; i++, k++) {
        const ptrdiff_t code = i - m->n_indicators;
        const int32_t *codes = p->codes + 2 * row;
        const double value = code < 0 ? p->indicators[row * m->n_indicators + i]
                             : codes[0] == code || codes[1] == code ? m->hot[code] : 0;
        if (delta)
            grad[m->scale + k] += delta[k] * value;
        else
            x[k] = value * scale[k];
    }
}

/* The plain computation in double, row by row: raw outputs, sums of loss and gradient. */
static double plainly(const problem *p, const double *params, const uint32_t *seed,
                      const double *X, const double *y, double *raw, double *grad)
{
    double loss = 0;
    memset(grad, 0, p->n_params * sizeof *grad);
    for (ptrdiff_t row = 0; row < p->n_rows; row++) {
        double *a[MAX_LAYERS + 1], *weighted[MAX_LAYERS + 1], *delta = NULL;
        for (ptrdiff_t i = 0; i <= p->n_layers; i++) {
            const ptrdiff_t n = i ? p->layers[i - 1].n_out : p->layers[0].n_in;
            a[i] = exactly(n * sizeof(double));
            weighted[i] = exactly(n * sizeof(double));
            if (!i && p->m.n_out)
                embed(p, params, row, a[0], NULL, NULL);
            for (ptrdiff_t j = 0; j < n; j++) {
                if (!i) {
                    a[0][j] = p->m.n_out ? a[0][j] : X[row * n + j];
                    continue;
                }
                double z = params[p->layers[i - 1].biases + j];
                for (ptrdiff_t k = 0; k < p->layers[i - 1].n_in; k++)
                    z += a[i - 1][k] * params[p->layers[i - 1].weights + k * n + j];
                weighted[i][j] = z;
                a[i][j] = value_of(&p->layers[i - 1], z);
                a[i][j] *= factor_of(p, seed, i - 1, row, j);
            }
        }
        const ptrdiff_t n_out = p->layers[p->n_layers - 1].n_out;
        delta = exactly(n_out * sizeof(double));
        double total = 0;
        for (ptrdiff_t j = 0; j < n_out; j++)
            total += exp(a[p->n_layers][j]);
        for (ptrdiff_t j = 0; j < n_out; j++) {
            const double z = raw[row * n_out + j] = a[p->n_layers][j];
            if (p->loss == FNN_LOSS_log_loss) {
                delta[j] = exp(z) / total - (y[row] == j);
                loss -= y[row] == j ? log(exp(z) / total) : 0;
            } else {
                delta[j] = z - y[row * n_out + j];
                loss += 0.5 * delta[j] * delta[j] / n_out;
            }
        }
        for (ptrdiff_t i = p->n_layers - 1; i >= 0; i--) {
            const ptrdiff_t n_in = p->layers[i].n_in, n = p->layers[i].n_out;
            double *below = exactly(n_in * sizeof(double));
            for (ptrdiff_t k = 0; k < n_in; k++) {
                below[k] = 0;
                for (ptrdiff_t j = 0; j < n; j++) {
                    const ptrdiff_t at = p->layers[i].weights + k * n + j;
                    below[k] += delta[j] * params[at];
                    grad[at] += a[i][k] * delta[j];
                }
                if (i)
                    below[k] *= slope_of(&p->layers[i - 1], weighted[i][k]) *
                                factor_of(p, seed, i - 1, row, k);
            }
            for (ptrdiff_t j = 0; j < n; j++)
                grad[p->layers[i].biases + j] += delta[j];
            free(delta);
            delta = below;
        }
        if (p->m.n_out)
            embed(p, params, row, NULL, delta, grad);
        free(delta);
        for (ptrdiff_t i = 0; i <= p->n_layers; i++) {
            free(a[i]);
            free(weighted[i]);
        }
    }
    return loss;
}

static double allowed_32 = 2e-4; /* of the largest number; more where operands were rounded */

static void check(const char *isa, int f64, const char *what, const void *value,
                  const double *expected, ptrdiff_t n)
{
    double largest = 1e-3, worst = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(expected[i]));
        worst = fmax(worst, fabs(get(value, i, f64) - expected[i]));
        if (isnan(get(value, i, f64)))
            worst = INFINITY;
    }
    if (!(worst <= largest * (f64 ? 1e-12 : allowed_32))) {
        printf("%s, %d bits: %s differs by %g of %g\n", isa, f64 ? 64 : 32, what, worst, largest);
        exit(1);
    }
}

/* Each part by factors of its own; every third does not train. */
static fnn_segment segment_of(ptrdiff_t i)
{
    return (fnn_segment){0.5 + 0.25 * i, 0.3 * i, i % 2 ? 0.1 : 0, 1, i % 3 != 2};
}

/* What the sums of n gradients make of a part's objective, in place; returns the part's penalty, and
 * adds what counts in the norm. */
static double penalise(const double *p, double *grad, ptrdiff_t n, const fnn_segment *s,
                       const fnn_plan *plan, double *norm)
{
    double penalty = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const double sign = (p[i] > 0) - (p[i] < 0);
        penalty += s->penalty * (0.5 * plan->alpha * p[i] * p[i] + plan->l1 * fabs(p[i]));
        grad[i] += s->penalty * (plan->alpha * p[i] + plan->l1 * sign);
        grad[i] /= plan->batch_size;
        *norm += s->trainable ? grad[i] * grad[i] : 0;
    }
    return penalty;
}

/* One SGD step of a part of n parameters without momentum; `average` gets its share. */
static void step(double *p, const double *grad, double *average, ptrdiff_t n, const fnn_segment *s,
                 const fnn_plan *plan, const fnn_step *by)
{
    const double rate = by->rate * s->rate;
    for (ptrdiff_t i = 0; s->trainable && i < n; i++) {
        p[i] = p[i] * (1 - rate * s->decay * plan->weight_decay) - rate * grad[i];
        average[i] += by->share * (p[i] - average[i]);
    }
}

static void run(const fnn_isa *isa, int precision, const problem *p, int sparse, int n_members)
{
    const int f64 = precision == FNN_F64;
    allowed_32 = 2e-4;
    const size_t size = f64 ? 8 : 4;
    const char *name = fnn_isa_name(isa);
    const ptrdiff_t n_in = p->layers[0].n_in, n_out = p->layers[p->n_layers - 1].n_out;
    const ptrdiff_t n = p->n_rows, m = p->n_params, n_y = n * n_out;
    const int codes = fnn_loss_at(p->loss)->y_is_codes;
    double *params = exactly(n_members * m * 8), *grad = exactly(n_members * m * 8);
    double *X = exactly(n * n_in * 8), *y = exactly(n_y * 8), *raw = exactly(n_y * 8);
    void *c_params = exactly(n_members * m * size), *c_grad = exactly(n_members * m * size);
    const int encoded = p->m.n_out > 0;
    const ptrdiff_t n_fractions = n * p->m.n_numeric, n_indicators = n * p->m.n_indicators;
    void *fractions = exactly(n_fractions * size), *indicators = exactly(n_indicators * size);
    void *c_X = exactly(n * n_in * size), *c_y = exactly(codes ? n * sizeof(int32_t) : n_y * size);
    void *c_raw = exactly(n_y * size), *slots = calloc(2 * n_members * m, size);
    int32_t *indptr = exactly((n + 1) * 4), *indices = exactly(n * n_in * 4);
    int64_t *rows = exactly(n * 8);
    const uint32_t seeds[MAX_MEMBERS] = {0, 1, 4294967295u, 5};
    double loss[MAX_MEMBERS], expected_loss[MAX_MEMBERS], weights[MAX_MEMBERS];
    ptrdiff_t entries = 0;
    indptr[0] = 0;
    for (ptrdiff_t i = 0; i < n_members * m; i++) {
        put(c_params, i, f64, uniform() * 0.5);
        params[i] = get(c_params, i, f64);
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        for (ptrdiff_t k = 0; k < n_in; k++) {
            const double x = sparse && uniform() > -0.4 ? 0 : uniform();
            const ptrdiff_t at = sparse ? entries : i * n_in + k;
            X[i * n_in + k] = 0;
            if (sparse && x == 0)
                continue;
            put(c_X, at, f64, x);
            X[i * n_in + k] = get(c_X, at, f64);
            if (sparse)
                indices[entries++] = (int32_t)k;
        }
        indptr[i + 1] = (int32_t)entries;
        rows[i] = i;
    }
    for (ptrdiff_t i = 0; i < n_fractions; i++) {
        put(fractions, i, f64, uniform() * 1.5 + 0.5);
        p->fractions[i] = get(fractions, i, f64);
    }
    for (ptrdiff_t i = 0; i < n_indicators; i++) {
        put(indicators, i, f64, uniform());
        p->indicators[i] = get(indicators, i, f64);
    }
    for (ptrdiff_t i = 0; i < (codes ? n : n_y); i++) {
        if (codes) {
            y[i] = floor((uniform() + 1) / 2 * n_out);
            ((int32_t *)c_y)[i] = (int32_t)y[i];
        } else {
            put(c_y, i, f64, uniform());
            y[i] = get(c_y, i, f64);
        }
    }
    for (int i = 0; i < n_members; i++)
        expected_loss[i] = plainly(p, params + i * m, &seeds[i], X, y, raw, grad + i * m);
    double *unused = exactly(m * 8);
    plainly(p, params, NULL, X, y, raw, unused); /* raw outputs of the first */
    free(unused);

    static const double no_smoothing[] = {0};
    const fnn_network network = {.layers = p->layers,
                                 .n_layers = p->n_layers,
                                 .n_params = m,
                                 .loss = p->loss,
                                 .inverse_link = FNN_INVERSE_LINK_identity,
                                 .loss_settings = no_smoothing,
                                 .embedding = encoded ? &p->m : NULL};
    const fnn_data data = {.input = encoded ? FNN_ENCODED : sparse ? FNN_CSR : FNN_DENSE,
                           .values = encoded ? fractions : c_X,
                           .bins = p->bins,
                           .indicators = indicators,
                           .codes = p->codes,
                           .n_codes = 2,
                           .indptr = sparse ? indptr : NULL,
                           .indices = sparse ? indices : NULL,
                           .max_in_row = n_in,
                           .y = c_y};
    fnn_engine *e = fnn_engine_new(isa, precision, &network);
    size_t bytes = 0;
    if (fnn_forward(e, c_params, &data, n, c_raw, &bytes))
        exit(2);
    check(name, f64, "forward", c_raw, raw, n * n_out);
    if ((encoded || !sparse) && fnn_forward(e, c_params, &data, 1, c_raw, &bytes))
        exit(2);
    check(name, f64, "forward of one row", c_raw, raw, n_out);

    fnn_task task = {.data = data, .n_members = n_members, .n_passes = 1, .n_visits = n,
                     .params = c_params, .grad = c_grad, .rows = rows, .seeds = seeds,
                     .step = STEP, .losses = loss, .weight_sums = weights};
    allowed_32 = precision == FNN_BF16 ? 0.2 : 2e-4; /* forward has rounded nothing */
    work(e, &task);
    check(name, f64, "gradient", c_grad, grad, n_members * m);
    for (int i = 0; i < n_members; i++) {
        const double mean = loss[i] / weights[i], expected_mean = expected_loss[i] / n;
        check(name, 1, "loss", &mean, &expected_mean, f64);
    }

    fnn_segment weight_segments[MAX_LAYERS], bias_segments[MAX_LAYERS], embedding_segments[4];
    const ptrdiff_t starts[] = {p->m.bins, p->m.linear, p->m.bias, p->m.scale, m};
    const int extras = sparse; /* half of all runs have what a plan may have beside its rule */
    fnn_plan plan = {.optimizer = FNN_OPTIMIZER_sgd,
                     .alpha = 0.1,
                     .l1 = extras ? 0.05 : 0,
                     .weight_decay = 1,
                     .max_norm = extras ? 0.2 : 0,
                     .averages = extras,
                     .batch_size = n,
                     .weights = weight_segments,
                     .biases = bias_segments,
                     .embedding = embedding_segments};
    const fnn_step steps = {.rate = 0.01, .effective_rate = 0.01, .share = extras ? 0.25 : 0};
    double *averages = calloc(n_members * m, sizeof(double));
    for (int i = 0; i < n_members; i++) {
        double penalty = 0, norm = 0, *q = params + i * m, *g = grad + i * m, *a = averages + i * m;
        for (int stepping = 0; stepping < 2; stepping++) {
            const double clip = extras && norm > 0.04 ? 0.2 / sqrt(norm) : 1;
            for (ptrdiff_t at = 0; stepping && at < m; at++)
                g[at] *= clip;
            /* weights and biases in turn, then the embedding */
            for (ptrdiff_t l = 0; l < 2 * p->n_layers + (encoded ? 4 : 0); l++) {
                const fnn_layer *layer = &p->layers[l / 2 % MAX_LAYERS];
                const ptrdiff_t part = l - 2 * p->n_layers;
                ptrdiff_t at = l % 2 ? layer->biases : layer->weights;
                ptrdiff_t n_here = l % 2 ? layer->n_out : layer->n_in * layer->n_out;
                fnn_segment *s = l % 2 ? &bias_segments[l / 2 % MAX_LAYERS]
                                       : &weight_segments[l / 2 % MAX_LAYERS];
                if (part >= 0) {
                    at = starts[part];
                    n_here = starts[part + 1] - at;
                    s = &embedding_segments[part];
                }
                *s = segment_of(l / 2 + l % 2);
                if (stepping)
                    step(q + at, g + at, a + at, n_here, s, &plan, &steps);
                else
                    penalty += penalise(q + at, g + at, n_here, s, &plan, &norm);
            }
        }
        expected_loss[i] = (expected_loss[i] + penalty) / n;
    }
    task.plan = &plan;
    task.grad = NULL;
    task.slots = slots;
    task.steps = &steps;
    work(e, &task);
    check(name, f64, "step", c_params, params, n_members * m);
    check(name, 1, "mean loss", loss, expected_loss, f64 ? n_members : 0);
    for (int i = 0; extras && i < n_members; i++)
        check(name, f64, "average", (char *)slots + (2 * i + 1) * m * size, averages + i * m, m);

    fnn_engine *without_scratch = fnn_engine_new(isa, precision, &network);
    bytes = 0;
    refuse = 1;
    if (fnn_prepare(without_scratch, &task, N_THREADS, &bytes) != FNN_NO_MEMORY || bytes < 64)
        exit(4);
    refuse = 0;
    if (fnn_prepare(without_scratch, &task, N_THREADS, &bytes) != FNN_OK)
        exit(4);
    fnn_engine_free(without_scratch);
    fnn_engine_free(e);
    void *all[] = {params, grad, X, y, raw, c_params, c_grad, c_X, c_y, c_raw, slots, indptr,
                   indices, rows, averages, fractions, indicators};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* An encoded table below the layers of p; the first reads what it becomes. */
static void encode(problem *p, int n_numeric, int size, int n_indicators, int n_hot)
{
    static int64_t starts[16];
    static double lower[256], widths[256], hot[16];
    fnn_embedding *m = &p->m;
    *m = (fnn_embedding){.n_numeric = n_numeric,
                         .size = size,
                         .n_indicators = n_indicators,
                         .n_hot = n_hot,
                         .n_out = n_numeric * size + n_indicators + n_hot,
                         .starts = starts,
                         .lower = lower,
                         .widths = widths,
                         .hot = hot};
    for (int f = 0; f < n_numeric; f++) {
        starts[f + 1] = starts[f] + 1 + f * f % 7;
        for (int64_t j = starts[f]; j < starts[f + 1]; j++) {
            lower[j] = 0.25 * (double)(j - starts[f]) - 1;
            widths[j] = 0.25;
        }
    }
    for (int i = 0; i < n_hot; i++)
        hot[i] = 0.5 + 0.25 * i;
    m->n_bins = starts[n_numeric];
    m->bins = p->n_params;
    m->linear = m->bins + m->n_bins * size;
    m->bias = m->linear + n_numeric * size;
    m->scale = m->bias + n_numeric * size;
    p->n_params = m->scale + m->n_out;
    p->bins = exactly(p->n_rows * n_numeric);
    p->codes = exactly(p->n_rows * 2 * sizeof(int32_t));
    p->fractions = exactly(p->n_rows * n_numeric * sizeof(double));
    p->indicators = exactly(p->n_rows * n_indicators * sizeof(double));
    for (ptrdiff_t i = 0; i < p->n_rows * n_numeric; i++) {
        const int64_t f = i % n_numeric, n_bins = starts[f + 1] - starts[f];
        p->bins[i] = (uint8_t)((i * 5 + i / 3) % n_bins);
    }
    for (ptrdiff_t i = 0; i < p->n_rows * 2; i++) { /* of two columns, or none */
        const int half = n_hot / 2, of = i % 2 ? n_hot - half : half;
        p->codes[i] = of && i % 5 ? (int32_t)(i % 2 * half + i % of) : -1;
    }
}

int main(int argc, char **argv)
{
    static const int sizes[] = {1, 2, 3, 5, 8, 15, 16, 17, 33, 50};
    const int n_sizes = sizeof sizes / sizeof *sizes;
    /* AMX too where the system refuses it, but all else is here: what takes its place must run. */
    const fnn_isa *refused = strncmp(fnn_isa_name(fnn_isa_at(0)), "avx512", 6) ? NULL : &fnn_isa_amx;
    for (int i = 0; fnn_isa_at(i) || refused; i++) {
        const fnn_isa *isa = fnn_isa_at(i) ? fnn_isa_at(i) : refused;
        refused = isa == refused ? NULL : refused;
        if (argc > 1 && strcmp(argv[1], fnn_isa_name(isa)))
            continue;
        int n_runs = 0;
        for (int j = 0; j < 5 * n_sizes; j++) {
            const int encodes = j >= 4 * n_sizes, n_numeric = j % 4 * 4, size = sizes[j % 7];
            const int n_indicators = encodes ? j % 3 : 0, n_hot = encodes ? 3 + j % 5 : 0;
            problem p = {.n_layers = 1 + j % MAX_LAYERS,
                         .n_rows = j == 7 || j == 41 ? 1100 : sizes[(j * 3 + 1) % n_sizes],
                         .loss = j % 2 ? FNN_LOSS_log_loss : FNN_LOSS_squared_error};
            ptrdiff_t at = 0; /* biases before weights: their order is the caller's */
            for (ptrdiff_t l = 0; l < p.n_layers; l++) {
                p.layers[l].n_in = l         ? p.layers[l - 1].n_out
                                   : encodes ? n_numeric * size + n_indicators + n_hot
                                             : sizes[j % n_sizes];
                p.layers[l].n_out = sizes[(j * 7 + (int)l * 3 + 2) % n_sizes];
                p.layers[l].activation =
                    l + 1 < p.n_layers ? (j + (int)l) % FNN_N_ACTIVATIONS : FNN_ACTIVATION_identity;
                p.layers[l].dropout = l + 1 < p.n_layers && (j + l) % 3 ? 0.4 : 0;
                p.layers[l].settings[0] = 0.25 * (1 + l); /* each layer's own */
                p.layers[l].biases = at;
                at += p.layers[l].n_out;
                p.layers[l].weights = at;
                at += p.layers[l].n_in * p.layers[l].n_out;
            }
            p.n_params = at;
            if (encodes)
                encode(&p, n_numeric, size, n_indicators, n_hot);
            for (int k = 0; k < 2 * FNN_N_PRECISIONS; k++) {
                const int precision = k % FNN_N_PRECISIONS;
                const char *name = fnn_isa_name(isa);
                if (precision != FNN_BF16 && (strstr(name, "amx") || strstr(name, "bf16")))
                    continue; /* the same kernels as of the vectors they go with */
                run(isa, precision, &p, k / FNN_N_PRECISIONS, j % 2 ? 2 : 4);
                n_runs++;
            }
            free(p.bins), free(p.codes), free(p.fractions), free(p.indicators);
        }
        printf("%s: %d networks agree\n", fnn_isa_name(isa), n_runs);
    }
    return 0;
}
