/* What may the rest of the world see of the C core? Structs, codes and a handful of functions; nothing of Python.
 *
 * Numbers of one engine are all float32 or all float64; pointers to them are void *. Matrices are row-major.
 */
#ifndef FASTNN_H
#define FASTNN_H

#include <stddef.h>
#include <stdint.h>

/* The codes of activations.py, losses.py and optimizers.py; tests compare them. */
enum fnn_activation { FNN_IDENTITY, FNN_LOGISTIC, FNN_TANH, FNN_RELU };
enum fnn_loss { FNN_SQUARED_ERROR, FNN_POISSON, FNN_BINARY_LOG_LOSS, FNN_LOG_LOSS };
enum fnn_optimizer { FNN_SGD, FNN_ADAM, FNN_GRADIENT_ONLY };

enum fnn_error { FNN_OK, FNN_NO_MEMORY, FNN_NOT_FINITE };

typedef struct {
    ptrdiff_t n_in, n_out;
    int activation;
} fnn_layer;

/* A network and how it is trained, apart from the data; see Plan in backends/base.py. */
typedef struct {
    const fnn_layer *layers;
    ptrdiff_t n_layers;
    int loss;
    int optimizer;
    int nesterov;
    double beta_1, beta_2, epsilon; /* beta_1 is SGD's momentum */
    double alpha;
    ptrdiff_t batch_size;
} fnn_plan;

/* X dense (indptr NULL, values row-major) or CSR; y label codes int32 for FNN_LOG_LOSS, else (n_rows, n_out). */
typedef struct {
    const void *values;
    const void *indptr, *indices; /* int64 if wide, else int32 */
    int wide;
    ptrdiff_t most_in_row; /* of CSR: the longest row among those used */
    const void *y, *weight; /* weight may be NULL */
} fnn_data;

/* One call of train, or of loss_grad where optimizer is FNN_GRADIENT_ONLY, grad is set and all rows are one batch. */
typedef struct {
    fnn_data data;
    void *params, *slots, *grad; /* slots (n_slots, n_params) */
    ptrdiff_t n_slots;
    const int64_t *rows; /* (n_passes, n_visits) */
    const double *rates; /* (n_passes, n_steps), with Adam's bias corrections folded in */
    ptrdiff_t n_passes, n_visits, batch_size;
    int optimizer;
    double *losses; /* (n_passes,) */
} fnn_task;

typedef struct fnn_engine fnn_engine;
typedef struct fnn_isa fnn_isa;

/* Instruction sets compiled in and usable on this CPU, best first: fnn_isa_at(0) is the default; NULL after the last. */
const fnn_isa *fnn_isa_at(int i);
const char *fnn_isa_name(const fnn_isa *isa);
int fnn_isa_lanes(const fnn_isa *isa, int is_double);

/* is_double chooses the precision. NULL where memory ran out. */
fnn_engine *fnn_engine_new(const fnn_isa *isa, int is_double, const fnn_plan *plan);
void fnn_engine_free(fnn_engine *engine);
ptrdiff_t fnn_engine_n_params(const fnn_engine *engine);

/* How many threads this task is worth, at most `most`: never changes a result. */
int fnn_threads(const fnn_engine *engine, const fnn_task *task, int most);

/* Prepares scratch for a task (reused by later tasks): FNN_OK, or FNN_NO_MEMORY with the bytes asked for. */
int fnn_prepare(fnn_engine *engine, const fnn_task *task, int n_threads, size_t *bytes);

/* The work of one thread of the crew, from beginning to end: all n_threads must run it, each with its own number, 0 the
 * calling one. Workers may enter before fnn_start, which tells them how many they are, or -1 to go home. */
void fnn_work(fnn_engine *engine, const fnn_task *task, int me);
void fnn_start(fnn_engine *engine, int n_threads);

/* Raw outputs of rows [0, n_rows) of data, or predictions if `link`, into out (n_rows, n_out). Re-entrant. If `check`, dense rows
 * are looked at on their way: FNN_NOT_FINITE, and out worth nothing, where NaN or infinity is among them. */
int fnn_forward(const fnn_engine *engine, const void *params, const fnn_data *data, ptrdiff_t n_rows, int link, int check,
                void *out, size_t *bytes);

/* Shuffles n row numbers as NumPy's RandomState does; next draws from the generator. */
void fnn_shuffle(int32_t *rows, int32_t n, uint32_t (*next)(void *), void *generator);

/* The calibrator: n rounds of independent fused multiply-adds; returns the floating-point operations done. */
double fnn_spin(const fnn_isa *isa, int is_double, ptrdiff_t n);

/* Kernels offered to tests: apply "exp", "log", "tanh" or "logistic" (by number 0..3) to n values in place. */
void fnn_apply(const fnn_isa *isa, int is_double, int function, void *values, ptrdiff_t n);

#endif
