/* May this process compute in the tiles of Intel's AMX? Where the CPU has them, the system saves them
 * and, asked for permission, gives it. */
#include "kernels.h"
#include "target.h"

#if FNN_COMPILES_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24, AVX512_BF16 = 1 << 5, OSXSAVE = 1 << 27 };
enum { TILE_STATES = 3 << 17 }; /* configuration and data, in XCR0 */
enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; /* of arch_prctl */

static int has_amx(void)
{
    unsigned a, b, c, d, high;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & AMX_BF16) || !(d & AMX_TILE))
        return 0;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a & AVX512_BF16))
        return 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(high) : "c"(0));
    return (a & TILE_STATES) == TILE_STATES;
}

/* It is no where a thread's signal stack has no room for tiles (ENOSPC), or the system knows of none. */
static int permission(void) { return !syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA); }

/* What `ask` says, asked once: `answer` is 0 before. Two threads that ask at once get the same. */
static int remembered(int *answer, int (*ask)(void))
{
    int found = __atomic_load_n(answer, __ATOMIC_RELAXED);
    if (!found) {
        found = ask() ? 1 : -1;
        __atomic_store_n(answer, found, __ATOMIC_RELAXED);
    }
    return found > 0;
}

/* On a virtual machine each CPUID takes microseconds. */
int fnn_amx_usable(void)
{
    static int answer;
    return remembered(&answer, has_amx);
}

/* The answer is the whole process's, its later threads' and its children's. */
int fnn_amx_allowed(void)
{
    static int answer;
    return remembered(&answer, permission);
}
#else
int fnn_amx_usable(void) { return 0; }
int fnn_amx_allowed(void) { return 0; }
#endif
