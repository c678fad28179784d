/* How is a file told its instruction set without a compiler flag of its own? By pragmas, around
 * everything it defines. */
#ifndef FASTNN_TARGET_H
#define FASTNN_TARGET_H

#include <math.h>
#include <string.h>

/* Whether the compiler knows AVX512_BF16 and AMX, and the system has a way to ask for the latter; with
 * FNN_STAND_IN, for tests, plain vectors stand in for their instructions. */
#if defined(__x86_64__) && !defined(FNN_STAND_IN) && \
    (defined(__clang__) ? __clang_major__ >= 12 : defined(__GNUC__) && __GNUC__ >= 11)
#define FNN_COMPILES_BFLOAT16 1
#if defined(__linux__)
#define FNN_COMPILES_AMX 1
#endif
#endif

#define PRAGMA(x) _Pragma(#x)
#if defined(__clang__)
#define TARGET_BEGIN(features) \
    PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define TARGET_END PRAGMA(clang attribute pop)
#define UNROLL(n) PRAGMA(clang loop unroll_count(n))
#elif defined(__GNUC__)
#define TARGET_BEGIN(features) PRAGMA(GCC push_options) PRAGMA(GCC target(features))
#define TARGET_END PRAGMA(GCC pop_options)
#define UNROLL(n) PRAGMA(GCC unroll n)
#else
#define UNROLL(n)
#endif

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#define PREFETCH(p) __builtin_prefetch(p, 0, 2)
#define PREFETCH_TO_WRITE(p) __builtin_prefetch(p, 1, 2)
#else
#define INLINE static __forceinline
#define PREFETCH(p) ((void)(p))
#define PREFETCH_TO_WRITE(p) ((void)(p))
#endif

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define TRANSPOSE_SHUFFLES 1
#endif
#endif

#endif
