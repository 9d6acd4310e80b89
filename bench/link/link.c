/*
 * An emulated link: forwards TCP connections with a delay and a rate. It knows bytes only. Every piece is delivered at
 * arrival + queueing at the rate + delay, where arrival is the kernel's own time stamp of the packet, so that waking late costs no
 * accuracy as long as it is not later than the delay; the last stretch before a delivery is spun. One thread per direction.
 * The rate holds per connection and direction; a link holds at most RING_BYTES_MAX in flight, as a router's buffer would.
 *
 *   link DELAY_US RATE_MBIT MAP...    MAP is HOST:PORT=HOST:PORT, listen and target (numeric); RATE 0 is no bound
 *
 * Prints the bound port of each map, one per line, and forwards until stdin closes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Time before a delivery that is spun instead of slept: longer than a machine takes to wake, a quarter of the delay between these. */
#define SPIN_NS_MIN 120000u
#define SPIN_NS_MAX 500000u
/* A time stamp older than this is not believed. */
#define STAMP_AGE_NS_MAX 20000000
#define RING_BYTES_MIN (256u * 1024)
#define RING_BYTES_MAX (64u * 1024 * 1024)
#define PIECES_MAX 65536u
#define RECEIVE_BYTES (256u * 1024)
#define MAPS_MAX 8

static uint64_t delay_ns;
static uint64_t spin_ns;
static double ns_per_byte;
static uint32_t piece_bytes_max;
static uint32_t ring_bytes;

struct piece {
  uint64_t deadline;
  uint32_t byte_count;
};

/* One direction of one connection. */
struct lane {
  int in;
  int out;
  char *ring;
  struct piece *pieces;
  uint64_t received; /* bytes ever */
  uint64_t sent;
  uint64_t first_piece;
  uint64_t end_piece;
  uint64_t line_free_ns; /* when the emulated line has sent what it was given */
  int ended;
  atomic_int *open_lanes;
};

static void die(const char *what) {
  perror(what);
  exit(1);
}

