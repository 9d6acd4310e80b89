/*
 * Included before everything (Makefile): takes the oldest versions of what newer C libraries offer under new ones, so that the libraries run
 * with glibc 2.17 and later, wherever they were built. A folder of them may serve machines and containers of several ages.
 */
#ifndef SLUICE_BASELINE_H
#define SLUICE_BASELINE_H

#include <features.h>

#if defined(__GLIBC__) && defined(__x86_64__)
#define OLDEST "GLIBC_2.2.5"
#define OLDEST_TRYJOIN "GLIBC_2.3.3"
#define OLDEST_SCANF "GLIBC_2.7"
#elif defined(__GLIBC__) && defined(__aarch64__)
#define OLDEST "GLIBC_2.17"
#define OLDEST_TRYJOIN OLDEST
#define OLDEST_SCANF OLDEST
#endif

#ifdef OLDEST
#define TAKE_AS(name, older, version) __asm__(".symver " #name "," #older "@" version);
#define TAKE_VERSION(name, version) TAKE_AS(name, name, version)
#define TAKE_OLDEST(name) TAKE_VERSION(name, OLDEST)
/* glibc 2.34, or an earlier one, moved these from libpthread and libdl, under a new version. */
TAKE_OLDEST(dladdr)
TAKE_OLDEST(dlclose)
TAKE_OLDEST(dlopen)
TAKE_OLDEST(dlsym)
TAKE_OLDEST(pthread_attr_setstacksize)
TAKE_OLDEST(pthread_create)
TAKE_OLDEST(pthread_join)
TAKE_OLDEST(pthread_mutex_trylock)
TAKE_OLDEST(pthread_once)
TAKE_OLDEST(pthread_rwlock_rdlock)
TAKE_OLDEST(pthread_rwlock_unlock)
TAKE_OLDEST(pthread_rwlock_wrlock)
TAKE_OLDEST(pthread_sigmask)
TAKE_VERSION(pthread_tryjoin_np, OLDEST_TRYJOIN)
/* From glibc 2.38 on, headers lead what reads numbers to functions that also take 0b for base 2; atoi is strtol there. */
TAKE_AS(__isoc23_fscanf, __isoc99_fscanf, OLDEST_SCANF)
TAKE_AS(__isoc23_sscanf, __isoc99_sscanf, OLDEST_SCANF)
TAKE_AS(__isoc23_strtol, strtol, OLDEST)
TAKE_AS(__isoc23_strtoull, strtoull, OLDEST)
#endif

#endif
