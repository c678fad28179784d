/* In which bin does a number stand, and where in it? As find_bins of fastnn/tabular/bins.py says, to
 * the bit: each operation rounds by itself, in double. */
#include <math.h>

#include "fastnn.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

#define LARGE 1e100 /* its square is finite */

static double within(double low, double x, double high)
{
    return x < low ? low : x > high ? high : x;
}

enum { BLOCK = 128 }; /* rows whose searches go on side by side */

/* Bins and fractions of n <= BLOCK numbers of column c, which are width apart. */
static void find(const fnn_columns *m, ptrdiff_t c, const double *x, ptrdiff_t width, ptrdiff_t n,
                 uint8_t *bins, float *fractions)
{
    const double fill = m->fills[c], center = m->centers[c], factor = m->factors[c];
    double z[BLOCK];
    ptrdiff_t bin[BLOCK];
    for (ptrdiff_t i = 0; i < n; i++) {
        const double number = x[i * width], filled = number == number ? number : fill;
        const double scaled = within(-LARGE, (filled - center) * factor, LARGE);
        const double third = scaled / 3, square = third * third;
        z[i] = scaled / sqrt(1 + square);
        bin[i] = 0;
    }
    const double *edges = m->edges + m->starts[c];
    /* inner edges up to z: found by halves, without a branch */
    for (ptrdiff_t left = m->starts[c + 1] - m->starts[c] - 2, half; left > 0; left -= half) {
        half = (left + 1) / 2;
        for (ptrdiff_t i = 0; i < n; i++)
            bin[i] += edges[bin[i] + half] <= z[i] ? half : 0;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        const double lower = edges[bin[i]], t = (z[i] - lower) / (edges[bin[i] + 1] - lower);
        bins[i * m->n + c] = (uint8_t)bin[i];
        fractions[i * m->n + c] = (float)within(-1, t, 2);
    }
}

int fnn_find_bins(const fnn_columns *columns, ptrdiff_t first, ptrdiff_t stop, const double *x,
                  ptrdiff_t n_rows, ptrdiff_t width, uint8_t *bins, float *fractions)
{
    const ptrdiff_t n_columns = columns->n;
    for (ptrdiff_t row = 0; row < n_rows; row += BLOCK) {
        const ptrdiff_t n = n_rows - row < BLOCK ? n_rows - row : BLOCK;
        const double *own = x + row * width;
        int infinite = 0;
        for (ptrdiff_t i = 0; i < n * width; i++)
            infinite |= isinf(own[i]) != 0;
        if (infinite)
            return 0;
        for (ptrdiff_t c = first; c < stop; c++)
            find(columns, c, own + (width > 1 ? columns->places[c] : 0), width, n,
                 bins + row * n_columns, fractions + row * n_columns);
    }
    return 1;
}