static uint64_t clock_ns(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Rings are kept: touching fresh pages costs more than the delays measured here. */
static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;
static char *spare[32];
static int spare_count;

static char *take_ring(void) {
  char *ring = NULL;
  pthread_mutex_lock(&spare_lock);
  if (spare_count > 0) ring = spare[--spare_count];
  pthread_mutex_unlock(&spare_lock);
  if (ring != NULL) return ring;
  size_t byte_count = ring_bytes + sizeof(struct piece) * PIECES_MAX;
  ring = mmap(NULL, byte_count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (ring == MAP_FAILED) die("mmap");
  return ring;
}

static void keep_ring(char *ring) {
  pthread_mutex_lock(&spare_lock);
  if (spare_count < 32) spare[spare_count++] = ring;
  else munmap(ring, ring_bytes + sizeof(struct piece) * PIECES_MAX);
  pthread_mutex_unlock(&spare_lock);
}

/* When the bytes just received came in, on the monotonic clock. */
static uint64_t arrival_of(struct msghdr *message) {
  uint64_t now = clock_ns(CLOCK_MONOTONIC);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    struct timespec stamp;
    memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
    int64_t age = (int64_t)(clock_ns(CLOCK_REALTIME) - ((uint64_t)stamp.tv_sec * 1000000000u + (uint64_t)stamp.tv_nsec));
    if (age > 0 && age < STAMP_AGE_NS_MAX) return now - (uint64_t)age;
  }
  return now;
}

static void queue_pieces(struct lane *lane, uint64_t arrival, uint32_t byte_count) {
  while (byte_count > 0) {
    uint32_t piece = byte_count < piece_bytes_max ? byte_count : piece_bytes_max;
    uint64_t start = arrival > lane->line_free_ns ? arrival : lane->line_free_ns;
    lane->line_free_ns = start + (uint64_t)(ns_per_byte * piece);
    struct piece *entry = &lane->pieces[lane->end_piece++ % PIECES_MAX];
    entry->deadline = lane->line_free_ns + delay_ns;
    entry->byte_count = piece;
    byte_count -= piece;
  }
}

/* Takes what has come, as far as there is room. 1: something came. */
static int receive(struct lane *lane) {
  uint64_t room = ring_bytes - (lane->received - lane->sent);
  uint32_t at = (uint32_t)(lane->received % ring_bytes);
  uint64_t count = room < ring_bytes - at ? room : ring_bytes - at;
  if (count > RECEIVE_BYTES) count = RECEIVE_BYTES;
  uint64_t pieces_left = PIECES_MAX - (lane->end_piece - lane->first_piece);
  if (lane->ended || count == 0 || pieces_left < RECEIVE_BYTES / piece_bytes_max + 1) return 0;
  struct iovec vector = {.iov_base = lane->ring + at, .iov_len = count};
  char control[256];
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t got = recvmsg(lane->in, &message, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (got <= 0) {
    lane->ended = 1;
    return 1;
  }
  lane->received += (uint64_t)got;
  queue_pieces(lane, arrival_of(&message), (uint32_t)got);
  return 1;
}

/* Sends everything whose time has come; 0 when the peer is gone. */
static int deliver(struct lane *lane) {
  uint64_t now = clock_ns(CLOCK_MONOTONIC);
  uint64_t due = 0;
  while (lane->first_piece < lane->end_piece) {
    struct piece *entry = &lane->pieces[lane->first_piece % PIECES_MAX];
    if (entry->deadline > now) break;
    due += entry->byte_count;
    lane->first_piece++;
  }
  while (due > 0) {
    uint32_t at = (uint32_t)(lane->sent % ring_bytes);
    uint64_t count = due < ring_bytes - at ? due : ring_bytes - at;
    ssize_t put = send(lane->out, lane->ring + at, count, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return 0;
    lane->sent += (uint64_t)put;
    due -= (uint64_t)put;
  }
  return 1;
}

static void wait_for_work(struct lane *lane) {
  int idle = lane->first_piece == lane->end_piece;
  uint64_t now = clock_ns(CLOCK_MONOTONIC);
  uint64_t deadline = idle ? 0 : lane->pieces[lane->first_piece % PIECES_MAX].deadline;
  if (!idle && deadline <= now + spin_ns) return; /* the caller's loop spins */
  struct pollfd input = {.fd = lane->ended ? -1 : lane->in, .events = POLLIN};
  struct timespec timeout = {0, 0};
  if (!idle) {
    uint64_t sleep_ns = deadline - now - spin_ns;
    timeout.tv_sec = (time_t)(sleep_ns / 1000000000u);
    timeout.tv_nsec = (long)(sleep_ns % 1000000000u);
  }
  /* A lane whose ring is full must not be woken by input that it cannot take. */
  if (lane->received - lane->sent >= ring_bytes) input.fd = -1;
  ppoll(&input, 1, idle ? NULL : &timeout, NULL);
}

static void *run_lane(void *argument) {
  struct lane *lane = argument;
  prctl(PR_SET_TIMERSLACK, 1);
  for (;;) {
    int came = receive(lane);
    if (!deliver(lane)) break;
    int idle = lane->first_piece == lane->end_piece;
    if (idle && lane->ended) break;
    if (!came) wait_for_work(lane);
  }
  shutdown(lane->out, SHUT_WR);
  shutdown(lane->in, SHUT_RD);
  if (atomic_fetch_sub(lane->open_lanes, 1) == 1) {
    close(lane->in);
    close(lane->out);
    free(lane->open_lanes);
  }
  keep_ring(lane->ring);
  free(lane);
  return NULL;
}

static void start_lane(int in, int out, atomic_int *open_lanes) {
  int on = 1;
  setsockopt(in, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  setsockopt(in, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct lane *lane = calloc(1, sizeof *lane);
  if (lane == NULL) die("calloc");
  lane->in = in;
  lane->out = out;
  lane->ring = take_ring();
  lane->pieces = (struct piece *)(lane->ring + ring_bytes);
  lane->open_lanes = open_lanes;
  pthread_t thread;
  if (pthread_create(&thread, NULL, run_lane, lane) != 0) die("pthread_create");
  pthread_detach(thread);
}

static struct sockaddr_in parse(const char *text, size_t length) {
  char host[64];
  struct sockaddr_in address = {.sin_family = AF_INET};
  const char *colon = memchr(text, ':', length);
  if (colon == NULL || (size_t)(colon - text) >= sizeof host) {
    fprintf(stderr, "not an address: %.*s\n", (int)length, text);
    exit(2);
  }
  memcpy(host, text, (size_t)(colon - text));
  host[colon - text] = 0;
  address.sin_port = htons((uint16_t)atoi(colon + 1));
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) die("inet_pton");
  return address;
}

static void forward(int peer, const struct sockaddr_in *target) {
  int out = socket(AF_INET, SOCK_STREAM, 0);
  if (out < 0) die("socket");
  atomic_int *open_lanes = malloc(sizeof *open_lanes);
  if (open_lanes == NULL) die("malloc");
  if (connect(out, (const struct sockaddr *)target, sizeof *target) != 0) {
    close(out);
    close(peer);
    free(open_lanes);
    return;
  }
  atomic_init(open_lanes, 2);
  start_lane(peer, out, open_lanes);
  start_lane(out, peer, open_lanes);
}

static void set_link(double delay_us, double rate_mbit) {
  delay_ns = (uint64_t)(delay_us * 1000);
  spin_ns = delay_ns / 4;
  if (spin_ns < SPIN_NS_MIN) spin_ns = SPIN_NS_MIN;
  if (spin_ns > SPIN_NS_MAX) spin_ns = SPIN_NS_MAX;
  ns_per_byte = rate_mbit > 0 ? 8000.0 / rate_mbit : 0;
  /* Pieces of about 50 us at the rate: finer than anything measured, coarser than the cost of a send. */
  piece_bytes_max = RECEIVE_BYTES;
  if (ns_per_byte > 0) {
    piece_bytes_max = (uint32_t)(50000 / ns_per_byte);
    if (piece_bytes_max < 1448) piece_bytes_max = 1448;
    if (piece_bytes_max > RECEIVE_BYTES) piece_bytes_max = RECEIVE_BYTES;
  }
  double in_flight = rate_mbit > 0 ? 4 * (double)delay_ns / ns_per_byte : (double)delay_ns * 4;
  ring_bytes = RING_BYTES_MIN;
  while (ring_bytes < in_flight && ring_bytes < RING_BYTES_MAX) ring_bytes *= 2;
}

int main(int count, char **arguments) {
  if (count < 4 || count > 3 + MAPS_MAX) {
    fprintf(stderr, "usage: link DELAY_US RATE_MBIT HOST:PORT=HOST:PORT...\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  set_link(atof(arguments[1]), atof(arguments[2]));
  for (int index = 0; index < 4; index++) keep_ring(take_ring());
  int maps = count - 3;
  struct sockaddr_in targets[MAPS_MAX];
  struct pollfd wait[MAPS_MAX + 1];
  for (int index = 0; index < maps; index++) {
    const char *map = arguments[3 + index];
    const char *equals = strchr(map, '=');
    if (equals == NULL) die("a map without =");
    struct sockaddr_in name = parse(map, (size_t)(equals - map));
    targets[index] = parse(equals + 1, strlen(equals + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;
    socklen_t length = sizeof name;
    if (fd < 0) die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&name, sizeof name) != 0) die("bind");
    if (listen(fd, 64) != 0) die("listen");
    getsockname(fd, (struct sockaddr *)&name, &length);
    printf("%d\n", ntohs(name.sin_port));
    wait[index] = (struct pollfd){.fd = fd, .events = POLLIN};
  }
  fflush(stdout);
  wait[maps] = (struct pollfd){.fd = 0, .events = POLLIN};
  for (;;) {
    if (poll(wait, (nfds_t)maps + 1, -1) < 0 && errno != EINTR) die("poll");
    if (wait[maps].revents != 0) return 0;
    for (int index = 0; index < maps; index++) {
      if (wait[index].revents == 0) continue;
      int peer = accept(wait[index].fd, NULL, NULL);
      if (peer >= 0) forward(peer, &targets[index]);
    }
  }
}
