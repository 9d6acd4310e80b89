/* Where the lease's executor listens, from the environment that `sluice run` sets, and the socket to it. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "connection.h"
#include "report.h"

#define CONNECT_MILLISECONDS_MAX 5000

static int sextet(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '-' || c == '+') return 62;
    if (c == '_' || c == '/') return 63;
    return -1;
}

/* 32 bytes are 43 digits of base64url; padding may follow. */
static bool read_secret(const char *text, uint8_t secret[32]) {
    uint32_t bits = 0;
    int held = 0;
    size_t written = 0;
    for (; *text != '\0' && *text != '='; text++) {
        int value = sextet(*text);
        if (value < 0 || written == 32) return false;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            secret[written++] = (uint8_t)(bits >> held);
        }
    }
    return written == 32;
}

/* `tcp://HOST:PORT`, `tcp://[ADDRESS]:PORT` or `unix://PATH`. */
static bool read_address(const char *text, struct endpoint *endpoint) {
    if (strncmp(text, "unix://", 7) == 0) {
        endpoint->port[0] = '\0';
        return snprintf(endpoint->host, sizeof endpoint->host, "%s", text + 7) < (int)sizeof endpoint->host && text[7] != '\0';
    }
    if (strncmp(text, "tcp://", 6) != 0) return false;
    const char *host = text + 6;
    const char *colon = strrchr(host, ':');
    if (colon == NULL || colon == host) return false;
    size_t length = (size_t)(colon - host);
    if (host[0] == '[' && colon[-1] == ']') {
        host++;
        length -= 2;
    }
    if (length == 0 || length >= sizeof endpoint->host) return false;
    memcpy(endpoint->host, host, length);
    endpoint->host[length] = '\0';
    int digits = snprintf(endpoint->port, sizeof endpoint->port, "%s", colon + 1);
    return digits > 0 && digits <= 5 && strspn(endpoint->port, "0123456789") == (size_t)digits;
}

uint32_t endpoint_of_environment(struct endpoint *endpoint) {
    const char *lease = getenv("SLUICE_LEASE");
    const char *data = getenv("SLUICE_DATA");
    if (lease == NULL || *lease == '\0' || data == NULL || *data == '\0') {
        report("there is no GPU here: the environment names no lease. Start the program with `sluice run -- COMMAND`.");
        return SLUICE_ERROR_NO_LEASE;
    }
    const char *colon = strrchr(lease, ':');
    size_t length = colon == NULL ? 0 : (size_t)(colon - lease);
    if (length == 0 || length >= sizeof endpoint->lease_id || !read_secret(colon + 1, endpoint->secret)) {
        report("SLUICE_LEASE is not LEASE:SECRET as `sluice run` sets it.");
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    memcpy(endpoint->lease_id, lease, length);
    endpoint->lease_id[length] = '\0';
    if (!read_address(data, endpoint)) {
        report("SLUICE_DATA is like tcp://HOST:PORT or unix://PATH, and [%s] is not.", data);
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    return 0;
}

static int connect_within(int file, const struct sockaddr *address, socklen_t length) {
    int flags = fcntl(file, F_GETFL);
    fcntl(file, F_SETFL, flags | O_NONBLOCK);
    int error = connect(file, address, length) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
        struct pollfd waiting = {.fd = file, .events = POLLOUT, .revents = 0};
        int ready;
        do ready = poll(&waiting, 1, CONNECT_MILLISECONDS_MAX);
        while (ready < 0 && errno == EINTR);
        socklen_t size = sizeof error;
        if (ready == 0) error = ETIMEDOUT;
        else if (getsockopt(file, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    }
    fcntl(file, F_SETFL, flags);
    return error;
}

/* A read or write returns after a second with nothing done, so that a peer that is gone is noticed; see socket_is_dead. */
static void set_options(int file, bool is_tcp) {
    struct timeval second = {.tv_sec = 1, .tv_usec = 0};
    setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof second);
    if (!is_tcp) return;
    int on = 1, idle = 3, interval = 1, count = 3;
    setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(file, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(file, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(file, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(file, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

static int connect_unix(const struct endpoint *endpoint) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(endpoint->host) >= sizeof address.sun_path) {
        report("the socket path [%s] is too long.", endpoint->host);
        return -1;
    }
    memcpy(address.sun_path, endpoint->host, strlen(endpoint->host) + 1);
    int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error = file < 0 ? errno : connect_within(file, (struct sockaddr *)&address, sizeof address);
    if (error == 0) {
        set_options(file, false);
        return file;
    }
    report("the server does not answer at [unix://%s] [%s].", endpoint->host, strerror(error));
    if (file >= 0) close(file);
    return -1;
}

int endpoint_connect(const struct endpoint *endpoint) {
    if (endpoint->port[0] == '\0') return connect_unix(endpoint);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(endpoint->host, endpoint->port, &hints, &found);
    if (failed != 0) {
        report("the server's name [%s] is not known [%s].", endpoint->host, gai_strerror(failed));
        return -1;
    }
    int error = 0;
    for (struct addrinfo *each = found; each != NULL; each = each->ai_next) {
        int file = socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        error = file < 0 ? errno : connect_within(file, each->ai_addr, each->ai_addrlen);
        if (error == 0) {
            freeaddrinfo(found);
            set_options(file, true);
            return file;
        }
        if (file >= 0) close(file);
    }
    freeaddrinfo(found);
    report("the server does not answer at [tcp://%s:%s] [%s].", endpoint->host, endpoint->port, strerror(error));
    return -1;
}
