/*
 * Unpacks Zstandard frames as RFC 8878 describes them, without dictionaries and checksums: nvcc's fat binaries have neither.
 * Made for small inputs from a program's own file: simple rather than fast. Every read and write is checked.
 */
#include <stdlib.h>
#include <string.h>

#include "fatbin.h"

#define BLOCK_BYTES_MAX (128u * 1024)
#define FSE_LOG_MAX 9
#define HUFFMAN_BITS_MAX 11

struct input {
    const uint8_t *at, *end;
};

/* Bits read from the end of a piece towards its beginning, as entropy-coded data is. */
struct backward {
    const uint8_t *start;
    int64_t bits; /* Not yet read; below zero when more was read than there was. */
};

static bool backward_open(struct backward *stream, const uint8_t *start, size_t bytes) {
    if (bytes == 0 || start[bytes - 1] == 0) return false;
    int top = 31 - __builtin_clz(start[bytes - 1]);
    stream->start = start;
    stream->bits = (int64_t)(bytes - 1) * 8 + top;
    return true;
}

static uint32_t backward_peek(const struct backward *stream, unsigned count) {
    uint32_t value = 0;
    for (unsigned i = 0; i < count; i++) {
        int64_t bit = stream->bits - 1 - (int64_t)i;
        value = value << 1 | (bit >= 0 ? (uint32_t)(stream->start[bit >> 3] >> (bit & 7)) & 1 : 0);
    }
    return value;
}

static uint32_t backward_take(struct backward *stream, unsigned count) {
    uint32_t value = backward_peek(stream, count);
    stream->bits -= count;
    return value;
}

struct fse_cell {
    uint8_t symbol, bits;
    uint16_t base;
};

struct fse {
    unsigned log;
    struct fse_cell cells[1 << FSE_LOG_MAX];
};

static bool fse_build(struct fse *table, const int16_t *counts, unsigned symbols, unsigned log) {
    unsigned size = 1u << log, high = size, position = 0;
    uint16_t next[256];
    table->log = log;
    for (unsigned symbol = 0; symbol < symbols; symbol++) {
        next[symbol] = counts[symbol] == -1 ? 1 : (uint16_t)counts[symbol];
        if (counts[symbol] == -1) {
            if (high == 0) return false;
            table->cells[--high].symbol = (uint8_t)symbol;
        }
    }
    for (unsigned symbol = 0; symbol < symbols; symbol++) {
        for (int i = 0; i < counts[symbol]; i++) {
            table->cells[position].symbol = (uint8_t)symbol;
            do position = (position + (size >> 1) + (size >> 3) + 3) & (size - 1);
            while (position >= high);
        }
    }
    if (position != 0) return false;
    for (unsigned i = 0; i < size; i++) {
        unsigned state = next[table->cells[i].symbol]++;
        if (state == 0) return false;
        unsigned bits = log - (31u - (unsigned)__builtin_clz(state));
        table->cells[i].bits = (uint8_t)bits;
        table->cells[i].base = (uint16_t)((state << bits) - size);
    }
    return true;
}

/* The description of a table: counts of symbols in a variable number of bits, read forwards. */
static bool fse_read(struct input *input, struct fse *table, unsigned symbols_max, unsigned log_max) {
    int16_t counts[256] = {0};
    size_t bit = 0, bits = (size_t)(input->end - input->at) * 8;
    const uint8_t *data = input->at;
#define TAKE(value, count)                                                                                                              \
    do {                                                                                                                                \
        value = 0;                                                                                                                      \
        for (unsigned taken = 0; taken < (count); taken++, bit++) {                                                                     \
            if (bit >= bits) return false;                                                                                              \
            value |= (unsigned)(data[bit >> 3] >> (bit & 7) & 1) << taken;                                                              \
        }                                                                                                                               \
    } while (0)
    unsigned log, value, symbol = 0;
    TAKE(log, 4);
    log += 5;
    if (log > log_max) return false;
    int remaining = 1 << log;
    while (remaining > 0 && symbol < symbols_max) {
        unsigned width = 32u - (unsigned)__builtin_clz((unsigned)remaining + 1);
        unsigned low = (1u << (width - 1)) - 1, spare = (1u << width) - 1 - ((unsigned)remaining + 1), top;
        TAKE(value, width - 1);
        if (value >= spare) {
            TAKE(top, 1);
            value |= top << (width - 1);
            if (value > low) value -= spare;
        }
        int count = (int)value - 1;
        counts[symbol++] = (int16_t)count;
        remaining -= count < 0 ? 1 : count;
        for (unsigned repeat = count == 0 ? 3 : 0; repeat == 3;) {
            TAKE(repeat, 2);
            symbol += repeat;
            if (symbol > symbols_max) return false;
        }
    }
#undef TAKE
    if (remaining != 0) return false;
    input->at += (bit + 7) / 8;
    return fse_build(table, counts, symbol, log);
}

