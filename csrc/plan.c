/* What does an engine remember, how much scratch does a task need, and how many threads? */
#include <stdlib.h>
#include <string.h>

#include "engine.h"

/* What a step with several threads waits for, in lines that come from another core: for each thread,
 * and of the lines that others have written. Fitted to steps of 24 to 4600 us, with lines of 33 and
 * of 150 ns. */
#define WAITS 100
#define SHARE_WAITED_FOR 0.11
#define CYCLES_PER_NS 3.3

enum { UNIT_ROWS = 32, UNIT_BYTES = 1 << 18 };

fnn_engine *fnn_engine_new(const fnn_isa *isa, int precision, const fnn_network *network)
{
    fnn_engine *e = calloc(1, sizeof *e);
    fnn_engine_layer *layers = calloc(network->n_layers, sizeof *layers);
    const int n_fixed = fnn_loss_at(network->loss)->n_settings;
    const ptrdiff_t n_out = network->layers[network->n_layers - 1].n_out;
    const size_t n_settings = n_fixed == PER_OUTPUT ? n_out : n_fixed;
    double *settings = calloc(n_settings + 1, sizeof *settings); /* never none: NULL is an error */
    if (!e || !layers || !settings) {
        free(e);
        free(layers);
        free(settings);
        return NULL;
    }
    for (size_t i = 0; i < n_settings; i++)
        settings[i] = network->loss_settings[i];
    const fnn_kernels *k = e->k = fnn_allowed_kernels(isa, precision);
    e->answers = isa->kernels[precision == FNN_BF16 ? FNN_F32 : precision];
    e->criterion = (fnn_criterion){network->loss, settings, n_fixed == PER_OUTPUT,
                                   network->loss_function};
    e->inverse_link = network->inverse_link;
    e->intel = fnn_intel(-1) && k->lanes * k->size == 64;
    e->n_layers = network->n_layers;
    e->n_params = network->n_params;
    e->layers = layers;
    ptrdiff_t partial = 0;
    for (ptrdiff_t i = 0; i < e->n_layers; i++) {
        const fnn_layer *from = &network->layers[i];
        fnn_engine_layer *l = &layers[i];
        l->n_in = from->n_in;
        l->n_out = from->n_out;
        l->activation = from->activation;
        l->dropout = from->dropout;
        memcpy(l->settings, from->settings, sizeof l->settings);
        l->function = from->function;
        const int keeps_input = fnn_activation_at(l->activation)->keeps_input || l->function;
        l->own_slope = keeps_input ? FNN_KEPT_SLOPES : l->activation;
        l->slope = l->dropout ? FNN_KEPT_SLOPES : l->own_slope;
        l->weights = from->weights;
        l->biases = from->biases;
        e->n_weights += l->n_in * l->n_out;
        const ptrdiff_t in_cache = UNIT_BYTES / (ptrdiff_t)(l->n_out * k->size) / 8 * 8;
        l->unit_rows = fnn_min(UNIT_ROWS, fnn_max(k->mr, in_cache));
        l->first_unit = e->n_units;
        e->n_units += fnn_ceil_div(l->n_in, l->unit_rows) + 1;
        e->widths += l->n_in + l->n_out;
        e->max_width = fnn_max(e->max_width, fnn_max(l->n_in, l->n_out));
        partial = fnn_max(partial, l->unit_rows * l->n_out);
        partial = fnn_max(partial, k->lanes * (l->n_out + k->lanes)); /* see kernels.h */
    }
    if (network->embedding) {
        const fnn_embedding *m = &e->embedding;
        e->embedding = *network->embedding;
        ptrdiff_t most_bins = 0;
        for (ptrdiff_t f = 0; f < m->n_numeric; f++)
            most_bins = fnn_max(most_bins, m->starts[f + 1] - m->starts[f]);
        e->first_column = e->n_units;
        e->n_units += m->n_numeric + 1;
        partial = fnn_max(partial, fnn_max((most_bins + 3) * m->size, m->n_indicators + m->n_hot));
        const ptrdiff_t numbers = 2 * m->n_bins * m->size + m->n_indicators + m->n_hot;
        const ptrdiff_t scratch = fnn_max(k->lanes * m->n_out, 2 * most_bins * m->size);
        e->tables_size = fnn_ceil_div(numbers * k->size, 64) * 64;
        e->embedder_size = e->tables_size + fnn_ceil_div(scratch * k->size, 64) * 64;
    }
    e->partial_size = fnn_ceil_div(partial * k->size, 64) * 64;
    return e;
}

void fnn_engine_free(fnn_engine *e)
{
    if (e) {
        free(e->memory);
        free(e->layers);
        free((double *)e->criterion.settings);
        free(e);
    }
}

static ptrdiff_t batch_rows(const fnn_task *task)
{
    return task->plan ? fnn_min(task->plan->batch_size, task->n_visits) : task->n_visits;
}

