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

int fnn_find_bins(const fnn_columns *columns, ptrdiff_t first, ptrdiff_t stop, const double *x,
                  ptrdiff_t n_rows, ptrdiff_t width, uint8_t *bins, float *fractions)
{
    const fnn_columns *m = columns;
    for (ptrdiff_t i = 0; i < n_rows * width; i++)
        if (isinf(x[i]))
            return 0;
    for (ptrdiff_t row = 0; row < n_rows; row++, x += width)
        for (ptrdiff_t c = first; c < stop; c++) {
            const double number = x[width > 1 ? m->places[c] : 0];
            const double filled = number == number ? number : m->fills[c];
            const double scaled = within(-LARGE, (filled - m->centers[c]) * m->factors[c], LARGE);
            const double third = scaled / 3, square = third * third;
            const double z = scaled / sqrt(1 + square);
            const double *edges = m->edges + m->starts[c];
            ptrdiff_t bin = 0; /* inner edges up to z: found by halves, without a branch */
            for (ptrdiff_t n = m->starts[c + 1] - m->starts[c] - 2; n > 0;) {
                const ptrdiff_t half = (n + 1) / 2;
                bin += edges[bin + half] <= z ? half : 0;
                n -= half;
            }
            const double lower = edges[bin], t = (z - lower) / (edges[bin + 1] - lower);
            bins[row * m->n + c] = (uint8_t)bin;
            fractions[row * m->n + c] = (float)within(-1, t, 2);
        }
    return 1;
}
