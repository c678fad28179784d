/* The kernels for 64-bit ARM. */
#include "../kernels.h"

#if defined(__aarch64__) && defined(__GNUC__)
#include <arm_neon.h>
#include "../target.h"

#define ISA neon
#define VB 16
#define MR 8
#define NR 3
#define KC 256

#define SQRT_32(v) vsqrtq_f32((float32x4_t)(v))
#define SQRT_64(v) vsqrtq_f64((float64x2_t)(v))
#define MAX_0_32(v) vmaxq_f32(vdupq_n_f32(0), (float32x4_t)(v)) /* NaN where either is NaN */
#define MAX_0_64(v) vmaxq_f64(vdupq_n_f64(0), (float64x2_t)(v))

#define BITS 32
#include "../kernels.inc"
#define BITS 64
#include "../kernels.inc"

static int usable(void)
{
    return 1;
}

const fnn_isa fnn_isa_neon = FNN_ISA(neon, usable, neon, bfloat16);
#else
const fnn_isa fnn_isa_neon = {.name = "neon"};
#endif
