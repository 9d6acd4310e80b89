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
#elif defined(__GLIBC__) && defined(__aarch64__)
#define OLDEST "GLIBC_2.17"
#define OLDEST_TRYJOIN OLDEST
#endif

/* glibc 2.34, or an earlier one, moved these from libpthread and libdl, under a new version. */
#ifdef OLDEST
#define TAKE_VERSION(name, version) __asm__(".symver " #name "," #name "@" version);
#define TAKE_OLDEST(name) TAKE_VERSION(name, OLDEST)
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
#endif

#endif