struct huffman {
    unsigned bits;
    uint8_t symbol[1 << HUFFMAN_BITS_MAX];
    uint8_t length[1 << HUFFMAN_BITS_MAX];
};

/* Weights become lengths of codes; the last weight follows from the others. */
static bool huffman_build(struct huffman *table, uint8_t *weights, unsigned count) {
    uint32_t sum = 0;
    if (count == 0 || count > 255) return false;
    for (unsigned i = 0; i < count; i++) {
        if (weights[i] > HUFFMAN_BITS_MAX) return false;
        sum += weights[i] > 0 ? 1u << (weights[i] - 1) : 0;
    }
    if (sum == 0) return false;
    unsigned bits = 32u - (unsigned)__builtin_clz(sum);
    uint32_t left = (1u << bits) - sum;
    if (bits > HUFFMAN_BITS_MAX || (left & (left - 1)) != 0) return false;
    weights[count++] = (uint8_t)(32 - __builtin_clz(left));
    table->bits = bits;
    unsigned at = 0;
    for (unsigned weight = 1; weight <= bits; weight++) {
        for (unsigned symbol = 0; symbol < count; symbol++) {
            if (weights[symbol] != weight) continue;
            unsigned cells = 1u << (weight - 1);
            if (at + cells > 1u << bits) return false;
            memset(table->symbol + at, (int)symbol, cells);
            memset(table->length + at, (int)(bits + 1 - weight), cells);
            at += cells;
        }
    }
    return at == 1u << bits;
}

static bool huffman_read(struct input *input, struct huffman *table) {
    uint8_t weights[257] = {0};
    unsigned count = 0;
    if (input->at >= input->end) return false;
    unsigned header = *input->at++;
    if (header >= 128) {
        count = header - 127;
        if ((size_t)(input->end - input->at) < (count + 1) / 2) return false;
        for (unsigned i = 0; i < count; i++) weights[i] = i % 2 == 0 ? input->at[i / 2] >> 4 : input->at[i / 2] & 15;
        input->at += (count + 1) / 2;
        return huffman_build(table, weights, count);
    }
    if (header > (size_t)(input->end - input->at)) return false;
    struct input inner = {input->at, input->at + header};
    input->at += header;
    struct fse fse;
    struct backward stream;
    if (!fse_read(&inner, &fse, 13, 6) || !backward_open(&stream, inner.at, (size_t)(inner.end - inner.at))) return false;
    unsigned states[2];
    states[0] = backward_take(&stream, fse.log);
    states[1] = backward_take(&stream, fse.log);
    for (unsigned turn = 0;; turn ^= 1) {
        if (count >= 254) return false;
        struct fse_cell cell = fse.cells[states[turn]];
        weights[count++] = cell.symbol;
        states[turn] = cell.base + backward_take(&stream, cell.bits);
        if (stream.bits < 0) {
            weights[count++] = fse.cells[states[turn ^ 1]].symbol;
            break;
        }
    }
    return huffman_build(table, weights, count);
}

