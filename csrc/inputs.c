/* How does the first layer read X? A row for each kind of input. */
#include <string.h>

#include "engine.h"

static ptrdiff_t dense_f_panels(const fnn_kernels *k, ptrdiff_t n_out)
{
    return k->f_panels(n_out);
}

static void dense_forward(const fnn_kernels *k, const fnn_dense *d, const fnn_embedder *embedder,
                          const fnn_rows *block, ptrdiff_t first, ptrdiff_t panels, char *in,
                          char *out, char *slopes)
{
    (void)embedder;
    for (ptrdiff_t p = 0; p < panels; p++) {
        const fnn_rows r = fnn_panel_rows(k, block, first + p);
        k->gather(&r, d->n_in, in + p * d->n_in * k->lanes * k->size);
    }
    k->forward(d, in, out, slopes, panels);
}

static void dense_gradient(const fnn_kernels *k, const fnn_unit *u, fnn_prefetch *next)
{
    k->gradient(u, next);
}

static ptrdiff_t csr_f_panels(const fnn_kernels *k, ptrdiff_t n_out)
{
    return fnn_ceil_div(n_out, k->lanes);
}

/* CSR to CSC: a counting sort, so that each feature's entries keep the order of the rows. */
static void csr_prepare(const fnn_rows *block, ptrdiff_t n_in, const fnn_csc *csc)
{
    const fnn_data *data = block->data;
    const int64_t *rows = block->numbers;
    ptrdiff_t *start = csc->start + 1; /* shifted by one, so that filling leaves it in place */
#define INDEX(p, i) (data->index64 ? ((const int64_t *)(p))[i] : ((const int32_t *)(p))[i])
#define FOR_ENTRIES(j, row) \
    for (int64_t j = INDEX(data->indptr, row); j < INDEX(data->indptr, row + 1); j++)
    memset(csc->start, 0, (n_in + 2) * sizeof *start);
    for (ptrdiff_t b = 0; b < block->n; b++)
        FOR_ENTRIES(j, rows[b])
            start[INDEX(data->indices, j) + 1]++;
    for (ptrdiff_t i = 0; i < n_in; i++)
        start[i + 1] += start[i];
    for (ptrdiff_t b = 0; b < block->n; b++)
        FOR_ENTRIES(j, rows[b]) {
            const ptrdiff_t to = start[INDEX(data->indices, j)]++;
            csc->row[to] = (int32_t)b;
            csc->entry[to] = j;
        }
#undef FOR_ENTRIES
#undef INDEX
}

static void csr_forward(const fnn_kernels *k, const fnn_dense *d, const fnn_embedder *embedder,
                        const fnn_rows *block, ptrdiff_t first, ptrdiff_t panels, char *in,
                        char *out, char *slopes)
{
    (void)embedder;
    const size_t panel = d->n_out * k->lanes * k->size;
    for (ptrdiff_t p = 0; p < panels; p++) {
        const fnn_rows r = fnn_panel_rows(k, block, first + p);
        k->sparse_forward(d, &r, in, out + p * panel, slopes ? slopes + p * panel : NULL);
    }
}

static void csr_gradient(const fnn_kernels *k, const fnn_unit *u, fnn_prefetch *next)
{
    (void)next;
    k->sparse_gradient(u);
}

static void encoded_forward(const fnn_kernels *k, const fnn_dense *d, const fnn_embedder *embedder,
                            const fnn_rows *block, ptrdiff_t first, ptrdiff_t panels, char *in,
                            char *out, char *slopes)
{
    for (ptrdiff_t p = 0; p < panels; p++) {
        const fnn_rows r = fnn_panel_rows(k, block, first + p);
        k->embed(embedder->m, embedder->tables, &r, embedder->rows,
                 in + p * d->n_in * k->lanes * k->size);
    }
    k->forward(d, in, out, slopes, panels);
}

const fnn_input_kind fnn_input_kinds[FNN_N_INPUTS] = {
    [FNN_DENSE] = {.gathers = 1,
                   .prefetches = 1,
                   .f_panels = dense_f_panels,
                   .prepare = NULL,
                   .forward = dense_forward,
                   .gradient = dense_gradient},
    [FNN_CSR] = {.gathers = 0,
                 .f_panels = csr_f_panels,
                 .prepare = csr_prepare,
                 .forward = csr_forward,
                 .gradient = csr_gradient},
    [FNN_ENCODED] = {.gathers = 1,
                     .f_panels = dense_f_panels,
                     .forward = encoded_forward,
                     .gradient = dense_gradient},
};
