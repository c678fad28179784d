/* How does a network learn? train and gradient, written once over the kernels of any instruction
 * set.
 *
 * A batch is worked in blocks, and a block in two phases. In phase A rows are owned: each thread
 * takes a range of panels forward, through the loss and backward. In phase B parameters are: a unit
 * is some rows of one layer's weights, or its bias, whose gradient is summed over the block and
 * goes straight into the optimizer; or, where a batch's gradient is clipped, waits until its norm is
 * known, in a third phase. Each number is made by one thread in one order, so that neither
 * the number of threads nor of members changes a bit, and two barriers a block are all that threads
 * wait for, one more where a gradient is clipped.
 */
#include <math.h>

#include "engine.h"

enum { ROWS_IN_CACHE = 1 << 20 };

/* One thread at work on one member. */
typedef struct {
    fnn_engine *e;
    const fnn_task *task;
    char *space;        /* its workspace */
    int me, n;          /* its number among those that share the workspace */
    char *params, *slots, *grad; /* the member's */
    const int64_t *rows_end;
    uint32_t seed, step; /* the member's seed, the number of the step */
    int n_slots;
    fnn_rule rule;
} worker;

static ptrdiff_t batch_size(const fnn_task *task)
{
    return task->plan ? task->plan->batch_size : task->n_visits;
}

static double *doubles(const worker *w, size_t place) { return (double *)(w->space + place); }

static char *partial(const worker *w)
{
    return w->space + w->e->partials + w->me * w->e->partial_size;
}

static fnn_csc csc_of(const worker *w)
{
    const fnn_engine *e = w->e;
    return (fnn_csc){(ptrdiff_t *)(w->space + e->csc_start), (int32_t *)(w->space + e->csc_row),
                     (int64_t *)(w->space + e->csc_entry)};
}

static fnn_embedder embedder_of(const worker *w)
{
    const fnn_engine *e = w->e;
    return fnn_embedder_at(e, w->space + e->embedders + w->me * e->embedder_size);
}

static fnn_dense *dense_of(const worker *w, ptrdiff_t i)
{
    const fnn_engine *e = w->e;
    return (fnn_dense *)(w->space + e->denses) + w->me * e->n_layers + i;
}

/* Layers as kernels take them, once for a member: a small network's step would be a tenth longer. */
static void set_layers(const worker *w)
{
    const fnn_engine *e = w->e;
    for (ptrdiff_t i = 0; i < e->n_layers; i++) {
        const fnn_engine_layer *l = &e->layers[i];
        fnn_dense *d = dense_of(w, i);
        *d = fnn_dense_of(e, w->params, i);
        if (e->k->pack) {
            d->packed = w->space + l->packed;
            d->packed_back = l->packed_back ? w->space + l->packed_back : NULL;
            d->scratch = w->space + e->operands + w->me * e->operands_size;
        }
    }
}

/* The hash of where a step draws for a layer. */
static uint32_t key_of(const worker *w, ptrdiff_t layer)
{
    const uint32_t numbers[] = {w->seed, w->step, (uint32_t)layer};
    uint32_t key = 0;
    for (int i = 0; i < 3; i++) {
        key ^= numbers[i];
        MIX(key);
    }
    return key;
}

