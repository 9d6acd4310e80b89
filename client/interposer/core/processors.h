/*
 * How many processors this process may use: those that the system lets it run on, or fewer where a control group gives it less of their time. Who
 * goes on beyond such a quota stands still for the rest of its period, 100 ms by default. shared/processors.ts is the same for programs of the library.
 */
#ifndef SLUICE_PROCESSORS_H
#define SLUICE_PROCESSORS_H

#include <stdbool.h>

/* Of `available` ones, rounded down. The system's files are looked for below `root`, which is "" but in tests. */
int processors_within(int available, const char *root);

/* What SLUICE_AWAKE says of staying awake, and else whether there are so many; known from the first call on. */
bool may_use_processors(int count);

#endif
