/* The kernels for 64-bit ARM. */
#include "kernels.h"

#if defined(__aarch64__) && defined(__GNUC__)
#include <arm_neon.h>
#include "target.h"

#define ISA neon
#define VB 16
#define TILE 8
#define GROUP 3
#define DEPTH 256

#define ROOT_32(v) vsqrtq_f32((float32x4_t)(v))
#define ROOT_64(v) vsqrtq_f64((float64x2_t)(v))
#define RELU_32(v) vmaxq_f32(vdupq_n_f32(0), (float32x4_t)(v)) /* NaN where either is NaN */
#define RELU_64(v) vmaxq_f64(vdupq_n_f64(0), (float64x2_t)(v))

#define BITS 32
#include "kernels.inc"
#define BITS 64
#include "kernels.inc"
#endif