/* Phase A for panels [first, end) of a block, whose first row is number `row` of the batch. */
static void forward_and_back(const worker *w, const fnn_rows *block, ptrdiff_t row, ptrdiff_t first,
                             ptrdiff_t end)
{
    if (first == end) /* fewer panels than threads */
        return;
    const fnn_engine *e = w->e;
    const fnn_kernels *k = e->k;
    const fnn_input_kind *input = &fnn_input_kinds[block->data->input];
    const size_t panel_size = k->lanes * k->size; /* of one feature */
    const ptrdiff_t last = e->n_layers - 1, panels = end - first;
    double *losses = doubles(w, e->panel_loss), *weights = doubles(w, e->panel_weight);
    const fnn_embedder embedder = embedder_of(w);
#define PANEL(place, features) (w->space + (place) + first * (features) * panel_size)
    for (ptrdiff_t i = 0; i <= last; i++) {
        const fnn_engine_layer *l = &e->layers[i];
        const fnn_dense *d = dense_of(w, i);
        char *out = PANEL(i < last ? e->layers[i + 1].in : l->delta, l->n_out);
        char *slopes = l->slope == FNN_KEPT_SLOPES ? PANEL(l->slopes, l->n_out) : NULL;
        if (i == 0)
            input->forward(k, d, &embedder, block, first, panels,
                           input->gathers ? PANEL(l->in, l->n_in) : partial(w), out, slopes);
        else
            k->forward(d, PANEL(l->in, l->n_in), out, slopes, panels);
        if (l->dropout) {
            const fnn_dropout drop = {l->dropout, key_of(w, i), row + first * k->lanes};
            k->drop(&drop, d, l->own_slope, out, slopes, panels);
        }
    }
    const fnn_engine_layer *top = &e->layers[last];
    for (ptrdiff_t p = first; p < end; p++) {
        const fnn_rows r = fnn_panel_rows(k, block, p);
        char *raw = w->space + top->delta + p * top->n_out * panel_size;
        weights[p] = 0;
        losses[p] = k->loss(&e->criterion, top->n_out, &r, raw, partial(w), &weights[p]);
    }
    /* Deltas that no layer below takes are turned at once, where kernels can. */
    const ptrdiff_t bottom = e->embedding.n_out ? 0 : 1;
    const int turns = k->backward_turned != NULL;
    for (ptrdiff_t i = last; i >= 0; i--) {
        const fnn_engine_layer *l = &e->layers[i], *below = i ? l - 1 : NULL;
        if (i == last || i >= bottom || !turns)
            /* Not `gradient`, but sparse_gradient reads what has not been gathered. */
            (i > 0 || input->gathers ? k->transpose_delta : k->transpose_panels)(
                w->space + l->delta, l->n_out, first, panels, w->space + l->delta_f, l->n_f,
                e->block, w->n > 1);
        if (i < bottom)
            break;
        const fnn_dense *d = dense_of(w, i);
        const int slope = below ? below->slope : FNN_ACTIVATION_identity;
        const char *delta = PANEL(l->delta, l->n_out);
        const char *kept = PANEL(slope == FNN_KEPT_SLOPES ? below->slopes : l->in, l->n_in);
        char *to = PANEL(below ? below->delta : e->below, l->n_in);
        const fnn_turned f = {w->space + (below ? below->delta_f : e->below_f),
                              below ? below->n_f : fnn_ceil_div(l->n_in, k->lanes), e->block,
                              first, w->n > 1};
        if (i == bottom && turns) {
            k->backward_turned(d, delta, slope, kept, to, panels, &f);
            continue;
        }
        k->backward(d, delta, slope, kept, to, panels);
        if (!below)
            k->transpose_panels(w->space + e->below, l->n_in, first, panels, f.f, f.n, f.rows,
                                f.shared);
    }
#undef PANEL
}

/* What a thread works on at a time in phase B: rows [k0, k1) of a layer's weights, its bias, a
 * numeric column of the embedding, or what else its scale has. */
typedef struct {
    enum { WEIGHTS, BIAS, COLUMN, INDICATORS } kind;
    ptrdiff_t layer, k0, k1, column;
    int n_parts;
    struct {
        ptrdiff_t place, size; /* in the parameter vector */
        const fnn_segment *segment; /* NULL without a plan */
    } parts[4];
} unit;

static void add_part(unit *u, ptrdiff_t place, ptrdiff_t size, const fnn_segment *segments,
                     ptrdiff_t i)
{
    u->parts[u->n_parts].place = place;
    u->parts[u->n_parts].size = size;
    u->parts[u->n_parts++].segment = segments ? &segments[i] : NULL;
}

