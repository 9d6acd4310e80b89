/* Where the lease's executor listens, from the environment that `sluice run` sets, and the socket to it. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "connection.h"
#include "report.h"

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

/* `unix://PATH`, `tcp://HOST:PORT` or `tcp://[ADDRESS]:PORT`, which ends at `end`. */
static bool read_address(const char *text, const char *end, struct endpoint *endpoint) {
    if (strncmp(text, "unix://", 7) == 0) {
        size_t length = (size_t)(end - text) - 7;
        if (length == 0 || length >= sizeof endpoint->path) return false;
        memcpy(endpoint->path, text + 7, length);
        endpoint->path[length] = '\0';
        return true;
    }
    if (strncmp(text, "tcp://", 6) != 0) return false;
    const char *host = text + 6, *colon = end;
    while (colon > host && *colon != ':') colon--;
    if (colon == host) return false;
    size_t length = (size_t)(colon - host), digits = (size_t)(end - colon) - 1;
    if (host[0] == '[' && colon[-1] == ']') {
        host++;
        length -= 2;
    }
    if (length == 0 || length >= sizeof endpoint->host || digits == 0 || digits > 5) return false;
    memcpy(endpoint->host, host, length);
    endpoint->host[length] = '\0';
    memcpy(endpoint->port, colon + 1, digits);
    endpoint->port[digits] = '\0';
    return strspn(endpoint->port, "0123456789") == digits;
}

/* One address, or two with a space between them: a socket of this host, and where else to go when it cannot be opened. */
static bool read_addresses(const char *text, struct endpoint *endpoint) {
    endpoint->path[0] = endpoint->host[0] = '\0';
    while (*text != '\0') {
        const char *end = text + strcspn(text, " ");
        if (!read_address(text, end, endpoint)) return false;
        text = end + strspn(end, " ");
    }
    return endpoint->path[0] != '\0' || endpoint->host[0] != '\0';
}

/* One LEASE:SECRET, which ends at `end`. */
static bool read_lease(const char *text, const char *end, struct lease_key *lease) {
    const char *colon = end;
    while (colon > text && *colon != ':') colon--;
    size_t length = (size_t)(colon - text), digits = (size_t)(end - colon);
    char secret[64];
    if (length == 0 || length >= sizeof lease->id || digits > sizeof secret) return false;
    memset(lease, 0, sizeof *lease);
    memcpy(secret, colon + 1, digits - 1);
    secret[digits - 1] = '\0';
    memcpy(lease->id, text, length);
    return read_secret(secret, lease->secret);
}

/* One or more LEASE:SECRET with spaces between them. */
static bool read_leases(const char *text, struct endpoint *endpoint) {
    endpoint->leases = NULL;
    endpoint->lease_count = 0;
    for (text += strspn(text, " "); *text != '\0'; text += strspn(text, " ")) {
        const char *end = text + strcspn(text, " ");
        struct lease_key *leases = realloc(endpoint->leases, (endpoint->lease_count + 1) * sizeof *leases);
        if (leases == NULL) return false;
        endpoint->leases = leases;
        if (!read_lease(text, end, &leases[endpoint->lease_count])) return false;
        endpoint->lease_count++;
        text = end;
    }
    return endpoint->lease_count > 0;
}

