/* See holders.h. What other processes claim here decides about words and about how long to wait, and about nothing else. */
#include "holders.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "sha256.h"

#define MARK_BYTES 40
#define ANCESTORS_MAX 64

/* `sluice/`, 16 digits, and a `/`. */
static void mark_of(const uint8_t secret[32], char mark[MARK_BYTES]) {
    static const char purpose[] = "holder";
    uint8_t digest[SLUICE_SHA256_BYTES];
    struct hmac mac;
    hmac_start(&mac, secret, 32);
    hmac_add(&mac, purpose, sizeof purpose);
    hmac_finish(&mac, digest);
    int length = snprintf(mark, MARK_BYTES, "sluice/");
    for (int i = 0; i < 8; i++) length += snprintf(mark + length, MARK_BYTES - (size_t)length, "%02x", digest[i]);
    snprintf(mark + length, MARK_BYTES - (size_t)length, "/");
}

int holder_show(const uint8_t secret[32]) {
    char mark[MARK_BYTES];
    mark_of(secret, mark);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    /* The first byte of an abstract name is 0. */
    int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "%s%d", mark, (int)getpid());
    int file = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (file < 0) return -1;
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    if (bind(file, (struct sockaddr *)&address, bytes) == 0) return file;
    close(file);
    return -1;
}

/* The parent of a process, and its name; 0 when there is no such process. */
static pid_t parent_of(pid_t process, char *name, size_t name_bytes) {
    char path[32], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)process);
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    size_t length = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[length] = '\0';
    /* `PID (NAME) STATE PARENT ...`; the name may hold anything. */
    const char *open = strchr(line, '('), *close = strrchr(line, ')');
    if (open == NULL || close == NULL || close < open) return 0;
    snprintf(name, name_bytes, "%.*s", (int)(close - open - 1), open + 1);
    for (char *at = name; *at != '\0'; at++)
        if (*at < ' ' || *at > '~') *at = '?';
    int parent = 0;
    return sscanf(close + 1, " %*c %d", &parent) == 1 ? (pid_t)parent : 0;
}

static bool is_ancestor(pid_t process) {
    char name[32];
    pid_t each = getppid();
    for (int i = 0; i < ANCESTORS_MAX && each > 0; i++) {
        if (each == process) return true;
        each = parent_of(each, name, sizeof name);
    }
    return false;
}

struct holder holder_find(const uint8_t secret[32]) {
    struct holder found = {0};
    char line[512], mark[MARK_BYTES];
    mark_of(secret, mark);
    FILE *file = fopen("/proc/net/unix", "re");
    if (file == NULL) return found;
    while (found.process == 0 && fgets(line, sizeof line, file) != NULL) {
        const char *at = strstr(line, mark);
        if (at == NULL) continue;
        long process = strtol(at + strlen(mark), NULL, 10);
        if (process > 0 && process <= INT32_MAX) found.process = (pid_t)process;
    }
    fclose(file);
    if (found.process == 0) return found;
    if (parent_of(found.process, found.name, sizeof found.name) == 0 && found.name[0] == '\0') found.process = 0;
    else found.is_ancestor = is_ancestor(found.process);
    return found;
}
