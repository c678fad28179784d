/* The 512-bit kernels split by the compiler into AVX2 instructions: slow, there so that their code is tested anywhere. */
#include "kernels.h"

#if (defined(__x86_64__) || defined(__amd64__)) && defined(__GNUC__)
#include "target.h"
TARGET_BEGIN("avx2,fma")

#define ISA avx512_lowered
#define VB 64
#define TILE 4
#define GROUP 2
#define DEPTH 192

#define BITS 32
#include "kernels.inc"
#define BITS 64
#include "kernels.inc"
TARGET_END
#endif
