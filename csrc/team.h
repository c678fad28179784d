/* How do the threads of one call work together? By a barrier that spins a little and then sleeps,
 * and by work queues. */
#ifndef FASTNN_TEAM_H
#define FASTNN_TEAM_H

#include <stdint.h>

enum { FNN_SPINS = 1000 }; /* of a waiting thread before it sleeps */
enum { FNN_PROBING = -2 };

#if defined(_MSC_VER) && !defined(__clang__)
#include <windows.h>
typedef volatile LONG fnn_atomic;
#define fnn_load(p) InterlockedOr(p, 0)
#define fnn_store(p, v) InterlockedExchange(p, v)
#define fnn_add(p, v) InterlockedExchangeAdd(p, v)
#define fnn_pause() YieldProcessor()
#define fnn_exchange(p, v) InterlockedExchange(p, v)
#define fnn_sleep_briefly() Sleep(1)
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
static inline void fnn_sleep_briefly(void)
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
static inline void fnn_sleep(fnn_atomic *p, int old)
{
    syscall(SYS_futex, p, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
}
static inline void fnn_wake(fnn_atomic *p)
{
    syscall(SYS_futex, p, FUTEX_WAKE_PRIVATE, 1 << 30, NULL, NULL, 0);
}
#else
static inline void fnn_sleep(fnn_atomic *p, int old)
{
    (void)p, (void)old;
    fnn_sleep_briefly();
}
static inline void fnn_wake(fnn_atomic *p) { (void)p; }
#endif

/* Each number has a cache line of its own. */
typedef struct {
    fnn_atomic n; /* threads; 0 until fnn_start, or FNN_PROBING before it */
    char pad_1[60];
    fnn_atomic turn; /* whose it is to write this line, see lines.c */
    char pad_4[60];
    fnn_atomic waiting;
    char pad_2[60];
    fnn_atomic round;
    fnn_atomic sleepers;
    char pad_3[56];
} fnn_team;

/* A queue of the numbers from next to end. */
typedef struct {
    fnn_atomic next;
    int end;
    char pad[56];
} fnn_queue;

/* The next number for thread `me` of n: of its own queue while there are any, so that a unit's
 * optimizer slots stay in one core's cache from step to step; then of the others'. Negative when
 * all queues are empty. */
static inline int fnn_next(fnn_queue *queues, int me, int n)
{
    for (int i = 0; i < n; i++) {
        fnn_queue *queue = &queues[(me + i) % n];
        const int first = (int)fnn_load(&queue->next);
        if (first < queue->end) {
            if (n == 1) { /* nobody else takes any: not to wait for all stores before */
                fnn_store(&queue->next, first + 1);
                return first;
            }
            const int number = (int)fnn_add(&queue->next, 1);
            if (number < queue->end)
                return number;
        }
    }
    return -1;
}

/* Returns *p when it differs from `old`. Spins for some ten microseconds, longer than the others'
 * work should differ; then another thread has probably lost its processor and needs this one. */
static inline int fnn_wait_while(fnn_team *team, fnn_atomic *p, int old)
{
    int now;
    for (int i = 0; i < FNN_SPINS; i++) {
        if ((now = (int)fnn_load(p)) != old)
            return now;
        fnn_pause();
    }
    fnn_add(&team->sleepers, 1);
    while ((now = (int)fnn_load(p)) == old)
        fnn_sleep(p, old);
    fnn_add(&team->sleepers, -1);
    return now;
}

/* Sets *p and wakes those who sleep on it. */
static inline void fnn_set_and_wake(fnn_team *team, fnn_atomic *p, int value)
{
    fnn_exchange(p, value); /* in full order with the look at sleepers */
    if (fnn_add(&team->sleepers, 0))
        fnn_wake(p);
}

static inline void fnn_barrier(fnn_team *team, int n)
{
    if (n == 1)
        return;
    const int round = (int)fnn_load(&team->round);
    if (fnn_add(&team->waiting, 1) == n - 1) {
        fnn_store(&team->waiting, 0);
        fnn_set_and_wake(team, &team->round, round + 1);
    } else {
        fnn_wait_while(team, &team->round, round);
    }
}

#endif