static bool huffman_unpack(const struct huffman *table, const uint8_t *from, size_t from_bytes, uint8_t *into, size_t into_bytes) {
    struct backward stream;
    if (!backward_open(&stream, from, from_bytes)) return false;
    for (size_t i = 0; i < into_bytes; i++) {
        uint32_t code = backward_peek(&stream, table->bits);
        into[i] = table->symbol[code];
        stream.bits -= table->length[code];
        if (stream.bits < 0) return false;
    }
    return stream.bits == 0;
}

struct decoder {
    struct huffman huffman;
    bool has_huffman;
    struct fse tables[3]; /* Literal lengths, offsets, match lengths. */
    bool has_table[3];
    uint32_t offsets[3];
    uint8_t *literals;
    size_t literal_bytes;
    uint8_t *into;
    size_t written, capacity;
};

static bool read_packed_literals(struct decoder *decoder, struct input *input, bool has_tree, unsigned format) {
    static const uint8_t header_bytes[4] = {3, 3, 4, 5}, size_bits[4] = {10, 10, 14, 18};
    unsigned bytes = header_bytes[format], bits = size_bits[format];
    uint64_t header = 0;
    if ((size_t)(input->end - input->at) < bytes) return false;
    for (unsigned i = 0; i < bytes; i++) header |= (uint64_t)input->at[i] << (8 * i);
    input->at += bytes;
    size_t unpacked = (header >> 4) & ((1u << bits) - 1), packed = (header >> (4 + bits)) & ((1u << bits) - 1);
    if (packed > (size_t)(input->end - input->at) || unpacked > BLOCK_BYTES_MAX) return false;
    struct input inner = {input->at, input->at + packed};
    input->at += packed;
    if (has_tree) decoder->has_huffman = huffman_read(&inner, &decoder->huffman);
    if (!decoder->has_huffman) return false;
    decoder->literal_bytes = unpacked;
    size_t left = (size_t)(inner.end - inner.at);
    if (format == 0) return huffman_unpack(&decoder->huffman, inner.at, left, decoder->literals, unpacked);
    if (left < 6) return false;
    size_t sizes[4], quarter = (unpacked + 3) / 4, total = 6;
    for (int i = 0; i < 3; i++) total += sizes[i] = inner.at[2 * i] | (size_t)inner.at[2 * i + 1] << 8;
    if (total > left || quarter * 3 > unpacked) return false;
    sizes[3] = left - total;
    const uint8_t *from = inner.at + 6;
    for (int i = 0; i < 4; i++) {
        size_t part = i < 3 ? quarter : unpacked - 3 * quarter;
        if (!huffman_unpack(&decoder->huffman, from, sizes[i], decoder->literals + (size_t)i * quarter, part)) return false;
        from += sizes[i];
    }
    return true;
}

static bool read_literals(struct decoder *decoder, struct input *input) {
    if (input->at >= input->end) return false;
    unsigned type = *input->at & 3, format = *input->at >> 2 & 3;
    if (type >= 2) return read_packed_literals(decoder, input, type == 2, format);
    unsigned bytes = format == 1 ? 2 : format == 3 ? 3 : 1;
    uint32_t header = 0;
    if ((size_t)(input->end - input->at) < bytes) return false;
    for (unsigned i = 0; i < bytes; i++) header |= (uint32_t)input->at[i] << (8 * i);
    input->at += bytes;
    size_t count = bytes == 1 ? header >> 3 : header >> 4;
    size_t stored = type == 0 ? count : 1;
    if (count > BLOCK_BYTES_MAX || stored > (size_t)(input->end - input->at)) return false;
    if (type == 0) memcpy(decoder->literals, input->at, count);
    else memset(decoder->literals, *input->at, count);
    input->at += stored;
    decoder->literal_bytes = count;
    return true;
}

static const int16_t default_literal_lengths[36] = {4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1};
static const int16_t default_offsets[29] = {1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1};
static const int16_t default_match_lengths[53] = {1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                                  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1};

