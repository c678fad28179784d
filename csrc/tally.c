/* How often does each number occur? As count_numbers of fastnn/tabular/tally.py says: in order, by a
 * radix sort, which takes the bytes of the numbers from the last to the first. */
#include <string.h>

#include "fastnn.h"

enum { DIGITS = 8, BUCKETS = 256 }; /* more buckets are as fast, and slower from 1e6 numbers on */

/* Whole numbers in the order of the numbers: those below 0 upside down. */
static uint64_t key_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
}

static uint64_t bits_of(uint64_t key)
{
    return key >> 63 ? key ^ (uint64_t)1 << 63 : ~key;
}

static int digit(uint64_t key, int d)
{
    return key >> (8 * d) & (BUCKETS - 1);
}

ptrdiff_t fnn_tally(const double *x, ptrdiff_t n, double *values, int64_t *counts)
{
    uint64_t *keys = (uint64_t *)values, *others = (uint64_t *)counts; /* as large */
    ptrdiff_t places[DIGITS][BUCKETS] = {{0}}, n_known = 0, n_values = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        if (x[i] == x[i]) {
            const uint64_t key = keys[n_known++] = key_of(x[i] + 0.0); /* -0.0 is 0.0 */
            for (int d = 0; d < DIGITS; d++)
                places[d][digit(key, d)]++;
        }
    for (int d = 0; d < DIGITS && n_known; d++) {
        ptrdiff_t *place = places[d], before = 0;
        if (place[digit(keys[0], d)] == n_known)
            continue; /* the same in all */
        for (int i = 0; i < BUCKETS; i++) {
            const ptrdiff_t own = place[i];
            place[i] = before;
            before += own;
        }
        for (ptrdiff_t i = 0; i < n_known; i++)
            others[place[digit(keys[i], d)]++] = keys[i];
        uint64_t *const sorted = others;
        others = keys;
        keys = sorted;
    }
    for (ptrdiff_t i = 0, first; i < n_known; n_values++) {
        const uint64_t key = keys[first = i];
        while (i < n_known && keys[i] == key)
            i++;
        ((uint64_t *)values)[n_values] = bits_of(key); /* over what has been read, at most */
        counts[n_values] = i - first;
    }
    return n_values;
}
