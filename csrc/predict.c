/* How does a network answer? Row by row, or in groups of panels that stay in the cache. */
#include <stdlib.h>

#include "engine.h"

enum { ROW_BUFFER = 4096, MAX_GROUP = 64 }; /* bytes on the stack; rows of a group of panels */

/* One row of numbers through all layers, between two buffers. */
static void answer_row(const fnn_engine *e, const fnn_dense *layers, const char *x,
                       char *buffers[2], char *out)
{
    for (ptrdiff_t i = 0; i < e->n_layers; i++) {
        char *z = i == e->n_layers - 1 ? out : buffers[i % 2];
        e->answers->forward_row(&layers[i], x, z);
        x = z;
    }
}

/* The rows of a group of panels through all layers. */
static void answer_group(const fnn_engine *e, const fnn_dense *layers, const fnn_rows *group,
                         const fnn_embedder *embedder, char *buffers[2], char *out)
{
    const fnn_kernels *k = e->answers;
    const ptrdiff_t panels = fnn_ceil_div(group->n, k->lanes);
    const ptrdiff_t n_out = e->layers[e->n_layers - 1].n_out;
    char *in = buffers[0], *z = buffers[1];
    for (ptrdiff_t i = 0; i < e->n_layers; i++) {
        if (i == 0)
            fnn_input_kinds[group->data->input].forward(k, layers, embedder, group, 0, panels, in,
                                                       z, NULL);
        else
            k->forward(&layers[i], in, z, NULL, panels);
        char *swapped = in;
        in = z;
        z = swapped;
    }
    for (ptrdiff_t p = 0; p < panels; p++)
        k->unpack(in + p * n_out * k->lanes * k->size, n_out,
                  fnn_min(k->lanes, group->n - p * k->lanes), out + p * k->lanes * n_out * k->size);
}

static int answer(const fnn_engine *e, const void *params, const fnn_data *data, ptrdiff_t n_rows,
                  int check, void *out, size_t *bytes)
{
    const fnn_kernels *k = e->answers;
    const ptrdiff_t n_out = e->layers[e->n_layers - 1].n_out;
    const int dense = data->input == FNN_DENSE, encoded = data->input == FNN_ENCODED;
    const int by_rows = (dense || encoded) && n_rows < fnn_max(2, k->lanes / 2);
    const ptrdiff_t chunk = by_rows ? 1 : k->nr * k->lanes; /* rows at a time */
    const size_t x_size = dense ? e->layers[0].n_in * k->size : 0, out_size = n_out * k->size;
    const size_t half = (chunk * (e->max_width + k->lanes) * k->size + 63) / 64 * 64;
    double here[ROW_BUFFER / sizeof(double)];
    char *memory = (char *)here, *allocated = NULL;
    *bytes = 2 * half + e->embedder_size + e->n_layers * sizeof(fnn_dense) + 64;
    if (*bytes > sizeof here) {
        memory = allocated = malloc(*bytes);
        if (!memory)
            return FNN_NO_MEMORY;
    }
    memory = (char *)(((uintptr_t)memory + 63) / 64 * 64);
    char *buffers[2] = {memory, memory + half};
    const fnn_embedder embedder = fnn_embedder_at(e, memory + 2 * half);
    fnn_dense *layers = (fnn_dense *)(memory + 2 * half + e->embedder_size);
    for (ptrdiff_t i = 0; i < e->n_layers; i++)
        layers[i] = fnn_dense_of(e, params, i);
    if (encoded && !by_rows)
        k->embedding_tables(embedder.m, params, NULL, embedder.tables);
    int error = FNN_OK;
    for (ptrdiff_t row = 0; row < n_rows && !error; row += chunk) {
        const ptrdiff_t n = fnn_min(chunk, n_rows - row);
        const char *x = (const char *)data->values + row * x_size;
        char *z = (char *)out + row * out_size;
        if (check && dense && !k->all_finite(x, n * e->layers[0].n_in)) {
            error = FNN_NOT_FINITE;
        } else if (by_rows) {
            if (encoded) {
                const uint8_t *bins = data->bins + row * embedder.m->n_numeric;
                k->embedding_tables(embedder.m, params, bins, embedder.tables);
                k->embed_row(embedder.m, embedder.tables, data, row, embedder.rows);
                x = embedder.rows;
            }
            answer_row(e, layers, x, buffers, z);
        } else {
            int64_t numbers[MAX_GROUP];
            for (ptrdiff_t i = 0; i < n; i++)
                numbers[i] = row + i;
            const fnn_rows group = {data, numbers, n};
            answer_group(e, layers, &group, &embedder, buffers, z);
        }
    }
    free(allocated);
    return error;
}

int fnn_forward(const fnn_engine *e, const void *params, const fnn_data *data, ptrdiff_t n_rows,
                void *out, size_t *bytes)
{
    return answer(e, params, data, n_rows, 0, out, bytes);
}

int fnn_predict(const fnn_engine *e, const void *params, const fnn_data *data, ptrdiff_t n_rows,
                void *out, size_t *bytes)
{
    const int error = answer(e, params, data, n_rows, 1, out, bytes);
    if (!error)
        e->answers->inverse_link(e->inverse_link, out, n_rows, e->layers[e->n_layers - 1].n_out);
    return error;
}
