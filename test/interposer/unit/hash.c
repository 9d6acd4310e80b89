/* SHA-256 and HMAC against the published vectors of FIPS 180-4 and RFC 4231, and digests of every length up to 300. */
#include <stdio.h>
#include <string.h>

#include "../../../client/interposer/core/sha256.h"

static int failed;

static void expect(const uint8_t digest[32], const char *hex) {
    char text[65];
    for (int i = 0; i < 32; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
    if (strcmp(text, hex) != 0) {
        printf("%s is not %s\n", text, hex);
        failed = 1;
    }
}

static void hash(const char *text, size_t bytes, uint8_t digest[32]) {
    struct sha256 state;
    sha256_start(&state);
    for (size_t i = 0; i < bytes; i += 7) sha256_add(&state, text + i, bytes - i < 7 ? bytes - i : 7);
    sha256_finish(&state, digest);
}

static void mac(const void *key, size_t key_bytes, const char *text, uint8_t digest[32]) {
    struct hmac state;
    hmac_start(&state, key, key_bytes);
    hmac_add(&state, text, strlen(text));
    hmac_finish(&state, digest);
}

int main(void) {
    uint8_t digest[32], key[131], all[300 * 32];
    char text[301];
    hash("", 0, digest);
    expect(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash("abc", 3, digest);
    expect(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const char *long_text = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    hash(long_text, strlen(long_text), digest);
    expect(digest, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    memset(key, 0x0b, 20);
    mac(key, 20, "Hi There", digest);
    expect(digest, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    mac("Jefe", 4, "what do ya want for nothing?", digest);
    expect(digest, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    mac(key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First", digest);
    expect(digest, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    /* One digest over the digests of all lengths: made once by another implementation. */
    memset(text, 'a', sizeof text);
    for (size_t bytes = 0; bytes < 300; bytes++) hash(text, bytes, all + 32 * bytes);
    hash((char *)all, sizeof all, digest);
    for (int i = 0; i < 32; i++) printf("%02x", digest[i]);
    printf("\n%s\n", failed ? "failed" : "ok");
    return failed;
}
