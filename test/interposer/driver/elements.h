/* Numbers of the four types that libraries for linear algebra have, by the letters of their functions: S, D, C, Z. */
#ifndef TEST_ELEMENTS_H
#define TEST_ELEMENTS_H

#include <complex.h>
#include <stddef.h>
#include <stdint.h>

typedef double _Complex number;

/* As cudaDataType. */
static const int data_types[] = {0, 1, 4, 5};
static const size_t element_bytes[] = {4, 8, 8, 16};
static const double tolerances[] = {1e-4, 1e-11, 1e-4, 1e-11};

/* From -1 to 1, the same in every run; of a complex type with an imaginary part. */
static inline number next_number(int type) {
    static uint32_t state = 4711;
    double parts[2];
    for (int i = 0; i < 2; i++) {
        state = state * 1664525u + 1013904223u;
        parts[i] = (double)(state >> 8) / (1 << 23) - 1;
    }
    return parts[0] + (type >= 2 ? parts[1] * I : 0);
}

static inline void put_element(int type, void *elements, size_t index, number value) {
    if (type == 0) ((float *)elements)[index] = (float)creal(value);
    else if (type == 1) ((double *)elements)[index] = creal(value);
    else if (type == 2) ((float _Complex *)elements)[index] = (float _Complex)value;
    else ((number *)elements)[index] = value;
}

static inline number element_of(int type, const void *elements, size_t index) {
    return type == 0   ? ((const float *)elements)[index]
           : type == 1 ? ((const double *)elements)[index]
           : type == 2 ? ((const float _Complex *)elements)[index]
                       : ((const number *)elements)[index];
}

#endif
