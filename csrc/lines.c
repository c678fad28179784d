/* What does a line of memory cost that another core has written? Measured once in a process, by two
 * threads that take turns at writing one. */
#include "engine.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <time.h>
#endif

enum { RUNS = 5, TURNS = 16, LOOKS = 20000 /* some 30 us: the other has lost its processor */ };
enum { TRIES = 10 }; /* on a busy machine, where each in vain takes half a millisecond */

static fnn_atomic known; /* picoseconds; 0 until measured */
static fnn_atomic tries;

static double nanoseconds(void)
{
#if defined(_WIN32)
    LARGE_INTEGER now, each_second;
    QueryPerformanceFrequency(&each_second);
    QueryPerformanceCounter(&now);
    return 1e9 * now.QuadPart / each_second.QuadPart;
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e9 * now.tv_sec + now.tv_nsec;
#endif
}

double fnn_line_cost(double ns)
{
    if (ns >= 0) {
        fnn_store(&known, (int)(1000 * ns));
        fnn_store(&tries, 0);
    }
    const int ps = (int)fnn_load(&known);
    return ps ? ps / 1000.0 : FNN_LINE_COST;
}

/* The turn is the leader's where it is odd. No pause while waiting: Intel's lasts 40 ns. */
int fnn_probe(fnn_engine *e)
{
    fnn_team *team = &e->team;
    if (fnn_load(&known) || fnn_load(&tries) >= TRIES)
        return 0;
    fnn_add(&tries, 1);
    fnn_set_and_wake(team, &team->n, FNN_PROBING);
    const double begin = nanoseconds();
    while (!fnn_load(&team->turn)) /* the worker has not begun yet */
        if (nanoseconds() - begin > 5e5)
            return 0;
    double least = 1e9;
    int turn = 1;
    for (int run = 0; run < RUNS; run++) {
        const double start = nanoseconds();
        for (int i = 0; i < TURNS; i++) {
            fnn_store(&team->turn, turn + 1);
            turn += 2;
            for (int looks = 0; fnn_load(&team->turn) != turn; looks++)
                if (looks == LOOKS)
                    return 0;
        }
        const double took = nanoseconds() - start;
        least = took < least ? took : least;
    }
    fnn_line_cost(least / (2 * TURNS));
    return 1;
}

void fnn_answer_probe(fnn_team *team)
{
    int turn = 0;
    for (int looks = 0; looks < LOOKS && fnn_load(&team->n) == FNN_PROBING; looks++)
        if (fnn_load(&team->turn) == turn) {
            fnn_store(&team->turn, turn + 1);
            turn += 2;
            looks = 0;
        }
}
