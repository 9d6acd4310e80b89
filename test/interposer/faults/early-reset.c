/* Looks at its first connection only when that has been reset: its `connect`, which the library calls, returns no sooner. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../driver/driver.h"

static int connections = 0;

int connect(int file, const struct sockaddr *address, socklen_t length) {
    int result = (int)syscall(SYS_connect, file, address, length), error = errno;
    if (address->sa_family != AF_INET || connections++ > 0) return result;
    struct pollfd reset = {.fd = file};
    /* POLLERR is told without being asked for. */
    while (poll(&reset, 1, -1) != 1) continue;
    errno = error;
    return result;
}

int main(void) {
    int count = 0;
    CHECK(cuInit(0));
    CHECK(cuDeviceGetCount(&count));
    printf("%d after %d connections\n", count, connections);
    return 0;
}