static bool read_table(struct decoder *decoder, struct input *input, int which, unsigned mode) {
    static const struct {
        const int16_t *counts;
        uint8_t symbols, log, log_max, symbols_max;
    } kinds[3] = {{default_literal_lengths, 36, 6, 9, 36}, {default_offsets, 29, 5, 8, 32}, {default_match_lengths, 53, 6, 9, 53}};
    struct fse *table = &decoder->tables[which];
    bool is_good = false;
    if (mode == 3) return decoder->has_table[which];
    if (mode == 0) is_good = fse_build(table, kinds[which].counts, kinds[which].symbols, kinds[which].log);
    if (mode == 2) is_good = fse_read(input, table, kinds[which].symbols_max, kinds[which].log_max);
    if (mode == 1 && input->at < input->end && *input->at < kinds[which].symbols_max) {
        table->log = 0;
        table->cells[0] = (struct fse_cell){*input->at++, 0, 0};
        is_good = true;
    }
    decoder->has_table[which] = is_good;
    return is_good;
}

static uint32_t literal_length(unsigned code, struct backward *stream) {
    static const uint32_t bases[20] = {16, 18, 20, 22, 24, 28, 32, 40, 48, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536};
    static const uint8_t bits[20] = {1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    return code < 16 ? code : bases[code - 16] + backward_take(stream, bits[code - 16]);
}

static uint32_t match_length(unsigned code, struct backward *stream) {
    static const uint32_t bases[21] = {35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, 131, 259, 515, 1027, 2051, 4099, 8195, 16387, 32771, 65539};
    static const uint8_t bits[21] = {1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    return code < 32 ? code + 3 : bases[code - 32] + backward_take(stream, bits[code - 32]);
}

/* The three most recent offsets have short names, which shift by one when a sequence has no literals. */
static uint32_t resolve_offset(struct decoder *decoder, uint32_t value, uint32_t literals) {
    uint32_t *recent = decoder->offsets;
    if (value > 3) {
        recent[2] = recent[1];
        recent[1] = recent[0];
        return recent[0] = value - 3;
    }
    unsigned index = value - 1 + (literals == 0);
    uint32_t offset = index == 3 ? recent[0] - 1 : recent[index];
    if (index >= 2) recent[2] = recent[1];
    if (index >= 1) recent[1] = recent[0];
    return recent[0] = offset;
}

static bool put_literals(struct decoder *decoder, size_t *used, size_t count) {
    if (count > decoder->literal_bytes - *used || count > decoder->capacity - decoder->written) return false;
    memcpy(decoder->into + decoder->written, decoder->literals + *used, count);
    *used += count;
    decoder->written += count;
    return true;
}

static bool put_match(struct decoder *decoder, uint32_t offset, uint32_t length) {
    if (offset == 0 || offset > decoder->written || length > decoder->capacity - decoder->written) return false;
    uint8_t *at = decoder->into + decoder->written;
    for (uint32_t i = 0; i < length; i++) at[i] = at[(ptrdiff_t)i - (ptrdiff_t)offset];
    decoder->written += length;
    return true;
}

static bool run_sequences(struct decoder *decoder, struct input *input, uint32_t count) {
    struct backward stream;
    uint32_t states[3];
    size_t used = 0;
    if (!backward_open(&stream, input->at, (size_t)(input->end - input->at))) return false;
    for (int i = 0; i < 3; i++) states[i] = backward_take(&stream, decoder->tables[i].log);
    for (uint32_t i = 0; i < count; i++) {
        struct fse_cell cells[3];
        for (int which = 0; which < 3; which++) cells[which] = decoder->tables[which].cells[states[which]];
        if (cells[1].symbol > 31 || cells[0].symbol > 35 || cells[2].symbol > 52) return false;
        uint32_t offset = (1u << cells[1].symbol) + backward_take(&stream, cells[1].symbol);
        uint32_t match = match_length(cells[2].symbol, &stream);
        uint32_t literals = literal_length(cells[0].symbol, &stream);
        if (i + 1 < count) {
            static const int order[3] = {0, 2, 1};
            for (int turn = 0; turn < 3; turn++) {
                int which = order[turn];
                states[which] = cells[which].base + backward_take(&stream, cells[which].bits);
            }
        }
        if (stream.bits < 0 || !put_literals(decoder, &used, literals)) return false;
        if (!put_match(decoder, resolve_offset(decoder, offset, literals), match)) return false;
    }
    return stream.bits == 0 && put_literals(decoder, &used, decoder->literal_bytes - used);
}

static bool unpack_block(struct decoder *decoder, struct input input) {
    if (!read_literals(decoder, &input) || input.at >= input.end) return false;
    uint32_t count = *input.at++;
    if (count == 0) {
        size_t used = 0;
        return put_literals(decoder, &used, decoder->literal_bytes);
    }
    if (count >= 128) {
        size_t more = count == 255 ? 2 : 1;
        if ((size_t)(input.end - input.at) < more) return false;
        count = count == 255 ? (input.at[0] | (uint32_t)input.at[1] << 8) + 0x7f00 : ((count - 128) << 8) + input.at[0];
        input.at += more;
    }
    if (input.at >= input.end) return false;
    unsigned modes = *input.at++;
    for (int which = 0; which < 3; which++)
        if (!read_table(decoder, &input, which, modes >> (6 - 2 * which) & 3)) return false;
    return run_sequences(decoder, &input, count);
}

static bool unpack_blocks(struct decoder *decoder, struct input *input) {
    for (bool is_last = false; !is_last;) {
        if (input->end - input->at < 3) return false;
        uint32_t header = input->at[0] | (uint32_t)input->at[1] << 8 | (uint32_t)input->at[2] << 16;
        input->at += 3;
        is_last = (header & 1) != 0;
        size_t bytes = header >> 3, stored = (header >> 1 & 3) == 1 ? 1 : bytes;
        if (stored > (size_t)(input->end - input->at)) return false;
        bool is_compressed = (header >> 1 & 3) == 2;
        if (!is_compressed && bytes > decoder->capacity - decoder->written) return false;
        switch (header >> 1 & 3) {
        case 0: memcpy(decoder->into + decoder->written, input->at, bytes); break;
        case 1: memset(decoder->into + decoder->written, *input->at, bytes); break;
        case 2:
            if (!unpack_block(decoder, (struct input){input->at, input->at + bytes})) return false;
            break;
        default: return false;
        }
        if (!is_compressed) decoder->written += bytes;
        input->at += stored;
    }
    return true;
}

static bool skip_frame_header(struct input *input) {
    static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
    static const uint8_t dictionary_bytes[4] = {0, 1, 2, 4}, size_bytes[4] = {0, 2, 4, 8};
    if (input->end - input->at < 5 || memcmp(input->at, magic, 4) != 0) return false;
    unsigned descriptor = input->at[4];
    bool is_single = (descriptor & 0x20) != 0;
    size_t bytes = 5 + (is_single ? 0 : 1) + dictionary_bytes[descriptor & 3] + size_bytes[descriptor >> 6];
    if (is_single && descriptor >> 6 == 0) bytes++;
    if ((size_t)(input->end - input->at) < bytes || (descriptor & 3) != 0) return false;
    input->at += bytes;
    return true;
}

bool zstd_unpack(const uint8_t *from, size_t from_bytes, uint8_t *into, size_t into_bytes) {
    struct input input = {from, from + from_bytes};
    struct decoder *decoder = calloc(1, sizeof *decoder);
    uint8_t *literals = malloc(BLOCK_BYTES_MAX);
    bool is_good = decoder != NULL && literals != NULL && skip_frame_header(&input);
    if (is_good) {
        decoder->literals = literals;
        decoder->offsets[0] = 1;
        decoder->offsets[1] = 4;
        decoder->offsets[2] = 8;
        decoder->into = into;
        decoder->capacity = into_bytes;
        is_good = unpack_blocks(decoder, &input) && decoder->written == into_bytes;
    }
    free(literals);
    free(decoder);
    return is_good;
}
