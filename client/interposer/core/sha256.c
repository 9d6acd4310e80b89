/* SHA-256 and HMAC as FIPS 180-4 and RFC 2104 describe them. Speed does not matter here: a handshake hashes a few hundred bytes. */
#include "sha256.h"

#include <string.h>

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t value, int count) {
    return (value >> count) | (value << (32 - count));
}

static void compress(uint32_t state[8], const uint8_t block[64]) {
    uint32_t w[64];
    for (int i = 0; i < 16; i++) {
        const uint8_t *at = block + i * 4;
        w[i] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    }
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ (w[i - 15] >> 3);
        uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t v[8];
    memcpy(v, state, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t s1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
        uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t first = v[7] + s1 + choice + round_constants[i] + w[i];
        uint32_t s0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
        uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += first;
        v[0] = first + s0 + majority;
    }
    for (int i = 0; i < 8; i++) state[i] += v[i];
}

void sha256_start(struct sha256 *hash) {
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(hash->state, initial, sizeof initial);
    hash->byte_count = 0;
}

void sha256_add(struct sha256 *hash, const void *data, size_t byte_count) {
    const uint8_t *from = data;
    while (byte_count > 0) {
        size_t used = hash->byte_count % 64;
        size_t step = 64 - used < byte_count ? 64 - used : byte_count;
        memcpy(hash->block + used, from, step);
        hash->byte_count += step;
        from += step;
        byte_count -= step;
        if (hash->byte_count % 64 == 0) compress(hash->state, hash->block);
    }
}

void sha256_finish(struct sha256 *hash, uint8_t digest[SLUICE_SHA256_BYTES]) {
    uint64_t bits = hash->byte_count * 8;
    uint8_t padding[72] = {0x80};
    size_t count = 64 - (hash->byte_count + 8) % 64;
    for (int i = 0; i < 8; i++) padding[count + i] = (uint8_t)(bits >> (56 - 8 * i));
    sha256_add(hash, padding, count + 8);
    for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}

void hmac_start(struct hmac *mac, const void *key, size_t byte_count) {
    uint8_t block[64] = {0};
    if (byte_count > sizeof block) {
        sha256_start(&mac->inner);
        sha256_add(&mac->inner, key, byte_count);
        sha256_finish(&mac->inner, block);
    } else if (byte_count > 0) {
        memcpy(block, key, byte_count);
    }
    for (size_t i = 0; i < sizeof block; i++) block[i] ^= 0x36;
    sha256_start(&mac->inner);
    sha256_add(&mac->inner, block, sizeof block);
    for (size_t i = 0; i < sizeof block; i++) block[i] ^= 0x36 ^ 0x5c;
    sha256_start(&mac->outer);
    sha256_add(&mac->outer, block, sizeof block);
}

void hmac_add(struct hmac *mac, const void *data, size_t byte_count) {
    sha256_add(&mac->inner, data, byte_count);
}

void hmac_finish(struct hmac *mac, uint8_t digest[SLUICE_SHA256_BYTES]) {
    uint8_t inner[SLUICE_SHA256_BYTES];
    sha256_finish(&mac->inner, inner);
    sha256_add(&mac->outer, inner, sizeof inner);
    sha256_finish(&mac->outer, digest);
}

int digests_equal(const uint8_t *left, const uint8_t *right) {
    unsigned difference = 0;
    for (int i = 0; i < SLUICE_SHA256_BYTES; i++) difference |= left[i] ^ right[i];
    return difference == 0;
}
