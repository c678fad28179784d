/* The kernels for AVX-512 (F, DQ, BW, VL), and for its BF16 and for AMX, which it goes with. */
#include "../kernels.h"

#if (defined(__x86_64__) || defined(__amd64__)) && defined(__GNUC__)
#include <immintrin.h>
#include "../target.h"
#define AVX512 "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"
#if FNN_COMPILES_AMX
#define AMX
#define BFLOAT16_INSTRUCTIONS
TARGET_BEGIN(AVX512 ",avx512bf16,amx-tile,amx-bf16")
#elif FNN_COMPILES_BFLOAT16
#define BFLOAT16_INSTRUCTIONS
TARGET_BEGIN(AVX512 ",avx512bf16")
#else
TARGET_BEGIN(AVX512)
#endif

#define ISA avx512
#define VB 64
#define MR 8
#define NR 3
#define KC 192

#define SQRT_32(v) _mm512_sqrt_ps((__m512)(v))
#define SQRT_64(v) _mm512_sqrt_pd((__m512d)(v))
#define RECIPROCAL_32(v) _mm512_rcp14_ps((__m512)(v))
#define RECIPROCAL_64(v) _mm512_rcp14_pd((__m512d)(v))
/* The second operand where either is NaN. */
#define MAX_0_32(v) _mm512_max_ps(_mm512_setzero_ps(), (__m512)(v))
#define MAX_0_64(v) _mm512_max_pd(_mm512_setzero_pd(), (__m512d)(v))
#define LOAD_PART_32(p, n) _mm512_maskz_loadu_ps((__mmask16)((1u << (n)) - 1), p)
#define LOAD_PART_64(p, n) _mm512_maskz_loadu_pd((__mmask8)((1u << (n)) - 1), p)
#define STORE_PART_32(p, v, n) _mm512_mask_storeu_ps(p, (__mmask16)((1u << (n)) - 1), (__m512)(v))
#define STORE_PART_64(p, v, n) _mm512_mask_storeu_pd(p, (__mmask8)((1u << (n)) - 1), (__m512d)(v))
#define STREAM(p, v) _mm512_stream_si512((__m512i *)(p), (__m512i)(v))
#define STREAMED _mm_sfence()

#ifdef AMX
#define AMX_PERMISSION .allowed = fnn_amx_allowed, .instead = &fnn_kernels_bfloat16_avx512_32
#else
#define AMX_PERMISSION .allowed = NULL
#endif
#define BITS 32
#include "../kernels.inc"
#define BITS 64
#include "../kernels.inc"
TARGET_END

static int usable(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

#if FNN_COMPILES_BFLOAT16
/* Intel's cores take twice the time of float32 for it. */
static int bf16_usable(void)
{
    return usable() && __builtin_cpu_supports("avx512bf16") && !__builtin_cpu_is("intel");
}
#elif defined(FNN_STAND_IN)
#define bf16_usable usable
#else
#define bf16_usable NULL
#endif

#ifdef AMX
static int amx_usable(void) { return usable() && fnn_amx_usable(); }
#elif defined(FNN_STAND_IN)
#define amx_usable usable
#else
#define amx_usable NULL
#endif

const fnn_isa fnn_isa_avx512 = FNN_ISA(avx512, usable, avx512, bfloat16);
const fnn_isa fnn_isa_avx512_bf16 = FNN_ISA(avx512_bf16, bf16_usable, avx512, dots);
const fnn_isa fnn_isa_amx = FNN_ISA(amx, amx_usable, avx512, amx);
#else
const fnn_isa fnn_isa_avx512 = {.name = "avx512"};
const fnn_isa fnn_isa_avx512_bf16 = {.name = "avx512_bf16"};
const fnn_isa fnn_isa_amx = {.name = "amx"};
#endif
