/* A library with as much thread-local data of the static kind as jemalloc has; or a program that starts a thread on the smallest stack that there is. */
#ifdef LIBRARY
__thread char data[2632] __attribute__((tls_model("initial-exec")));
char *data_of_thread(void) {
    return data;
}
#else
#include <pthread.h>
#include <stdio.h>

static void *start(void *unused) {
    return unused;
}

int main(void) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    int failed = pthread_attr_setstacksize(&attributes, 16384);
    if (failed == 0) failed = pthread_create(&thread, &attributes, start, NULL);
    if (failed == 0) failed = pthread_join(thread, NULL);
    printf("%d\n", failed);
    return 0;
}
#endif
