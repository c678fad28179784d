/* How do the threads of one call meet? At a barrier that spins a little and then lets others run; and how is work dealt? */
#ifndef FASTNN_CREW_H
#define FASTNN_CREW_H

#include <stdint.h>

enum { FNN_SPINS = 1000 };

#if defined(_MSC_VER) && !defined(__clang__)
#include <windows.h>
typedef volatile LONG fnn_atomic;
#define fnn_load(p) InterlockedOr(p, 0)
#define fnn_store(p, v) InterlockedExchange(p, v)
#define fnn_add(p, v) InterlockedExchangeAdd(p, v)
#define fnn_pause() YieldProcessor()
#define fnn_exchange(p, v) InterlockedExchange(p, v)
#define fnn_nap() Sleep(1)
#else
#include <time.h>
typedef int fnn_atomic;
#define fnn_load(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define fnn_store(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define fnn_add(p, v) __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST)
#define fnn_exchange(p, v) __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#if defined(__x86_64__) || defined(__i386__)
#define fnn_pause() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define fnn_pause() __asm__ volatile("yield")
#else
#define fnn_pause() ((void)0)
#endif
static inline void fnn_nap(void)
{
    const struct timespec t = {0, 50000};
    nanosleep(&t, NULL);
}
#endif

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
/* Sleeps while *p is `old`, until woken; returns at once if it is not. */
static inline void fnn_sleep(fnn_atomic *p, int old) { syscall(SYS_futex, p, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0); }
static inline void fnn_wake(fnn_atomic *p) { syscall(SYS_futex, p, FUTEX_WAKE_PRIVATE, 1 << 30, NULL, NULL, 0); }
#else
static inline void fnn_sleep(fnn_atomic *p, int old)
{
    (void)p, (void)old;
    fnn_nap();
}
static inline void fnn_wake(fnn_atomic *p) { (void)p; }
#endif

/* Each number has a cache line of its own. */
typedef struct {
    fnn_atomic n; /* threads; 0 until fnn_start */
    char apart_1[60];
    fnn_atomic waiting;
    char apart_2[60];
    fnn_atomic round;
    fnn_atomic sleepers;
    char apart_3[56];
} fnn_crew;

/* A thread's share of the units of a block, dealt one by one. */
typedef struct {
    fnn_atomic next;
    int end;
    char apart[56];
} fnn_share;

/* The next unit for thread `me` of n: of its own share while there are any, so that a unit's optimizer slots stay in one core's
 * cache from step to step; then of the others'. Negative when all are dealt. */
static inline int fnn_deal(fnn_share *shares, int me, int n)
{
    for (int i = 0; i < n; i++) {
        fnn_share *share = &shares[(me + i) % n];
        if (fnn_load(&share->next) < share->end) {
            const int unit = (int)fnn_add(&share->next, 1);
            if (unit < share->end)
                return unit;
        }
    }
    return -1;
}

/* Returns *p when it differs from `old`. Spins for some ten microseconds, longer than the others' work should differ; then the
 * other thread has probably lost its processor, and spinning on would keep it from getting one. */
static inline int fnn_wait_while(fnn_crew *crew, fnn_atomic *p, int old)
{
    int now;
    for (int turns = 0; turns < FNN_SPINS; turns++) {
        if ((now = (int)fnn_load(p)) != old)
            return now;
        fnn_pause();
    }
    fnn_add(&crew->sleepers, 1);
    while ((now = (int)fnn_load(p)) == old)
        fnn_sleep(p, old);
    fnn_add(&crew->sleepers, -1);
    return now;
}

/* Sets *p and wakes who sleeps on it. */
static inline void fnn_announce(fnn_crew *crew, fnn_atomic *p, int value)
{
    fnn_exchange(p, value); /* in full order with the look at sleepers */
    if (fnn_add(&crew->sleepers, 0))
        fnn_wake(p);
}

static inline void fnn_meet(fnn_crew *crew, int n)
{
    if (n == 1)
        return;
    const int round = (int)fnn_load(&crew->round);
    if (fnn_add(&crew->waiting, 1) == n - 1) {
        fnn_store(&crew->waiting, 0);
        fnn_announce(crew, &crew->round, round + 1);
    } else {
        fnn_wait_while(crew, &crew->round, round);
    }
}

/* Numbers too small for full precision count as 0 while a worker works: on some CPUs each would cost a hundred cycles.
 * Set on entry and restored on exit, for the thread belongs to somebody else. */
#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
static inline uint64_t fnn_flush_denormals(void)
{
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);
    return before;
}
static inline void fnn_restore(uint64_t before) { _mm_setcsr((unsigned)before); }
#elif defined(__aarch64__) && defined(__GNUC__)
static inline void fnn_restore(uint64_t before) { __asm__ volatile("msr fpcr, %0" : : "r"(before)); }
static inline uint64_t fnn_flush_denormals(void)
{
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    fnn_restore(before | (uint64_t)1 << 24);
    return before;
}
#else
static inline uint64_t fnn_flush_denormals(void) { return 0; }
static inline void fnn_restore(uint64_t before) { (void)before; }
#endif

#endif
