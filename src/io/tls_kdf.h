// The key schedule of TLS 1.3 (RFC 8446 7.1, RFC 5869): HMAC, HKDF and the labels. It is also put into the library context of
// each loop as a provider of "TLS13-KDF": OpenSSL 3.0's own makes and frees three contexts for each of the twenty-odd
// derivations of a handshake, this makes none; and it sees the traffic secrets, which a link needs to go on without an SSL.
// Private to io/.
#pragma once
#include "base/str.h"
#include <openssl/evp.h>
#include <openssl/provider.h>

enum { TLS_HASH_MAX = 48 };

// One hash; of one loop.
struct tls_hash {
    EVP_MD *md;
    EVP_MD_CTX *scratch;
    size_t n, block;                    // bytes of its digest, and of the blocks it works in
    unsigned char empty[TLS_HASH_MAX];  // the digest of nothing
};

struct tls_kdf {
    struct tls_hash sha256, sha384;
    // Called with each traffic secret for application data that a handshake on this loop derives.
    void (*on_secret)(void *arg, bool of_server, const unsigned char *secret, size_t n);
    void *arg;
    OSSL_PROVIDER *providers[2]; // that were loaded
};
bool tls_kdf_init(struct tls_kdf *k, OSSL_LIB_CTX *lib);
void tls_kdf_done(struct tls_kdf *k); // behind everything that was made in lib, before lib ends
// Loads the provider into lib, beside the default one; k lives as long as lib. From then on libssl uses it there.
bool tls_kdf_provide(struct tls_kdf *k, OSSL_LIB_CTX *lib);

bool tls_hmac(struct tls_hash *h, const unsigned char *key, size_t key_n, const unsigned char *p, size_t n, unsigned char *out);
// HKDF-Expand-Label(secret, label, data, n); n is at most the digest's size.
bool tls_expand_label(struct tls_hash *h, const unsigned char *secret, struct str label, struct str data, unsigned char *out, size_t n);