static void find_unit_of_embedding(const fnn_engine *e, const fnn_plan *plan, ptrdiff_t f, unit *u)
{
    const fnn_embedding *m = &e->embedding;
    const fnn_segment *segments = plan ? plan->embedding : NULL;
    u->kind = f < m->n_numeric ? COLUMN : INDICATORS;
    u->column = f;
    if (u->kind == COLUMN) {
        const ptrdiff_t first = m->starts[f], n_bins = m->starts[f + 1] - first;
        add_part(u, m->bins + first * m->size, n_bins * m->size, segments, 0);
        add_part(u, m->linear + f * m->size, m->size, segments, 1);
        add_part(u, m->bias + f * m->size, m->size, segments, 2);
    }
    const ptrdiff_t size = u->kind == COLUMN ? m->size : m->n_indicators + m->n_hot;
    add_part(u, m->scale + f * m->size, size, segments, 3);
}

/* Sets what its kind has: clearing and copying a unit takes a tenth of a small network's step. */
static void find_unit(const fnn_engine *e, const fnn_plan *plan, ptrdiff_t number, unit *u)
{
    u->n_parts = 0;
    if (e->embedding.n_out && number >= e->first_column) {
        find_unit_of_embedding(e, plan, number - e->first_column, u);
        return;
    }
    u->layer = e->n_layers - 1;
    while (number < e->layers[u->layer].first_unit)
        u->layer--;
    const fnn_engine_layer *l = &e->layers[u->layer];
    u->k0 = (number - l->first_unit) * l->unit_rows;
    u->k1 = fnn_min(l->n_in, u->k0 + l->unit_rows);
    u->kind = u->k0 >= l->n_in ? BIAS : WEIGHTS;
    if (u->kind == BIAS)
        add_part(u, l->biases, l->n_out, plan ? plan->biases : NULL, u->layer);
    else
        add_part(u, l->weights + u->k0 * l->n_out, (u->k1 - u->k0) * l->n_out,
                 plan ? plan->weights : NULL, u->layer);
}

static int trains(const unit *u)
{
    for (int i = 0; i < u->n_parts; i++)
        if (u->parts[i].segment->trainable)
            return 1;
    return 0;
}

/* What a batch's step takes, before a segment's factors. */
typedef struct {
    const fnn_step *numbers;
    double scale; /* 1 / the batch's weight sum, known after its last block's phase A */
} step;

/* A segment's rule in this step: what differs from unit to unit is set anew, not copied. */
static void set_rule(fnn_rule *rule, const fnn_plan *plan, const fnn_segment *segment,
                     const step *s)
{
    const double rate = s->numbers->rate * segment->rate;
    rule->rate = s->numbers->effective_rate * segment->rate;
    rule->keep = 1 - rate * (plan->weight_decay * segment->decay);
    rule->epsilon = segment->epsilon;
    rule->alpha = plan->alpha * segment->penalty;
    rule->l1 = plan->l1 * segment->penalty;
    rule->scale = s->scale;
    rule->share = s->numbers->share;
}

/* Where the gradients of a unit's parts stand. */
static void gradients_of(const worker *w, const unit *u, void *g[4])
{
    const size_t size = w->e->k->size;
    char *scratch = partial(w);
    for (int i = 0; i < u->n_parts; i++) {
        const size_t at = u->parts[i].place * size;
        g[i] = w->grad ? w->grad + at : w->e->sums ? w->space + w->e->sums + at : scratch;
        scratch += u->parts[i].size * size;
    }
}

static void pack(const worker *w, const unit *u)
{
    if (w->e->k->pack && u->kind == WEIGHTS) {
        const fnn_dense *d = dense_of(w, u->layer);
        w->e->k->pack(d, u->k0, u->k1);
    }
}

