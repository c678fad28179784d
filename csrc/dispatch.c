/* What is there to choose from? Instruction sets that this CPU can run, entries of the lists. */
#include "kernels.h"
#include "team.h"

#define ISA(name) extern const fnn_isa fnn_isa_##name;
#include "isa/list.inc"
#undef ISA

#define ISA(name) &fnn_isa_##name,
static const fnn_isa *const isas[] = {
#include "isa/list.inc"
};
#undef ISA

#define LENGTH(array) ((int)(sizeof(array) / sizeof *(array)))

const fnn_isa *fnn_isa_at(int i)
{
    for (int j = 0; j < LENGTH(isas); j++)
        if (isas[j]->usable && isas[j]->usable() && i-- == 0)
            return isas[j];
    return NULL;
}

const char *fnn_isa_name(const fnn_isa *isa) { return isa->name; }

int fnn_isa_has(const fnn_isa *isa, int precision) { return isa->kernels[precision] != NULL; }

const fnn_kernels *fnn_allowed_kernels(const fnn_isa *isa, int precision)
{
    const fnn_kernels *k = isa->kernels[precision];
    return k->allowed && !k->allowed() ? k->instead : k;
}

double fnn_isa_flops(const fnn_isa *isa, int precision)
{
    return fnn_allowed_kernels(isa, precision)->flops;
}

int fnn_intel(int is)
{
    static fnn_atomic known = -1; /* threads may ask at once */
    if (is >= 0)
        fnn_store(&known, is);
#if (defined(__x86_64__) || defined(__amd64__)) && defined(__GNUC__)
    if (fnn_load(&known) < 0) {
        __builtin_cpu_init();
        fnn_store(&known, __builtin_cpu_is("intel") != 0);
    }
#endif
    return fnn_load(&known) > 0;
}

double fnn_fma_peak(const fnn_isa *isa, int precision, ptrdiff_t n)
{
    return isa->kernels[precision]->fma_peak(n);
}

void fnn_apply(const fnn_isa *isa, int precision, int function, void *values, ptrdiff_t n)
{
    isa->kernels[precision]->apply(function, values, n);
}

enum { OUTPUT, INPUT };
enum { VALUES, CODES };
#define ENTRY(name, keeps, place, n_settings) {#name, keeps, n_settings},
static const fnn_activation_entry activations[] = {ACTIVATIONS(ENTRY)};
#undef ENTRY
#define ENTRY(name, target, over_outputs, settings) {#name, target, settings},
static const fnn_loss_entry losses[] = {LOSSES(ENTRY)};
#undef ENTRY
#define ENTRY(name, n_slots, n_settings) {#name, n_slots, n_settings},
static const fnn_optimizer_entry optimizers[] = {OPTIMIZERS(ENTRY)};
#undef ENTRY
#define ENTRY(name) #name,
static const char *const links[] = {INVERSE_LINKS(ENTRY)};
static const char *const functions[] = {FUNCTIONS(ENTRY)};
#undef ENTRY
static const char *const precisions[] = {[FNN_F32] = "float32",
                                         [FNN_F64] = "float64",
                                         [FNN_BF16] = "bfloat16"};

#define AT(array, i) ((i) < LENGTH(array) ? &(array)[i] : NULL)
const fnn_activation_entry *fnn_activation_at(int code) { return AT(activations, code); }
const fnn_loss_entry *fnn_loss_at(int code) { return AT(losses, code); }
const fnn_optimizer_entry *fnn_optimizer_at(int code) { return AT(optimizers, code); }
const char *fnn_inverse_link_name(int i) { return i < LENGTH(links) ? links[i] : NULL; }
const char *fnn_function_name(int i) { return i < LENGTH(functions) ? functions[i] : NULL; }
const char *fnn_precision_name(int i) { return i < LENGTH(precisions) ? precisions[i] : NULL; }
