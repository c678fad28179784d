/* The kernels for AVX-512 (F, DQ, BW, VL). */
#include "kernels.h"

#if (defined(__x86_64__) || defined(__amd64__)) && defined(__GNUC__)
#include <immintrin.h>
#include "target.h"
TARGET_BEGIN("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")

#define ISA avx512
#define VB 64
#define TILE 8
#define GROUP 3
#define DEPTH 192

#define ROOT_32(v) _mm512_sqrt_ps((__m512)(v))
#define ROOT_64(v) _mm512_sqrt_pd((__m512d)(v))
#define RELU_32(v) _mm512_max_ps(_mm512_setzero_ps(), (__m512)(v)) /* the second operand where either is NaN */
#define RELU_64(v) _mm512_max_pd(_mm512_setzero_pd(), (__m512d)(v))
#define LOAD_PART_32(p, n) _mm512_maskz_loadu_ps((__mmask16)((1u << (n)) - 1), p)
#define LOAD_PART_64(p, n) _mm512_maskz_loadu_pd((__mmask8)((1u << (n)) - 1), p)
#define STORE_PART_32(p, v, n) _mm512_mask_storeu_ps(p, (__mmask16)((1u << (n)) - 1), (__m512)(v))
#define STORE_PART_64(p, v, n) _mm512_mask_storeu_pd(p, (__mmask8)((1u << (n)) - 1), (__m512d)(v))
#define STREAM(p, v) _mm512_stream_si512((__m512i *)(p), (__m512i)(v))
#define STREAMED _mm_sfence()

#define BITS 32
#include "kernels.inc"
#define BITS 64
#include "kernels.inc"
TARGET_END
#endif