/* The end of a batch: a unit's update, or before it its share in the gradient's norm. */
static void finish_unit(worker *w, ptrdiff_t number, const unit *u, const step *s, int measure)
{
    const fnn_engine *e = w->e;
    const fnn_kernels *k = e->k;
    double total = 0;
    void *g[4];
    gradients_of(w, u, g);
    for (int i = 0; i < u->n_parts; i++) {
        const ptrdiff_t size = u->parts[i].size;
        const size_t at = u->parts[i].place * k->size;
        char *params = w->params + at;
        set_rule(&w->rule, w->task->plan, u->parts[i].segment, s);
        if (!u->parts[i].segment->trainable)
            total += measure ? 0 : k->penalty(&w->rule, params, size);
        else if (measure)
            total += k->gradient_squares(&w->rule, params, g[i], size);
        else {
            total += k->update(&w->rule, params, w->slots + at, e->n_params, g[i], size);
            pack(w, u);
        }
    }
    doubles(w, measure ? e->unit_squares : e->unit_penalty)[number] = total;
}

/* A unit's gradient over a block. */
static void find_gradient(const worker *w, const unit *u, const fnn_rows *block, int add,
                          fnn_prefetch *next)
{
    const fnn_engine *e = w->e;
    const fnn_kernels *k = e->k;
    void *g[4];
    gradients_of(w, u, g);
    if (u->kind == COLUMN) {
        k->embedding_column(&e->embedding, w->params, block, w->space + e->below_f, e->block,
                            u->column, add, embedder_of(w).rows, g);
    } else if (u->kind == INDICATORS) {
        k->indicator_scale(&e->embedding, block, w->space + e->below_f, e->block, add, g[0]);
    } else {
        const fnn_engine_layer *l = &e->layers[u->layer];
        const fnn_dense *d = dense_of(w, u->layer);
        const fnn_unit of = {.d = d,
                             .a = w->space + l->in,
                             .values = block->data->values,
                             .csc = csc_of(w),
                             .delta = w->space + l->delta,
                             .delta_f = w->space + l->delta_f,
                             .n = block->n,
                             .f_rows = e->block,
                             .n_f = k->backward_turned ? l->n_f : 0,
                             .k0 = u->k0,
                             .k1 = u->k1,
                             .add = add,
                             .g = g[0]};
        if (u->kind == BIAS)
            k->bias_gradient(&of);
        else if (u->layer == 0)
            fnn_input_kinds[block->data->input].gradient(k, &of, next);
        else
            k->gradient(&of, next);
    }
}

/* Phase B for one unit: its gradient over a block and, at the end of a batch, what follows. */
static void work_on_unit(worker *w, ptrdiff_t number, const fnn_rows *block, const step *s, int add,
                         int ends, fnn_prefetch *next)
{
    const fnn_engine *e = w->e;
    const fnn_plan *plan = w->task->plan;
    unit u;
    find_unit(e, plan, number, &u);
    if (plan && !trains(&u))
        return;
    const size_t at = u.parts[0].place * e->k->size;
    next->n_changed = 0;
    if (ends && plan) {
        next->changed[next->n_changed++] = w->params + at;
        for (ptrdiff_t i = 0; i < fnn_min(w->n_slots, PREFETCHED_SLOTS); i++)
            next->changed[next->n_changed++] = w->slots + at + i * e->n_params * e->k->size;
    }
    next->n_prefetched = e->intel ? 0 : next->n_changed;
    find_gradient(w, &u, block, add, next);
    if (ends && plan)
        finish_unit(w, number, &u, s, plan->max_norm != 0);
}

/* Units that do not train still count in the penalty, the same in each step, but not in a norm. */
static void penalise_frozen(worker *w)
{
    const fnn_engine *e = w->e;
    const step none = {.numbers = w->task->steps};
    for (ptrdiff_t number = 0; number < e->n_units; number++) {
        unit u;
        find_unit(e, w->task->plan, number, &u);
        if (trains(&u))
            continue;
        finish_unit(w, number, &u, &none, 0);
        doubles(w, e->unit_squares)[number] = 0;
    }
}

