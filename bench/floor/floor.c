/*
 * The floor under every figure of the suite: what plain C sockets on this machine do with the same bytes. A server answers
 * every request of q bytes with an answer of a bytes; the client measures each round. (64, 64) is the ping-pong, (n, 64) a copy
 * there, (64, n) a copy back. `pin` runs any command on chosen cores, so that both sides of a comparison are placed alike.
 *
 *   floor serve ADDRESS                       prints the port (or the path) and serves until stdin closes
 *   floor client ADDRESS Q A ROUNDS WARMUP [PIECE]   prints the nanoseconds of each round, one per line; a request
 *                                             travels in writes of PIECE bytes, by default in one
 *   floor pin CPU[,CPU...] COMMAND...
 *
 * ADDRESS is HOST:PORT (numeric, port 0 picks one) or unix:PATH. SLUICE_FLOOR_CONGESTION in the environment names the congestion control of TCP;
 * by default it is the system's. The suite sets it for the floor that is not paced.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what) {
  perror(what);
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int is_unix(const char *address) { return strncmp(address, "unix:", 5) == 0; }

static socklen_t parse(const char *address, struct sockaddr_storage *out) {
  memset(out, 0, sizeof *out);
  if (is_unix(address)) {
    struct sockaddr_un *un = (struct sockaddr_un *)out;
    un->sun_family = AF_UNIX;
    snprintf(un->sun_path, sizeof un->sun_path, "%s", address + 5);
    return sizeof *un;
  }
  struct sockaddr_in *in = (struct sockaddr_in *)out;
  char host[64];
  const char *colon = strrchr(address, ':');
  if (colon == NULL || (size_t)(colon - address) >= sizeof host) {
    fprintf(stderr, "not an address: %s\n", address);
    exit(2);
  }
  memcpy(host, address, (size_t)(colon - address));
  host[colon - address] = 0;
  in->sin_family = AF_INET;
  in->sin_port = htons((uint16_t)atoi(colon + 1));
  if (inet_pton(AF_INET, host, &in->sin_addr) != 1) die("inet_pton");
  return sizeof *in;
}

static void no_delay(int fd, const char *address) {
  int on = 1;
  const char *congestion = getenv("SLUICE_FLOOR_CONGESTION");
  if (is_unix(address)) return;
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) die("TCP_NODELAY");
  if (congestion != NULL && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion)) != 0) die(congestion);
}

/* 0 at the end of the stream. */
static int read_all(int fd, char *bytes, uint64_t count) {
  while (count > 0) {
    ssize_t got = recv(fd, bytes, count, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return 0;
    bytes += got;
    count -= (uint64_t)got;
  }
  return 1;
}

static int write_all(int fd, const char *bytes, uint64_t count) {
  while (count > 0) {
    ssize_t put = send(fd, bytes, count, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return 0;
    bytes += put;
    count -= (uint64_t)put;
  }
  return 1;
}

/* Touched once, so that no round pays for fresh pages. */
static char *buffer_of(uint64_t byte_count) {
  char *bytes = malloc(byte_count + 1);
  if (bytes == NULL) die("malloc");
  memset(bytes, 1, byte_count + 1);
  return bytes;
}

static void *serve_one(void *argument) {
  int fd = (int)(intptr_t)argument;
  uint64_t sizes[2];
  if (read_all(fd, (char *)sizes, sizeof sizes) && sizes[0] <= (1u << 31) && sizes[1] <= (1u << 31)) {
    char *request = buffer_of(sizes[0]);
    char *answer = buffer_of(sizes[1]);
    if (write_all(fd, "r", 1))
      while (read_all(fd, request, sizes[0]) && write_all(fd, answer, sizes[1])) {
      }
    free(request);
    free(answer);
  }
  close(fd);
  return NULL;
}

static int serve(const char *address) {
  struct sockaddr_storage name;
  socklen_t length = parse(address, &name);
  int fd = socket(name.ss_family, SOCK_STREAM, 0);
  int on = 1;
  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (is_unix(address)) unlink(address + 5);
  if (bind(fd, (struct sockaddr *)&name, length) != 0) die("bind");
  if (listen(fd, 16) != 0) die("listen");
  if (is_unix(address)) {
    printf("%s\n", address);
  } else {
    length = sizeof name;
    getsockname(fd, (struct sockaddr *)&name, &length);
    printf("%d\n", ntohs(((struct sockaddr_in *)&name)->sin_port));
  }
  fflush(stdout);
  for (;;) {
    struct pollfd wait[2] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    if (poll(wait, 2, -1) < 0 && errno != EINTR) die("poll");
    if (wait[1].revents != 0) break;
    if (wait[0].revents == 0) continue;
    int peer = accept(fd, NULL, NULL);
    if (peer < 0) continue;
    no_delay(peer, address);
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)peer) != 0) die("pthread_create");
    pthread_detach(thread);
  }
  if (is_unix(address)) unlink(address + 5);
  return 0;
}

static int client(char **arguments) {
  const char *address = arguments[0];
  uint64_t sizes[2] = {strtoull(arguments[1], NULL, 10), strtoull(arguments[2], NULL, 10)};
  long rounds = atol(arguments[3]);
  long warmup = atol(arguments[4]);
  uint64_t piece = arguments[5] == NULL ? sizes[0] : strtoull(arguments[5], NULL, 10);
  struct sockaddr_storage name;
  socklen_t length = parse(address, &name);
  int fd = socket(name.ss_family, SOCK_STREAM, 0);
  if (fd < 0) die("socket");
  if (connect(fd, (struct sockaddr *)&name, length) != 0) die("connect");
  no_delay(fd, address);
  char *request = buffer_of(sizes[0]);
  char *answer = buffer_of(sizes[1]);
  uint64_t *times = malloc(sizeof *times * (size_t)(rounds > 0 ? rounds : 1));
  if (times == NULL) die("malloc");
  if (!write_all(fd, (char *)sizes, sizeof sizes) || !read_all(fd, answer, 1)) die("handshake");
  for (long round = -warmup; round < rounds; round++) {
    uint64_t start = now_ns();
    for (uint64_t at = 0; at < sizes[0]; at += piece) {
      uint64_t count = sizes[0] - at < piece ? sizes[0] - at : piece;
      if (!write_all(fd, request + at, count)) die("write");
    }
    if (!read_all(fd, answer, sizes[1])) die("read");
    if (round >= 0) times[round] = now_ns() - start;
  }
  close(fd);
  for (long round = 0; round < rounds; round++) printf("%llu\n", (unsigned long long)times[round]);
  return 0;
}

static int pin(char **arguments) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (char *at = arguments[0]; *at != 0;) {
    CPU_SET(strtol(at, &at, 10), &set);
    if (*at == ',') at++;
    else if (*at != 0) return 2;
  }
  if (sched_setaffinity(0, sizeof set, &set) != 0) die("sched_setaffinity");
  execvp(arguments[1], arguments + 1);
  die(arguments[1]);
  return 1;
}

int main(int count, char **arguments) {
  signal(SIGPIPE, SIG_IGN);
  if (count == 3 && strcmp(arguments[1], "serve") == 0) return serve(arguments[2]);
  if ((count == 7 || count == 8) && strcmp(arguments[1], "client") == 0) return client(arguments + 2);
  if (count >= 4 && strcmp(arguments[1], "pin") == 0) return pin(arguments + 2);
  fprintf(stderr, "usage: floor serve ADDRESS | client ADDRESS Q A ROUNDS WARMUP [PIECE] | pin CPU COMMAND...\n");
  return 2;
}
