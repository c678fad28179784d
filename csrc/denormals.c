/* How does a thread treat denormal numbers as zero for a while? By its control register. */
#include "kernels.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
uint64_t fnn_flush_denormals(void)
{
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);
    return before;
}
void fnn_restore_denormals(uint64_t before) { _mm_setcsr((unsigned)before); }
#elif defined(__aarch64__) && defined(__GNUC__)
void fnn_restore_denormals(uint64_t before) { __asm__ volatile("msr fpcr, %0" : : "r"(before)); }
uint64_t fnn_flush_denormals(void)
{
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    fnn_restore_denormals(before | (uint64_t)1 << 24);
    return before;
}
#else
uint64_t fnn_flush_denormals(void) { return 0; }
void fnn_restore_denormals(uint64_t before) { (void)before; }
#endif
