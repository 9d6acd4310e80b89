/* Reads fat binaries; see fatbin.h. */
#include "fatbin.h"

#include <stdlib.h>
#include <string.h>

#define WRAPPER_MAGIC 0x466243b1u
#define WRAPPER_OF_LINKER 2
#define FATBIN_MAGIC 0xba55ed50u
#define ENTRY_HEADER_BYTES_MIN 64
#define KIND_PTX 1
#define KIND_BINARY 2
#define FLAG_LZ4 0x2000u
#define FLAG_ZSTD 0x8000u
#define TEXT_BYTES_MAX ((uint64_t)256 << 20)

static uint16_t get_u16(const uint8_t *at) {
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}
static uint32_t get_u32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}
static uint64_t get_u64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

const uint8_t *fatbin_of(const void *code) {
    const uint8_t *at = code;
    if (at == NULL) return NULL;
    if (get_u32(at) == WRAPPER_MAGIC) {
        void *data;
        memcpy(&data, at + 8, sizeof data);
        at = data;
    }
    return at != NULL && get_u32(at) == FATBIN_MAGIC ? at : NULL;
}

const void *const *fatbin_prelinked(const void *code) {
    const uint8_t *at = code;
    const void *const *list = NULL;
    if (at != NULL && get_u32(at) == WRAPPER_MAGIC && get_u32(at + 4) == WRAPPER_OF_LINKER) memcpy(&list, at + 16, sizeof list);
    return list;
}

bool fatbin_is_empty(const uint8_t *fatbin) {
    return get_u64(fatbin + 8) == 0;
}

size_t fatbin_bytes(const uint8_t *fatbin) {
    return get_u16(fatbin + 6) + (size_t)get_u64(fatbin + 8);
}

/* Where the fields of an entry's header stand. */
struct entry {
    unsigned kind, architecture;
    uint64_t flags, packed_bytes, unpacked_bytes;
    const uint8_t *data;
    uint64_t data_bytes;
};

static bool read_entry(const uint8_t **at, const uint8_t *end, struct entry *entry) {
    const uint8_t *header = *at;
    if ((size_t)(end - header) < ENTRY_HEADER_BYTES_MIN) return false;
    uint32_t header_bytes = get_u32(header + 4);
    entry->data_bytes = get_u64(header + 8);
    if (header_bytes < ENTRY_HEADER_BYTES_MIN || header_bytes > (size_t)(end - header)) return false;
    if (entry->data_bytes > (size_t)(end - header) - header_bytes) return false;
    entry->kind = get_u16(header);
    entry->packed_bytes = get_u32(header + 16);
    entry->architecture = get_u32(header + 28);
    entry->flags = get_u64(header + 40);
    entry->unpacked_bytes = get_u64(header + 56);
    entry->data = header + header_bytes;
    *at = entry->data + entry->data_bytes;
    return true;
}

static bool unpack(const struct entry *entry, struct fatbin_choice *choice) {
    bool is_packed = (entry->flags & (FLAG_LZ4 | FLAG_ZSTD)) != 0;
    uint64_t bytes = is_packed ? entry->unpacked_bytes : entry->data_bytes;
    if (bytes > TEXT_BYTES_MAX || (is_packed && entry->packed_bytes > entry->data_bytes)) return false;
    char *text = malloc(bytes + 1);
    if (text == NULL) return false;
    bool is_good = true;
    if (!is_packed) memcpy(text, entry->data, bytes);
    else if ((entry->flags & FLAG_ZSTD) != 0) is_good = zstd_unpack(entry->data, entry->packed_bytes, (uint8_t *)text, bytes);
    else is_good = lz4_unpack(entry->data, entry->packed_bytes, (uint8_t *)text, bytes);
    if (!is_good) {
        free(text);
        return false;
    }
    text[bytes] = '\0';
    choice->text = text;
    choice->byte_count = strlen(text);
    return true;
}

struct fatbin_choice fatbin_choose(const uint8_t *fatbin, unsigned capability) {
    struct fatbin_choice choice = {0};
    const uint8_t *at = fatbin + get_u16(fatbin + 6), *end = fatbin + fatbin_bytes(fatbin);
    struct entry entry, best = {0};
    while (at < end && read_entry(&at, end, &entry)) {
        if (entry.kind != KIND_PTX) continue;
        if (entry.architecture <= capability) best = entry.architecture >= best.architecture ? entry : best;
        else if (choice.newer == 0 || entry.architecture < choice.newer) choice.newer = entry.architecture;
    }
    if (best.data != NULL) choice.is_broken = !unpack(&best, &choice);
    return choice;
}

static bool is_loadable(const struct entry *entry, unsigned capability) {
    if (entry->kind == KIND_PTX) return entry->architecture <= capability;
    return entry->kind != KIND_BINARY || entry->architecture / 10 == capability / 10;
}

uint8_t *fatbin_cut(const uint8_t *fatbin, unsigned capability, size_t *bytes) {
    size_t header_bytes = get_u16(fatbin + 6), kept = header_bytes;
    const uint8_t *at = fatbin + header_bytes, *end = fatbin + fatbin_bytes(fatbin);
    uint8_t *cut = malloc(fatbin_bytes(fatbin));
    struct entry entry;
    if (cut == NULL) return NULL;
    memcpy(cut, fatbin, header_bytes);
    for (const uint8_t *from = at; at < end && read_entry(&at, end, &entry); from = at) {
        if (!is_loadable(&entry, capability)) continue;
        memcpy(cut + kept, from, (size_t)(at - from));
        kept += (size_t)(at - from);
    }
    if (at != end || kept == header_bytes || kept == fatbin_bytes(fatbin)) {
        free(cut);
        return NULL;
    }
    uint64_t data_bytes = kept - header_bytes;
    memcpy(cut + 8, &data_bytes, sizeof data_bytes);
    *bytes = kept;
    return cut;
}

/* A block of LZ4: tokens of literals and matches. The last sequence has literals only. */
bool lz4_unpack(const uint8_t *from, size_t from_bytes, uint8_t *into, size_t into_bytes) {
    const uint8_t *end = from + from_bytes;
    size_t written = 0;
    while (from < end) {
        unsigned token = *from++;
        size_t literals = token >> 4, match = token & 15;
        for (unsigned more = literals == 15 ? 255 : 0; more == 255 && from < end;) literals += more = *from++;
        if (literals > (size_t)(end - from) || literals > into_bytes - written) return false;
        memcpy(into + written, from, literals);
        from += literals;
        written += literals;
        if (from == end) break;
        if (end - from < 2) return false;
        size_t distance = get_u16(from);
        from += 2;
        for (unsigned more = match == 15 ? 255 : 0; more == 255 && from < end;) match += more = *from++;
        match += 4;
        if (distance == 0 || distance > written || match > into_bytes - written) return false;
        for (; match > 0; match--, written++) into[written] = into[written - distance];
    }
    return written == into_bytes;
}
