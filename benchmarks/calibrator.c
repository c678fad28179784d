/* What is this core's peak, now? A loop of independent fused multiply-adds in registers, no memory, as wide as the machine goes.
 *
 * Compiled by benchmarks/calibrator.py for the machine it runs on. 16 accumulators hide the latency (4 cycles x 2 pipes need 8).
 */
#ifdef __AVX512F__
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#define ACCUMULATORS 16

/* Runs `turns` turns and returns the number of floating-point operations done; `sink` keeps the compiler from dropping them. */
#define PEAK(name, real)                                                                   \
    double name(long turns, double *sink) {                                                \
        typedef real vec __attribute__((vector_size(BYTES)));                              \
        vec acc[ACCUMULATORS], scale, shift;                                               \
        for (int i = 0; i < (int)(BYTES / sizeof(real)); i++) {                            \
            scale[i] = (real)(0.5 + *sink);                                                \
            shift[i] = (real)(1.0 + *sink);                                                \
        }                                                                                  \
        for (int k = 0; k < ACCUMULATORS; k++) acc[k] = shift * (real)k;                   \
        for (long t = 0; t < turns; t++) {                                                 \
            _Pragma("GCC unroll 16") for (int k = 0; k < ACCUMULATORS; k++) acc[k] = acc[k] * scale + shift; \
        }                                                                                  \
        for (int k = 1; k < ACCUMULATORS; k++) acc[0] += acc[k];                           \
        *sink = acc[0][0] * 1e-30;                                                         \
        return 2.0 * ACCUMULATORS * (double)(BYTES / sizeof(real)) * (double)turns;        \
    }

PEAK(peak_float32, float)
PEAK(peak_float64, double)