int fnn_threads(const fnn_engine *e, const fnn_task *task, int max)
{
    const ptrdiff_t rows = batch_rows(task);
    const ptrdiff_t panels = fnn_ceil_div(fnn_min(rows, MAX_BLOCK), e->k->lanes);
    /* Cycles of one core: the products, and the optimizer's pass. */
    const double step = (double)e->n_weights * rows * 6 / e->k->flops + 1.5 * e->n_params;
    const double steps = (double)task->n_passes * fnn_ceil_div(task->n_visits, fnn_max(rows, 1));
    if (step * steps * task->n_members < 3e6) /* done before a thread has started */
        return 1;
    /* Parameters, and what is written by rows and read by columns: lines that others write. */
    const double lines = (double)(e->n_params + rows * e->widths) * e->k->size / 64;
    const double cost = fnn_line_cost(-1) * CYCLES_PER_NS;
    ptrdiff_t n = 1;
    while (n < fnn_min(max, panels)) {
        const double less_work = step / n - step / (n + 1);
        const double waits = WAITS * (n > 1 ? 1 : 2) + SHARE_WAITED_FOR * lines / (n * (n + 1));
        if (0.6 * less_work < waits * cost) /* a margin: cores and their neighbours change */
            break;
        n++;
    }
    return (int)fnn_max(1, fnn_min(max, fnn_max(task->n_members, n)));
}

/* Adds an array to a workspace; returns its place. */
static size_t arena_add(size_t *total, size_t size)
{
    const size_t place = *total;
    *total += (size + 63) / 64 * 64;
    return place;
}

int fnn_prepare(fnn_engine *e, const fnn_task *task, int n_threads, size_t *bytes)
{
    const fnn_kernels *k = e->k;
    const fnn_input_kind *input = &fnn_input_kinds[task->data.input];
    const ptrdiff_t rows = batch_rows(task);
    const ptrdiff_t panels = fnn_ceil_div(fnn_max(1, fnn_min(rows, MAX_BLOCK)), k->lanes);
    e->block = panels * k->lanes;
    /* A thread takes whole members where there are enough of them: no thread waits for another. */
    e->n_workspaces = task->n_members >= n_threads ? n_threads : 1;
    e->gradient_steps = 1;
    size_t total = 0;
    for (ptrdiff_t i = 0; i < e->n_layers; i++) {
        fnn_engine_layer *l = &e->layers[i];
        e->gradient_steps += fnn_ceil_div(l->n_in, k->mr) *
                             fnn_ceil_div(k->f_panels(l->n_out), k->nr) * panels;
        l->n_f = i == 0 ? input->f_panels(k, l->n_out) : k->f_panels(l->n_out);
        if (i > 0 || input->gathers)
            l->in = arena_add(&total, e->block * l->n_in * k->size);
        if (l->slope == FNN_KEPT_SLOPES)
            l->slopes = arena_add(&total, e->block * l->n_out * k->size);
        l->delta = arena_add(&total, e->block * l->n_out * k->size);
        l->delta_f = arena_add(&total, e->block * l->n_f * k->lanes * k->size);
    }
    const int team_size = e->n_workspaces > 1 ? 1 : n_threads;
    for (ptrdiff_t i = 0; k->packed_size && i < e->n_layers; i++) {
        fnn_engine_layer *l = &e->layers[i];
        l->packed = arena_add(&total, k->packed_size(l->n_in, l->n_out));
        if (i > 0 || e->embedding.n_out)
            l->packed_back = arena_add(&total, k->packed_size(l->n_out, l->n_in));
    }
    if (k->packed_size) { /* panels of a layer's inputs or outputs, or a unit's inputs */
        e->operands_size = k->packed_size(e->max_width, e->block) + k->packed_size(e->block, UNIT_ROWS);
        e->operands = arena_add(&total, e->operands_size * team_size);
    }
    e->denses = arena_add(&total, e->n_layers * sizeof(fnn_dense) * team_size);
    e->partials = arena_add(&total, e->partial_size * team_size);
    if (e->embedding.n_out) {
        const ptrdiff_t n_in = e->embedding.n_out, n_f = fnn_ceil_div(n_in, k->lanes);
        e->embedders = arena_add(&total, e->embedder_size * team_size);
        e->below = arena_add(&total, e->block * n_in * k->size);
        e->below_f = arena_add(&total, e->block * n_f * k->lanes * k->size);
    }
    e->queues = arena_add(&total, team_size * sizeof(fnn_queue));
    /* Gradients outlive their unit where a batch has several blocks, or its norm is asked for. */
    const int keeps_sums = task->plan && (rows > e->block || task->plan->max_norm);
    e->sums = keeps_sums ? arena_add(&total, e->n_params * k->size) : 0;
    e->panel_loss = arena_add(&total, panels * sizeof(double));
    e->panel_weight = arena_add(&total, panels * sizeof(double));
    e->unit_penalty = arena_add(&total, e->n_units * sizeof(double));
    e->unit_squares = arena_add(&total, e->n_units * sizeof(double));
    if (input->prepare) {
        const size_t entries = (size_t)e->block * task->data.max_in_row;
        e->csc_start = arena_add(&total, (e->layers[0].n_in + 2) * sizeof(ptrdiff_t));
        e->csc_row = arena_add(&total, entries * sizeof(int32_t));
        e->csc_entry = arena_add(&total, entries * sizeof(int64_t));
    }
    e->workspace_size = total;
    *bytes = total * e->n_workspaces + 64;
    if (*bytes > e->memory_size) {
        free(e->memory);
        e->memory = malloc(*bytes);
        e->memory_size = e->memory ? *bytes : 0;
        if (!e->memory)
            return FNN_NO_MEMORY;
    }
    e->workspaces = (char *)(((uintptr_t)e->memory + 63) / 64 * 64);
    fnn_store(&e->next_member, 0);
    memset(&e->team, 0, sizeof e->team);
    return FNN_OK;
}
