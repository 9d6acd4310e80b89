/* Threads of the device that meet, exclude each other, hand out tasks and call themselves; and data that stays there. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#define EXPECT(condition) if (!(condition)) { printf("line %d: %s\n", __LINE__, #condition); return 1; }
enum { N = 500 };

#pragma omp declare target
int table[16];
static int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
#pragma omp end declare target

struct points { double x; int *list; int n; };

int main(void) {
    int threads = 0, count = 0, after = 0, singles = 0, sections = 0, locked = 0, tasks = 0;
    omp_lock_t lock;
#pragma omp target map(tofrom: threads, count, after, singles, sections, locked, tasks) map(alloc: lock)
    {
        omp_init_lock(&lock);
#pragma omp parallel num_threads(6)
        {
#pragma omp critical
            count = count + 1;
#pragma omp barrier
#pragma omp single
            {
                singles++;
                threads = omp_get_num_threads();
                for (int i = 0; i < 20; i++) {
#pragma omp task shared(tasks)
                    {
#pragma omp atomic
                        tasks += i;
                    }
                }
            }
#pragma omp sections reduction(+: sections)
            {
#pragma omp section
                sections += 1;
#pragma omp section
                sections += 10;
            }
#pragma omp critical(other)
            after += count;
            omp_set_lock(&lock);
            locked += 2;
            omp_unset_lock(&lock);
        }
        omp_destroy_lock(&lock);
    }
    EXPECT(threads >= 1 && count == threads && after == threads * threads && singles == 1 && sections == 11);
    EXPECT(locked == 2 * threads && tasks == 190);

    int teams[4] = {0}, wanted = 0;
#pragma omp target teams num_teams(4) thread_limit(8) map(tofrom: teams, wanted)
#pragma omp parallel
    {
#pragma omp atomic
        teams[omp_get_team_num()]++;
        if (omp_get_team_num() == 0 && omp_get_thread_num() == 0) wanted = omp_get_num_teams() * omp_get_num_threads();
    }
    EXPECT(wanted > 0 && teams[0] + teams[1] + teams[2] + teams[3] == wanted);

    struct points p = {1.5, malloc(N * sizeof(int)), N};
    for (int i = 0; i < N; i++) p.list[i] = i;
    for (int i = 0; i < 16; i++) table[i] = i;
    int fib = 0;
#pragma omp target update to(table)
#pragma omp target enter data map(to: p) map(to: p.list[0:N])
#pragma omp target map(from: fib)
    {
        p.x *= 2;
        int *scratch = malloc(16 * sizeof(int));
        for (int i = 0; i < 16; i++) scratch[i] = table[i] * 2;
        for (int i = 0; i < 16; i++) table[i] = scratch[15 - i];
        free(scratch);
        fib = fibonacci(12);
    }
#pragma omp target teams distribute parallel for
    for (int i = 0; i < N; i++) p.list[i] = 3 * p.list[i] + table[i % 16];
#pragma omp target exit data map(from: p.list[0:N]) map(from: p)
#pragma omp target update from(table)
    EXPECT(p.x == 3 && fib == 144 && table[0] == 30 && table[15] == 0);
    for (int i = 0; i < N; i++) EXPECT(p.list[i] == 3 * i + 2 * (15 - i % 16));
    printf("ok\n");
    return 0;
}
