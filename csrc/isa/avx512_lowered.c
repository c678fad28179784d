/* The 512-bit kernels split by the compiler into AVX2 instructions: slow, so that they can be
 * tested on any CPU; and so those for AVX512_BF16 and AMX, whose instructions are computed. */
#include "../kernels.h"

#if (defined(__x86_64__) || defined(__amd64__)) && defined(__GNUC__)
#include "../target.h"
TARGET_BEGIN("avx2,fma")

#define ISA avx512_lowered
#define VB 64
#define MR 4
#define NR 2
#define KC 192

#define AMX_PERMISSION .allowed = NULL
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

const fnn_isa fnn_isa_avx512_lowered = FNN_ISA(avx512_lowered, usable, avx512_lowered, bfloat16);
const fnn_isa fnn_isa_avx512_bf16_lowered =
    FNN_ISA(avx512_bf16_lowered, usable, avx512_lowered, dots);
const fnn_isa fnn_isa_amx_lowered = FNN_ISA(amx_lowered, usable, avx512_lowered, amx);
#else
const fnn_isa fnn_isa_avx512_lowered = {.name = "avx512_lowered"};
const fnn_isa fnn_isa_avx512_bf16_lowered = {.name = "avx512_bf16_lowered"};
const fnn_isa fnn_isa_amx_lowered = {.name = "amx_lowered"};
#endif