uint32_t endpoint_of_environment(struct endpoint *endpoint) {
    const char *lease = getenv("SLUICE_LEASE");
    const char *data = getenv("SLUICE_DATA");
    memset(endpoint, 0, sizeof *endpoint);
    if (lease == NULL || *lease == '\0' || data == NULL || *data == '\0') {
        report("there is no GPU here: the environment names no lease. Start the program with `sluice run -- COMMAND`.");
        return SLUICE_ERROR_NO_LEASE;
    }
    if (!read_leases(lease, endpoint)) {
        report("SLUICE_LEASE is not LEASE:SECRET as `sluice run` sets it.");
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    if (!read_addresses(data, endpoint)) {
        report("SLUICE_DATA is like tcp://HOST:PORT or unix://PATH or both with a space between them, and [%s] is not.", data);
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    return 0;
}

static int connect_within(int file, const struct sockaddr *address, socklen_t length, int milliseconds_max) {
    int flags = fcntl(file, F_GETFL);
    fcntl(file, F_SETFL, flags | O_NONBLOCK);
    int error = connect(file, address, length) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
        struct pollfd waiting = {.fd = file, .events = POLLOUT, .revents = 0};
        int ready;
        do ready = poll(&waiting, 1, milliseconds_max);
        while (ready < 0 && errno == EINTR);
        socklen_t size = sizeof error;
        if (ready == 0) error = ETIMEDOUT;
        else if (getsockopt(file, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    }
    fcntl(file, F_SETFL, flags);
    /* It was there, and has broken before anybody looked: whoever reads finds its end, and may try another. */
    return error == ECONNRESET || error == EPIPE ? 0 : error;
}

/* Whether both ends of a connection over IP are this host. */
static bool is_within_host(int file) {
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } own, peer;
    socklen_t own_size = sizeof own, peer_size = sizeof peer;
    if (getsockname(file, &own.any, &own_size) != 0 || getpeername(file, &peer.any, &peer_size) != 0) return false;
    if (own.any.sa_family == AF_INET) return own.four.sin_addr.s_addr == peer.four.sin_addr.s_addr;
    return own.any.sa_family == AF_INET6 && memcmp(&own.six.sin6_addr, &peer.six.sin6_addr, sizeof own.six.sin6_addr) == 0;
}

/*
 * There is no network to be careful of, and a congestion control that paces, as BBR does, sets a timer for each 64 KiB. This one every Linux has
 * and lets everybody use.
 */
static void send_unpaced(int file) {
    static const char name[] = "reno";
    setsockopt(file, IPPROTO_TCP, TCP_CONGESTION, name, sizeof name - 1);
}

static void set_options(int file, bool is_tcp) {
    struct timeval wait = {.tv_sec = SOCKET_WAIT_MS / 1000, .tv_usec = SOCKET_WAIT_MS % 1000 * 1000};
    setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (!is_tcp) return;
    int on = 1, idle = 3, interval = 1, count = 3;
    setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(file, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(file, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(file, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(file, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    if (is_within_host(file)) send_unpaced(file);
}

/* The error, or 0 and the connection in `*connected`. */
static int connect_unix(const char *path, int milliseconds_max, int *connected) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error = file < 0 ? errno : connect_within(file, (struct sockaddr *)&address, sizeof address, milliseconds_max);
    if (error == 0) {
        set_options(file, false);
        *connected = file;
        return 0;
    }
    if (file >= 0) close(file);
    return error;
}

/* Why there is no connection. */
__attribute__((format(printf, 2, 3))) static int complain(struct complaint *complaint, const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(complaint->words, sizeof complaint->words, format, values);
    va_end(values);
    return -1;
}

/* The error, or 0 and the connection in `*connected`. */
static int connect_ip(const struct sockaddr *address, socklen_t length, int milliseconds_max, int *connected) {
    int file = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error = file < 0 ? errno : connect_within(file, address, length, milliseconds_max);
    if (error == 0) {
        set_options(file, true);
        *connected = file;
        return 0;
    }
    if (file >= 0) close(file);
    return error;
}

static void remember(struct endpoint *endpoint, const struct sockaddr *address, socklen_t length) {
    if (length > sizeof endpoint->known) return;
    memcpy(&endpoint->known, address, length);
    endpoint->known_bytes = length;
}

int endpoint_connect(struct endpoint *endpoint, int milliseconds_max, bool *is_tcp, struct complaint *complaint) {
    int file, error = 0;
    *is_tcp = false;
    if (endpoint->path[0] != '\0') {
        error = connect_unix(endpoint->path, milliseconds_max, &file);
        if (error == 0) return file;
        if (endpoint->host[0] == '\0')
            return complain(complaint, "the server does not answer at [unix://%s] [%s].", endpoint->path, strerror(error));
    }
    *is_tcp = true;
    /* Who asks for names while the network is away may wait for longer than a session does. */
    if (endpoint->known_bytes > 0) {
        error = connect_ip((struct sockaddr *)&endpoint->known, endpoint->known_bytes, milliseconds_max, &file);
        if (error == 0) return file;
        return complain(complaint, "the server does not answer at [tcp://%s:%s] [%s].", endpoint->host, endpoint->port, strerror(error));
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(endpoint->host, endpoint->port, &hints, &found);
    if (failed != 0) return complain(complaint, "the server's name [%s] is not known [%s].", endpoint->host, gai_strerror(failed));
    for (struct addrinfo *each = found; each != NULL; each = each->ai_next) {
        error = connect_ip(each->ai_addr, each->ai_addrlen, milliseconds_max, &file);
        if (error != 0) continue;
        remember(endpoint, each->ai_addr, each->ai_addrlen);
        freeaddrinfo(found);
        return file;
    }
    freeaddrinfo(found);
    return complain(complaint, "the server does not answer at [tcp://%s:%s] [%s].", endpoint->host, endpoint->port, strerror(error));
}
