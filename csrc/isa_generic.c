/* The kernels for any CPU: 128-bit vector types, which GCC and Clang turn into what there is; single numbers elsewhere. */
#include "kernels.h"
#include "target.h"

#define ISA generic
#if defined(__GNUC__) && !defined(FNN_SCALAR)
#define VB 16
#else
#define VB 0
#endif
#define TILE 4
#define GROUP 2
#define DEPTH 256

#define BITS 32
#include "kernels.inc"
#define BITS 64
#include "kernels.inc"
