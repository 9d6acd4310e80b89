/* Addresses of modules' variables, which lie outside the arena: found by address when copies and questions name one. */
#include "driver.h"

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct module *known[4096];
static unsigned known_count;

bool globals_find(uint64_t address, struct global *found, struct device **device) {
    bool is_found = false;
    pthread_rwlock_rdlock(&lock);
    for (unsigned i = 0; i < known_count && !is_found; i++) {
        for (uint32_t at = 0; at < known[i]->global_count && !is_found; at++) {
            const struct global *global = &known[i]->globals[at];
            if (address - global->address >= global->byte_count) continue;
            *found = *global;
            *device = known[i]->device;
            is_found = true;
        }
    }
    pthread_rwlock_unlock(&lock);
    return is_found;
}

/* Modules without variables have nothing to be found by. */
void globals_add(struct module *module) {
    if (module->global_count == 0) return;
    pthread_rwlock_wrlock(&lock);
    if (known_count < sizeof known / sizeof *known) known[known_count++] = module;
    else report("more than [%zu] modules have variables; those of further ones cannot be copied to.", sizeof known / sizeof *known);
    pthread_rwlock_unlock(&lock);
}

void globals_remove(struct module *module) {
    pthread_rwlock_wrlock(&lock);
    for (unsigned i = 0; i < known_count; i++) {
        if (known[i] == module) {
            known[i] = known[--known_count];
            break;
        }
    }
    pthread_rwlock_unlock(&lock);
}
