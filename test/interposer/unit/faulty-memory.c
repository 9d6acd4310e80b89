/* faulty-memory.h as a library, for programs that are not in C. */
#include "faulty-memory.h"

void *faulty_allocate(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* As meet_helpers; those that stall may go on. */
void faulty_meet_helpers(int what) {
    meet_helpers(what);
    atomic_store(&go_on, true);
}

/* One page in the middle of each `step` bytes. */
void faulty_make(uint8_t *memory, size_t bytes, size_t step) {
    for (size_t at = step / 2; at < bytes; at += step) make_faulty(memory + at);
}

int faulty_met(void) {
    return atomic_load(&met);
}
