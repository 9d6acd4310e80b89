/* Leaves a child behind that has forked from a process with a session, prints the child's id, and waits to be killed. */
#include <signal.h>
#include <unistd.h>

#include "../driver/driver.h"

int main(void) {
    start();
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    printf("%d\n", (int)child);
    fflush(stdout);
    pause();
    return 0;
}