/* Packs all weights, of which each thread takes its share. */
static void pack_all(worker *w)
{
    const fnn_engine *e = w->e;
    for (ptrdiff_t number = w->me; e->k->pack && number < e->n_units; number += w->n) {
        unit u;
        find_unit(e, w->task->plan, number, &u);
        pack(w, &u);
    }
    if (e->k->pack)
        fnn_barrier(&w->e->team, w->n);
}

static double sum_of(const double *x, ptrdiff_t n)
{
    double sum = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

/* This thread's share of the next block's rows, spread evenly over its share of phase B. */
static fnn_prefetch prefetch_from(const worker *w, const int64_t *rows)
{
    const fnn_engine *e = w->e;
    const ptrdiff_t left = w->rows_end - rows;
    const ptrdiff_t n = fnn_min(fnn_min(e->block, batch_size(w->task)), left);
    const size_t row_size = e->layers[0].n_in * e->k->size;
    fnn_prefetch next = {.acquire = w->n > 1};
    const int in_cache = w->task->n_visits * row_size <= ROWS_IN_CACHE;
    if (fnn_input_kinds[w->task->data.input].prefetches && n > 0 && !in_cache) {
        next.x = w->task->data.values;
        next.row_size = row_size;
        next.row = rows + n * w->me / w->n;
        next.end = rows + n * (w->me + 1) / w->n;
        next.pace = (ptrdiff_t)(n * (row_size / 64 + 1)) / e->gradient_steps + 1;
    }
    return next;
}

/* A gradient whose norm was asked for is scaled down to the plan's, and the units are updated. */
static void clip_and_update(worker *w, step *s)
{
    fnn_engine *e = w->e;
    fnn_queue *queues = (fnn_queue *)(w->space + e->queues);
    const double norm = sqrt(sum_of(doubles(w, e->unit_squares), e->n_units));
    if (norm > w->task->plan->max_norm)
        s->scale *= w->task->plan->max_norm / norm;
    /* To the others a queue is empty until its thread has filled it again. */
    fnn_store(&queues[w->me].next, (int)(e->n_units * w->me / w->n));
    int number;
    while ((number = fnn_next(queues, w->me, w->n)) >= 0) {
        unit u;
        find_unit(e, w->task->plan, number, &u);
        if (trains(&u))
            finish_unit(w, number, &u, s, 0);
    }
    fnn_barrier(&e->team, w->n);
}

/* One batch of n rows: its loss and weight sums; with a plan, the loss has the penalty. */
static void work_on_batch(worker *w, const int64_t *rows, ptrdiff_t n, step *s, double *loss,
                          double *weight)
{
    fnn_engine *e = w->e;
    const fnn_task *task = w->task;
    const fnn_input_kind *input = &fnn_input_kinds[task->data.input];
    fnn_queue *queues = (fnn_queue *)(w->space + e->queues);
    if (e->embedding.n_out)
        e->k->embedding_tables(&e->embedding, w->params, NULL, embedder_of(w).tables);
    *loss = *weight = 0;
    for (ptrdiff_t begin = 0; begin < n; begin += e->block) {
        const fnn_rows block = {&task->data, rows + begin, fnn_min(e->block, n - begin)};
        const ptrdiff_t panels = fnn_ceil_div(block.n, e->k->lanes);
        fnn_store(&queues[w->me].next, (int)(e->n_units * w->me / w->n));
        queues[w->me].end = (int)(e->n_units * (w->me + 1) / w->n);
        if (w->me == 0 && input->prepare) {
            const fnn_csc csc = csc_of(w);
            input->prepare(&block, e->layers[0].n_in, &csc);
        }
        forward_and_back(w, &block, begin, panels * w->me / w->n, panels * (w->me + 1) / w->n);
        fnn_barrier(&e->team, w->n);
        *loss += sum_of(doubles(w, e->panel_loss), panels);
        *weight += sum_of(doubles(w, e->panel_weight), panels);
        s->scale = *weight == 0 ? 0 : 1 / *weight;
        fnn_prefetch next = prefetch_from(w, rows + begin + block.n);
        int number;
        while ((number = fnn_next(queues, w->me, w->n)) >= 0)
            work_on_unit(w, number, &block, s, begin > 0, begin + block.n == n, &next);
        fnn_barrier(&e->team, w->n);
    }
    if (task->plan && task->plan->max_norm)
        clip_and_update(w, s);
    if (w->me == 0 && task->plan)
        *loss += sum_of(doubles(w, e->unit_penalty), e->n_units);
}

static void work_on_member(worker *w, ptrdiff_t member)
{
    const fnn_engine *e = w->e;
    const fnn_task *task = w->task;
    const ptrdiff_t size = e->n_params * e->k->size, batch = batch_size(task);
    const fnn_step *numbers = NULL;
    w->params = (char *)task->params + member * size;
    w->seed = task->seeds[member];
    w->step = (uint32_t)task->step;
    if (task->plan) {
        w->n_slots = fnn_optimizer_at(task->plan->optimizer)->n_slots + task->plan->averages;
        w->slots = (char *)task->slots + member * w->n_slots * size;
        numbers = task->steps + member * task->steps_stride;
        w->rule.optimizer = task->plan->optimizer;
        w->rule.reciprocal = e->intel;
        for (int i = 0; i < FNN_MAX_SETTINGS; i++)
            w->rule.settings[i] = task->plan->settings[i];
        if (w->me == 0)
            penalise_frozen(w);
    } else {
        w->grad = (char *)task->grad + member * size;
    }
    set_layers(w);
    pack_all(w);
    const int64_t *rows = task->rows + member * task->rows_stride;
    w->rows_end = rows + task->n_passes * task->n_visits;
    for (ptrdiff_t pass = 0; pass < task->n_passes; pass++) {
        double sum = 0, loss = 0, weight = 0;
        for (ptrdiff_t begin = 0; begin < task->n_visits; begin += batch, w->step++) {
            const ptrdiff_t n = fnn_min(batch, task->n_visits - begin);
            step s = {.numbers = task->plan ? numbers++ : NULL};
            work_on_batch(w, rows, n, &s, &loss, &weight);
            sum += weight == 0 ? 0 : n * (loss / weight);
            rows += n;
        }
        if (w->me > 0)
            continue;
        if (task->plan) {
            task->losses[member * task->n_passes + pass] = sum / task->n_visits;
        } else {
            task->losses[member] = loss;
            task->weight_sums[member] = weight;
        }
    }
}

void fnn_start(fnn_engine *e, int n_threads) { fnn_set_and_wake(&e->team, &e->team.n, n_threads); }

void fnn_work(fnn_engine *e, const fnn_task *task, int me)
{
    int n_threads = fnn_wait_while(&e->team, &e->team.n, 0);
    if (n_threads == FNN_PROBING) {
        if (me == 1)
            fnn_answer_probe(&e->team);
        n_threads = fnn_wait_while(&e->team, &e->team.n, FNN_PROBING);
    }
    if (me >= n_threads)
        return; /* not needed, or the call was given up before it began */
    const uint64_t before = e->k->enter();
    worker w = {.e = e, .task = task, .space = e->workspaces, .me = me, .n = n_threads};
    if (e->n_workspaces > 1) { /* each thread takes whole members */
        w.space += me * e->workspace_size;
        w.me = 0;
        w.n = 1;
        ptrdiff_t member;
        while ((member = fnn_add(&e->next_member, 1)) < task->n_members)
            work_on_member(&w, member);
    } else {
        for (ptrdiff_t member = 0; member < task->n_members; member++)
            work_on_member(&w, member);
    }
    e->k->leave(before);
}
