/*
 * Threads that copy large pieces of memory together with the program's own: a processor alone copies slower than a device fetches. A copy is cut
 * into chunks, and whoever is free takes the next, so a helper that sleeps, or has no processor, is waited for by nobody.
 */
#ifndef SLUICE_TOGETHER_H
#define SLUICE_TOGETHER_H

#include <stddef.h>

/* As memcpy. May be called by several threads: one of them is helped at a time. Helpers start once so much was copied that they pay. */
void copy_together(void *to, const void *from, size_t bytes);

#endif
