/* Lines for people: stderr and the trace file. A line is one write, so that lines of several threads and processes do not mix. */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES_MAX 1024

int trace_on = 0;
const char *(*report_about_address)(unsigned long long address);
static int trace_file = -1;

__attribute__((constructor)) static void trace_open(void) {
    const char *path = getenv("SLUICE_TRACE");
    if (path == NULL || *path == '\0') return;
    trace_file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (trace_file < 0) report("the trace file [%s] of SLUICE_TRACE cannot be opened [%s].", path, strerror(errno));
    else trace_on = 1;
}

/* The time of day as HH:MM:SS.microseconds, UTC, the same for all processes of the trace. Returns its length. */
static int write_time(char *line, size_t bytes) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int second = (int)(now.tv_sec % 86400);
    return snprintf(line, bytes, "%02d:%02d:%02d.%06ld ", second / 3600, second / 60 % 60, second % 60, now.tv_nsec / 1000);
}

static void write_line(int file, const char *prefix, const char *text) {
    char line[LINE_BYTES_MAX];
    int length = file == trace_file ? write_time(line, sizeof line) : 0;
    length += snprintf(line + length, sizeof line - 1 - (size_t)length, "%s%s", prefix, text);
    if (length > LINE_BYTES_MAX - 2) length = LINE_BYTES_MAX - 2;
    line[length] = '\n';
    ssize_t written = write(file, line, (size_t)length + 1);
    (void)written; /* There is nobody left to tell. */
}

static __thread char last[LINE_BYTES_MAX];
/* What this thread has shown last: programs that try the same again, or never look at an error, say it once. */
static __thread char shown[LINE_BYTES_MAX];

const char *report_last(void) {
    return last;
}

void report_forget(void) {
    last[0] = '\0';
}

static void show(const char *text) {
    if (strcmp(text, shown) != 0) {
        snprintf(shown, sizeof shown, "%s", text);
        write_line(STDERR_FILENO, "sluice: ", text);
    }
    if (trace_on) write_line(trace_file, "! ", text);
}

void report(const char *format, ...) {
    int saved = errno;
    va_list values;
    va_start(values, format);
    vsnprintf(last, sizeof last, format, values);
    va_end(values);
    show(last);
    errno = saved;
}

void notice(const char *format, ...) {
    int saved = errno;
    char text[LINE_BYTES_MAX];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    show(text);
    errno = saved;
}

void trace(const char *format, ...) {
    if (!trace_on) return;
    int saved = errno;
    char prefix[48], text[LINE_BYTES_MAX];
    snprintf(prefix, sizeof prefix, "%d.%ld ", (int)getpid(), syscall(SYS_gettid));
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    write_line(trace_file, prefix, text);
    errno = saved;
}

void trace_refusal(const char *name, const char *why) {
    trace("%s is not supported: %s", name, why);
}
