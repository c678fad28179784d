/* Does every instruction set compute what twenty plain lines do? Exits with 1 and names the first difference.
 *
 * usage: test_engine [instruction set]; arrays are allocated to the byte, so that a sanitizer sees any step beyond them.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastnn.h"

/* Three threads, so that the sanitizers see what is done for those that share memory. */
enum { N_THREADS = 3 };

typedef struct {
    fnn_engine *engine;
    const fnn_task *task;
    int me;
} worker;

static void *enter(void *p)
{
    const worker *w = p;
    fnn_work(w->engine, w->task, w->me);
    return NULL;
}

static void work(fnn_engine *e, const fnn_task *task)
{
    pthread_t threads[N_THREADS];
    worker workers[N_THREADS];
    size_t bytes = 0;
    if (fnn_prepare(e, task, N_THREADS, &bytes))
        exit(2);
    for (int i = 1; i < N_THREADS; i++) {
        workers[i] = (worker){e, task, i};
        if (pthread_create(&threads[i], NULL, enter, &workers[i]))
            exit(2);
    }
    fnn_start(e, N_THREADS);
    fnn_work(e, task, 0);
    for (int i = 1; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
}

enum { MAX_LAYERS = 3 };

static unsigned long long seed = 1;
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

static double get(const void *p, ptrdiff_t i, int is_double)
{
    return is_double ? ((const double *)p)[i] : (double)((const float *)p)[i];
}
static void put(void *p, ptrdiff_t i, int is_double, double x)
{
    if (is_double)
        ((double *)p)[i] = x;
    else
        ((float *)p)[i] = (float)x;
}

typedef struct {
    fnn_layer layers[MAX_LAYERS];
    ptrdiff_t n_layers, n_rows, n_params;
    int loss;
} problem;

static double value_of(int activation, double z)
{
    return activation == FNN_ACTIVATION_relu ? fmax(z, 0) : activation == FNN_ACTIVATION_tanh ? tanh(z) : activation == FNN_ACTIVATION_logistic ? 1 / (1 + exp(-z)) : z;
}
static double slope_of(int activation, double a)
{
    return activation == FNN_ACTIVATION_relu ? a > 0 : activation == FNN_ACTIVATION_tanh ? 1 - a * a : activation == FNN_ACTIVATION_logistic ? a * (1 - a) : 1;
}

/* The plain computation in double, row by row: raw outputs, mean loss and gradient without penalty. */
static double plainly(const problem *p, const double *params, const double *X, const double *y, double *raw, double *grad)
{
    double loss = 0;
    memset(grad, 0, p->n_params * sizeof *grad);
    for (ptrdiff_t row = 0; row < p->n_rows; row++) {
        double *a[MAX_LAYERS + 1], *delta = NULL;
        for (ptrdiff_t i = 0; i <= p->n_layers; i++) {
            const ptrdiff_t n = i ? p->layers[i - 1].n_out : p->layers[0].n_in;
            a[i] = exactly(n * sizeof(double));
            for (ptrdiff_t j = 0; j < n; j++) {
                if (!i) {
                    a[0][j] = X[row * n + j];
                    continue;
                }
                double z = params[p->layers[i - 1].biases + j];
                for (ptrdiff_t k = 0; k < p->layers[i - 1].n_in; k++)
                    z += a[i - 1][k] * params[p->layers[i - 1].weights + k * n + j];
                a[i][j] = value_of(p->layers[i - 1].activation, z);
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
                    below[k] += delta[j] * params[p->layers[i].weights + k * n + j];
                    grad[p->layers[i].weights + k * n + j] += a[i][k] * delta[j] / p->n_rows;
                }
                if (i)
                    below[k] *= slope_of(p->layers[i - 1].activation, a[i][k]);
            }
            for (ptrdiff_t j = 0; j < n; j++)
                grad[p->layers[i].biases + j] += delta[j] / p->n_rows;
            free(delta);
            delta = below;
        }
        free(delta);
        for (ptrdiff_t i = 0; i <= p->n_layers; i++)
            free(a[i]);
    }
    return loss / p->n_rows;
}

static void check(const char *isa, int is_double, const char *what, const void *value, const double *expected, ptrdiff_t n)
{
    double largest = 1e-3, worst = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(expected[i]));
        worst = fmax(worst, fabs(get(value, i, is_double) - expected[i]));
        if (isnan(get(value, i, is_double)))
            worst = INFINITY;
    }
    if (!(worst <= largest * (is_double ? 1e-12 : 2e-4))) {
        printf("%s, %d bits: %s differs by %g of %g\n", isa, is_double ? 64 : 32, what, worst, largest);
        exit(1);
    }
}

