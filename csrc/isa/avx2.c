/* The kernels for AVX2 with fused multiply-add. */
#include "../kernels.h"

#if (defined(__x86_64__) || defined(__amd64__)) && defined(__GNUC__)
#include <immintrin.h>
#include "../target.h"
TARGET_BEGIN("avx2,fma")

#define ISA avx2
#define VB 32
#define MR 4
#define NR 3
#define KC 256

#define SQRT_32(v) _mm256_sqrt_ps((__m256)(v))
#define SQRT_64(v) _mm256_sqrt_pd((__m256d)(v))
/* The second operand where either is NaN. */
#define MAX_0_32(v) _mm256_max_ps(_mm256_setzero_ps(), (__m256)(v))
#define MAX_0_64(v) _mm256_max_pd(_mm256_setzero_pd(), (__m256d)(v))
static const int32_t lanes_32[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
static const int64_t lanes_64[8] = {-1, -1, -1, -1};
#define MASK_32(n) _mm256_loadu_si256((const __m256i *)(lanes_32 + 8 - (n)))
#define MASK_64(n) _mm256_loadu_si256((const __m256i *)(lanes_64 + 4 - (n)))
#define LOAD_PART_32(p, n) _mm256_maskload_ps(p, MASK_32(n))
#define LOAD_PART_64(p, n) _mm256_maskload_pd(p, MASK_64(n))
#define STORE_PART_32(p, v, n) _mm256_maskstore_ps(p, MASK_32(n), (__m256)(v))
#define STORE_PART_64(p, v, n) _mm256_maskstore_pd(p, MASK_64(n), (__m256d)(v))
#define STREAM(p, v) _mm256_stream_si256((__m256i *)(p), (__m256i)(v))
#define STREAMED _mm_sfence()

#define BITS 32
#include "../kernels.inc"
#define BITS 64
#include "../kernels.inc"
TARGET_END

static int usable(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

const fnn_isa fnn_isa_avx2 = FNN_ISA(avx2, usable, avx2, bfloat16);
#else
const fnn_isa fnn_isa_avx2 = {.name = "avx2"};
#endif
