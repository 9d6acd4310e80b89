/* SHA-256 (FIPS 180-4) and HMAC (RFC 2104): the proofs of the handshake need nothing else of cryptography. */
#ifndef SLUICE_SHA256_H
#define SLUICE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SLUICE_SHA256_BYTES 32

struct sha256 {
    uint32_t state[8];
    uint8_t block[64];
    uint64_t byte_count;
};

void sha256_start(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *data, size_t byte_count);
void sha256_finish(struct sha256 *hash, uint8_t digest[SLUICE_SHA256_BYTES]);

struct hmac {
    struct sha256 inner;
    struct sha256 outer;
};

void hmac_start(struct hmac *mac, const void *key, size_t byte_count);
void hmac_add(struct hmac *mac, const void *data, size_t byte_count);
void hmac_finish(struct hmac *mac, uint8_t digest[SLUICE_SHA256_BYTES]);

/* Whether two digests are equal, in a time that does not depend on where they differ. */
int digests_equal(const uint8_t *left, const uint8_t *right);

#endif
