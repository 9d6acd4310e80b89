/*
 * How much of the stand-in's devices is in use. With SLUICE_STANDIN_CARD, the name of a file, all processes that name it share the devices, and what
 * a dead one had is free, as on a card; else each process has devices of its own.
 */
#define _GNU_SOURCE
#include "standin.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SHARES 256

/* What one process has. */
struct share {
  int pid;
  int keeps; /* not its own: kept after faults */
  int64_t dead_since_ms; /* when somebody noticed */
  int64_t bytes[DEVICES];
};

static struct share alone, *shares = &alone, *own = &alone;
static int share_count = 1, file = -1;

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

static int alive(struct share *s) {
  if (s == own || (s->pid != 0 && (kill(s->pid, 0) == 0 || errno != ESRCH))) return 1;
  const char *late = getenv("SLUICE_STANDIN_LATE_MS");
  if (s->pid == 0 || late == NULL) return 0;
  if (s->dead_since_ms == 0) s->dead_since_ms = now_ms();
  return now_ms() - s->dead_since_ms < atoll(late);
}

static void lock(int how) {
  if (file >= 0) flock(file, how);
}

static void open_card(void) {
  static int opened;
  const char *path = opened++ ? NULL : getenv("SLUICE_STANDIN_CARD");
  if (path == NULL) return;
  file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, SHARES * sizeof *shares) != 0) abort();
  struct share *all = mmap(NULL, SHARES * sizeof *shares, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (all == MAP_FAILED) abort();
  lock(LOCK_EX);
  struct share *mine = NULL;
  for (int i = 0; i < SHARES && mine == NULL; i++)
    if (!alive(&all[i])) mine = &all[i];
  if (mine == NULL) abort();
  *mine = (struct share){.pid = getpid()};
  shares = all, own = mine, share_count = SHARES;
  lock(LOCK_UN);
}

uint64_t standin_used(int device) {
  open_card();
  /* SLUICE_STANDIN_OTHERS: what other programs have of the first device, in MiB. */
  const char *others = device == 0 ? getenv("SLUICE_STANDIN_OTHERS") : NULL;
  int64_t used = others == NULL ? 0 : atoll(others) << 20;
  for (int i = 0; i < share_count; i++)
    if (shares[i].bytes[device] != 0 && alive(&shares[i])) used += shares[i].bytes[device];
  return (uint64_t)used;
}

int standin_process(int device, int place, unsigned long long *bytes) {
  open_card();
  if (place >= share_count) return -1;
  const struct share *found = &shares[place];
  if (found->bytes[device] <= 0 || found->keeps) return 0;
  *bytes = (unsigned long long)found->bytes[device];
  return found == &alone ? getpid() : found->pid;
}

int standin_take(int device, int64_t bytes) {
  open_card();
  lock(LOCK_EX);
  int fits = bytes <= 0 || standin_used(device) + (uint64_t)bytes <= DEVICE_BYTES;
  if (fits) own->bytes[device] += bytes;
  lock(LOCK_UN);
  return fits;
}

/*
 * With SLUICE_STANDIN_FAULT_KEEPS, a number of bytes, a shared device keeps so many after each fault, as long as the parent of the process that had it lives;
 * with `once` behind the number, after the first.
 */
void standin_keep_after_fault(int device) {
  open_card();
  const char *text = getenv("SLUICE_STANDIN_FAULT_KEEPS");
  if (text == NULL || file < 0) return;
  lock(LOCK_EX);
  struct share *parent = NULL;
  for (int i = 0; i < SHARES; i++)
    if (shares[i].pid == getppid() && shares[i].keeps) parent = &shares[i];
  for (int i = 0; i < SHARES && parent == NULL; i++)
    if (!alive(&shares[i])) *(parent = &shares[i]) = (struct share){.pid = getppid(), .keeps = 1};
  if (parent != NULL && (parent->bytes[device] == 0 || strstr(text, "once") == NULL)) parent->bytes[device] += atoll(text);
  lock(LOCK_UN);
}