static void run(const fnn_isa *isa, int is_double, const problem *p, int sparse)
{
    const size_t size = is_double ? 8 : 4;
    const ptrdiff_t n_in = p->layers[0].n_in, n_out = p->layers[p->n_layers - 1].n_out, n = p->n_rows;
    const ptrdiff_t n_y = p->loss == FNN_LOSS_log_loss ? n : n * n_out;
    double *params = exactly(p->n_params * 8), *X = exactly(n * n_in * 8), *y = exactly(n_y * 8);
    double *raw = exactly(n * n_out * 8), *grad = exactly(p->n_params * 8), *stepped = exactly(p->n_params * 8);
    void *c_params = exactly(p->n_params * size), *c_X = exactly(n * n_in * size), *c_y = exactly(n_y * size);
    void *c_raw = exactly(n * n_out * size), *c_grad = exactly(p->n_params * size), *slots = calloc(2 * p->n_params + 1, size);
    int32_t *indptr = exactly((n + 1) * 4), *indices = exactly(n * n_in * 4);
    int64_t *rows = exactly(n * 8);
    ptrdiff_t entries = 0;
    indptr[0] = 0;
    for (ptrdiff_t i = 0; i < p->n_params; i++) {
        put(c_params, i, is_double, uniform() * 0.5);
        params[i] = get(c_params, i, is_double);
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        for (ptrdiff_t k = 0; k < n_in; k++) {
            const double x = sparse && uniform() > -0.4 ? 0 : uniform();
            const ptrdiff_t at = sparse ? entries : i * n_in + k;
            X[i * n_in + k] = 0;
            if (sparse && x == 0)
                continue;
            put(c_X, at, is_double, x);
            X[i * n_in + k] = get(c_X, at, is_double);
            if (sparse)
                indices[entries++] = (int32_t)k;
        }
        indptr[i + 1] = (int32_t)entries;
        rows[i] = i;
    }
    for (ptrdiff_t i = 0; i < n_y; i++) {
        if (p->loss == FNN_LOSS_log_loss) {
            y[i] = floor((uniform() + 1) / 2 * n_out);
            ((int32_t *)c_y)[i] = (int32_t)y[i];
        } else {
            put(c_y, i, is_double, uniform());
            y[i] = get(c_y, i, is_double);
        }
    }
    double loss = 0, weight_sum = 0, expected_loss = plainly(p, params, X, y, raw, grad);
    const double rate = 0.01;
    fnn_segment segments[MAX_LAYERS];
    for (ptrdiff_t i = 0; i < p->n_layers; i++)
        segments[i] = (fnn_segment){.rate = 1, .epsilon = 1, .trainable = 1};
    const fnn_network network = {p->layers, p->n_layers, p->n_params, p->loss};
    const fnn_plan plan = {.optimizer = FNN_OPTIMIZER_sgd, .batch_size = n, .weights = segments, .biases = segments};
    const fnn_data data = {.input = sparse ? FNN_CSR : FNN_DENSE, .values = c_X, .indptr = indptr, .indices = indices,
                           .max_in_row = n_in, .y = c_y};
    fnn_engine *e = fnn_engine_new(isa, is_double ? FNN_F64 : FNN_F32, &network);
    size_t bytes = 0;
    if (!e || fnn_forward(e, c_params, &data, n, c_raw, &bytes))
        exit(2);
    check(fnn_isa_name(isa), is_double, "forward", c_raw, raw, n * n_out);
    if (fnn_forward(e, c_params, &data, 1, c_raw, &bytes))
        exit(2);
    check(fnn_isa_name(isa), is_double, "forward of one row", c_raw, raw, n_out);

    fnn_task task = {.data = data, .n_members = 1, .n_passes = 1, .n_visits = n, .params = c_params, .rows = rows,
                     .grad = c_grad, .losses = &loss, .weight_sums = &weight_sum};
    work(e, &task);
    for (ptrdiff_t i = 0; i < p->n_params; i++)
        stepped[i] = grad[i] * n;
    check(fnn_isa_name(isa), is_double, "sum of gradients", c_grad, stepped, p->n_params);
    loss /= weight_sum;
    check(fnn_isa_name(isa), 1, "loss", &loss, &expected_loss, is_double);

    task.plan = &plan, task.slots = slots, task.rates = task.effective_rates = &rate;
    work(e, &task);
    for (ptrdiff_t i = 0; i < p->n_params; i++)
        stepped[i] = params[i] - rate * grad[i];
    check(fnn_isa_name(isa), is_double, "step", c_params, stepped, p->n_params);

    fnn_engine_free(e);
    void *all[] = {params, X, y, raw, grad, stepped, c_params, c_X, c_y, c_raw, c_grad, slots, indptr, indices, rows};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

int main(int argc, char **argv)
{
    static const int sizes[] = {1, 2, 3, 5, 8, 15, 16, 17, 33, 50};
    const int n_sizes = sizeof sizes / sizeof *sizes;
    for (int i = 0; fnn_isa_at(i); i++) {
        const fnn_isa *isa = fnn_isa_at(i);
        if (argc > 1 && strcmp(argv[1], fnn_isa_name(isa)))
            continue;
        int n_runs = 0;
        for (int j = 0; j < 4 * n_sizes; j++) {
            problem p = {.n_layers = 1 + j % MAX_LAYERS, .n_rows = j == 7 ? 1100 : sizes[(j * 3 + 1) % n_sizes],
                         .loss = j % 2 ? FNN_LOSS_log_loss : FNN_LOSS_squared_error};
            ptrdiff_t at = 0;
            for (ptrdiff_t l = 0; l < p.n_layers; l++) {
                p.layers[l].n_in = l ? p.layers[l - 1].n_out : sizes[j % n_sizes];
                p.layers[l].n_out = sizes[(j * 7 + (int)l * 3 + 2) % n_sizes];
                p.layers[l].activation = l + 1 < p.n_layers ? j / 2 % 4 : FNN_ACTIVATION_identity;
                p.layers[l].weights = at;
                at += p.layers[l].n_in * p.layers[l].n_out;
            }
            for (ptrdiff_t l = 0; l < p.n_layers; l++) {
                p.layers[l].biases = at;
                at += p.layers[l].n_out;
            }
            p.n_params = at;
            for (int k = 0; k < 4; k++, n_runs++)
                run(isa, k % 2, &p, k / 2);
        }
        printf("%s: %d networks agree\n", fnn_isa_name(isa), n_runs);
    }
    return 0;
}
