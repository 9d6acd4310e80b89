/* What the interposer tells a person: lines on stderr for what stops a program, and the trace of calls in the file SLUICE_TRACE. */
#ifndef SLUICE_REPORT_H
#define SLUICE_REPORT_H

/* One line on stderr, `sluice: ...`, unless it is the line that this thread showed last; and into the trace. */
__attribute__((format(printf, 1, 2))) void report(const char *format, ...);

/* As report(), for what is no failure. */
__attribute__((format(printf, 1, 2))) void notice(const char *format, ...);

/* What the driver knows of an address at which a kernel failed and that is none of the device's: a line for report(), or NULL. The driver sets it. */
extern const char *(*report_about_address)(unsigned long long address);

/* What this thread reported last, since it was told to forget; empty when that is nothing. */
const char *report_last(void);
void report_forget(void);

/* Traces that a documented function is refused, and why: one of the sentences of refusals.def. */
void trace_refusal(const char *name, const char *why);

/* Whether SLUICE_TRACE names a file. Set by trace_open(), which runs when the library is loaded. */
extern int trace_on;

/* One line of the trace: time of day (UTC), process and thread, then the text. Does nothing without SLUICE_TRACE. */
__attribute__((format(printf, 1, 2))) void trace(const char *format, ...);

#endif
