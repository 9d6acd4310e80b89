/* For programs that use libraries whose functions return a status. */
#ifndef TEST_STATUS_H
#define TEST_STATUS_H

#include <stdio.h>
#include <stdlib.h>

/* Ends the program unless the call has just this status. */
#define STATUS(call, wanted)                                                                                                            \
    do {                                                                                                                                \
        int status_is = (call);                                                                                                         \
        if (status_is != (wanted)) {                                                                                                    \
            printf("line %d: %s: %d, not %d\n", __LINE__, #call, status_is, wanted);                                                    \
            exit(1);                                                                                                                    \
        }                                                                                                                               \
    } while (0)

#endif
