/*
 * What the environment says of leases and addresses, against texts of all kinds: good ones are read as they are, and nothing else is
 * believed, read beyond its end or kept in memory that is too small (the sanitizer looks). And how the connections are that are made to them.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../../client/interposer/core/connection.h"
#include "../../../client/interposer/core/holders.h"

static unsigned random_state = 1;

static unsigned roll(unsigned below) {
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 8) % below;
}

static uint32_t read_leases(const char *leases, struct endpoint *endpoint) {
    setenv("SLUICE_LEASE", leases, 1);
    return endpoint_of_environment(endpoint);
}

static void fail(const char *what, const char *text) {
    printf("%s [%s]\n", what, text);
    exit(1);
}

/* 43 digits of base64url, all the same. */
static void put_secret(char *at, char digit) {
    memset(at, digit, 43);
    at[43] = '\0';
}

static void good_ones(void) {
    char text[8192] = "";
    struct endpoint endpoint;
    for (int count = 1; count <= 64; count++) {
        size_t length = strlen(text);
        length += (size_t)snprintf(text + length, sizeof text - length, "%slease:%d:", count % 3 == 0 ? "  " : " ", count);
        put_secret(text + length, (char)('A' + count % 26));
        if (read_leases(text, &endpoint) != 0 || endpoint.lease_count != (uint32_t)count) fail("is not read", text);
        for (int i = 0; i < count; i++) {
            char id[32];
            snprintf(id, sizeof id, "lease:%d", i + 1);
            /* The first six bits of the secret are its first digit. */
            if (strcmp(endpoint.leases[i].id, id) != 0 || endpoint.leases[i].secret[0] >> 2 != (i + 1) % 26) fail("is read wrong", text);
            /* Nor does a session come out of memory that was used before. */
            if (endpoint.leases[i].has_session_id || endpoint.leases[i].may_have_begun) fail("has a session", text);
        }
        if (endpoint.known_bytes != 0) fail("is known before it was reached", text);
        free(endpoint.leases);
    }
}

static void bad_ones(void) {
    static const char *const bad[] = {"x", ":", "a:", ":AAAA", "a:AAAA", "lease-1:=", "a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "   "};
    char text[2048];
    struct endpoint endpoint;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (read_leases(bad[i], &endpoint) == 0) fail("is believed", bad[i]);
        free(endpoint.leases);
    }
    /* An id beyond all bounds. */
    memset(text, 'x', 600);
    text[600] = ':';
    put_secret(text + 601, 'A');
    if (read_leases(text, &endpoint) == 0) fail("is believed", text);
    free(endpoint.leases);
    /* Whatever it is, reading it ends. */
    for (int round = 0; round < 4000; round++) {
        static const char letters[] = "ab:AZ09-_= \t\x7f\xff";
        size_t length = roll(200);
        for (size_t i = 0; i < length; i++) text[i] = letters[roll(sizeof letters - 1)];
        text[length] = '\0';
        if (length > 60 && roll(2) == 0) put_secret(text + length - 43, 'B');
        read_leases(text, &endpoint);
        free(endpoint.leases);
    }
}

static void holders(void) {
    uint8_t one[32] = {1}, other[32] = {2};
    if (holder_find(one).process != 0) fail("is held", "one");
    int file = holder_show(one);
    struct holder holder = holder_find(one);
    if (file < 0 || holder.process != getpid() || holder.is_ancestor) fail("is not held by this process", "one");
    if (holder_find(other).process != 0) fail("is held", "other");
    close(file);
    if (holder_find(one).process != 0) fail("is still held", "one");
}

/* The congestion control of a socket, in `name` of 16 bytes. */
static void congestion_of(int file, char *name) {
    socklen_t size = 15;
    memset(name, 0, 16);
    if (getsockopt(file, IPPROTO_TCP, TCP_CONGESTION, name, &size) != 0) fail("has no congestion control", "socket");
}

/* Connects to a listener at `host` and compares; with NULL it is the system's default that is wanted. */
static void congestion(const char *host, const char *wanted) {
    char chosen[16], text[16];
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in name = {.sin_family = AF_INET};
    socklen_t size = sizeof name;
    inet_pton(AF_INET, host, &name.sin_addr);
    if (bind(listener, (struct sockaddr *)&name, size) != 0 || listen(listener, 1) != 0) fail("cannot be listened at", host);
    getsockname(listener, (struct sockaddr *)&name, &size);
    congestion_of(listener, chosen);
    snprintf(text, sizeof text, "%d", ntohs(name.sin_port));
    struct endpoint endpoint = {.path = ""};
    memcpy(endpoint.host, host, strlen(host) + 1);
    memcpy(endpoint.port, text, sizeof text);
    bool is_tcp;
    struct complaint complaint;
    int file = endpoint_connect(&endpoint, 1000, &is_tcp, &complaint);
    if (file < 0 || !is_tcp) fail("is not connected to", host);
    if (wanted == NULL) wanted = chosen;
    char used[16];
    congestion_of(file, used);
    if (strcmp(used, wanted) != 0) fail("has another congestion control", host);
    close(file);
    close(listener);
}

int main(void) {
    setenv("SLUICE_DATA", "tcp://127.0.0.1:1", 1);
    good_ones();
    bad_ones();
    holders();
    congestion("127.0.0.1", "reno");
    congestion("127.0.0.2", NULL); /* Whose own end is 127.0.0.1: it might be another host. */
    printf("ok\n");
    return 0;
}
