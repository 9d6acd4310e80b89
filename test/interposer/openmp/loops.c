/* Loops of all kinds on the device: shared among teams, threads and lanes, with reductions, and in an order. */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#define EXPECT(condition) if (!(condition)) { printf("line %d: %s\n", __LINE__, #condition); return 1; }
enum { N = 3000 };

#pragma omp declare target
static int square(int x) { return x * x; }
#pragma omp end declare target

int main(void) {
    static int a[N];
    static float f[N];
    int host = 1;
#pragma omp target teams distribute parallel for map(from: a, host)
    for (int i = 0; i < N; i++) {
        a[i] = square(i) % 1000;
        if (i == 0) host = omp_is_initial_device();
    }
    EXPECT(host == 0);
    for (int i = 0; i < N; i++) EXPECT(a[i] == i * i % 1000);

    long sum = 0;
    int most = -1, parity = 0;
    double product = 1;
#pragma omp target teams distribute parallel for map(to: a) map(tofrom: sum, most, parity, product) \
    reduction(+: sum) reduction(max: most) reduction(^: parity) reduction(*: product)
    for (int i = 0; i < N; i++) {
        sum += a[i];
        if (a[i] > most) most = a[i];
        parity ^= i;
        if (i < 20) product *= 1.5;
    }
    long sums = 0;
    int parities = 0;
    for (int i = 0; i < N; i++) sums += a[i], parities ^= i;
    EXPECT(sum == sums && most == 996 && parity == parities && fabs(product - pow(1.5, 20)) < 1e-6);

    float total = 0;
    for (int i = 0; i < N; i++) f[i] = i % 17;
#pragma omp target teams distribute parallel for simd map(tofrom: f, total) reduction(+: total)
    for (int i = 0; i < N; i++) {
        f[i] = 2 * f[i] + 1;
        total += f[i];
    }
    float totals = 0;
    for (int i = 0; i < N; i++) {
        EXPECT(f[i] == 2 * (i % 17) + 1);
        totals += f[i];
    }
    EXPECT(total == totals);

    int lanes = 3;
#pragma omp target map(tofrom: lanes)
#pragma omp simd reduction(+: lanes)
    for (int i = 0; i < 100; i++) lanes += square(i);
    EXPECT(lanes == 328353);

    int order[40], at = 0;
    long guided = 0;
#pragma omp target parallel map(tofrom: order, at, guided)
    {
#pragma omp for ordered schedule(dynamic, 1)
        for (int i = 0; i < 40; i++) {
#pragma omp ordered
            order[at++] = i;
        }
#pragma omp for schedule(guided) reduction(+: guided)
        for (int i = 0; i < 1000; i++) guided += i;
    }
    for (int i = 0; i < 40; i++) EXPECT(order[i] == i);
    EXPECT(guided == 499500);
    printf("ok\n");
    return 0;
}
