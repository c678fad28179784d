/* Which kernels can this CPU run? A table, best first; the first usable row is the default. */
#include "kernels.h"

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__amd64__))
static int has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
static int has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
extern const fnn_kernels fnn_kernels_avx512_32, fnn_kernels_avx512_64, fnn_kernels_avx2_32, fnn_kernels_avx2_64;
extern const fnn_kernels fnn_kernels_avx512_lowered_32, fnn_kernels_avx512_lowered_64;
#endif
#if defined(__GNUC__) && defined(__aarch64__)
extern const fnn_kernels fnn_kernels_neon_32, fnn_kernels_neon_64;
#endif
extern const fnn_kernels fnn_kernels_generic_32, fnn_kernels_generic_64;

static int always(void) { return 1; }

static const fnn_isa isas[] = {
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__amd64__))
    {"avx512", has_avx512, &fnn_kernels_avx512_32, &fnn_kernels_avx512_64},
    {"avx2", has_avx2, &fnn_kernels_avx2_32, &fnn_kernels_avx2_64},
    {"avx512_lowered", has_avx2, &fnn_kernels_avx512_lowered_32, &fnn_kernels_avx512_lowered_64},
#endif
#if defined(__GNUC__) && defined(__aarch64__)
    {"neon", always, &fnn_kernels_neon_32, &fnn_kernels_neon_64},
#endif
    {"generic", always, &fnn_kernels_generic_32, &fnn_kernels_generic_64},
};

const fnn_isa *fnn_isa_at(int i)
{
    for (size_t j = 0; j < sizeof isas / sizeof *isas; j++)
        if (isas[j].usable() && i-- == 0)
            return &isas[j];
    return NULL;
}

const char *fnn_isa_name(const fnn_isa *isa) { return isa->name; }

static const fnn_kernels *kernels(const fnn_isa *isa, int is_double) { return is_double ? isa->twice : isa->single; }

int fnn_isa_lanes(const fnn_isa *isa, int is_double) { return kernels(isa, is_double)->lanes; }

double fnn_spin(const fnn_isa *isa, int is_double, ptrdiff_t n) { return kernels(isa, is_double)->spin(n); }

void fnn_apply(const fnn_isa *isa, int is_double, int function, void *values, ptrdiff_t n)
{
    kernels(isa, is_double)->apply(function, values, n);
}
