/* The kernels for any CPU: 128-bit vector types, or single numbers where the compiler has none. */
#include "../kernels.h"
#include "../target.h"

#define ISA generic
#if defined(__GNUC__) && !defined(FNN_SCALAR)
#define VB 16
#else
#define VB 0
#endif
#define MR 4
#define NR 2
#define KC 256

#define BITS 32
#include "../kernels.inc"
#define BITS 64
#include "../kernels.inc"

static int usable(void)
{
    return 1;
}

const fnn_isa fnn_isa_generic = FNN_ISA(generic, usable, generic, bfloat16);
