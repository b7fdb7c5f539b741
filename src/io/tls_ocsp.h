// Whether certificates of clients were revoked (RFC 6960): the questions to their authorities' responders, and what the
// answers are worth. Nothing here waits: the caller carries the bytes.
#pragma once
#include "io/tls.h"

// The certificates of one connection, from the client's own up to the one below the authority that is trusted.
struct tls_ocsp;
// NULL with *why NULL: there is nothing to ask, as no certificate was shown or the chain is not good anyway. NULL with *why: what
// failed. `leaf`: only the client's own.
struct tls_ocsp *tls_ocsp_new(const struct link *l, bool leaf, const char **why);
void tls_ocsp_free(struct tls_ocsp *o); // NULL does nothing
size_t tls_ocsp_count(const struct tls_ocsp *o);

struct tls_ocsp_question {
    struct str der; // to be sent
    struct str id;  // tells the certificate from all others
    struct str url; // of the responder that the certificate names; "": none
};
// Memory from the arena. False: it cannot be asked.
bool tls_ocsp_question(struct tls_ocsp *o, size_t i, struct arena *a, struct tls_ocsp_question *q);

enum tls_ocsp_verdict { TLS_OCSP_UNKNOWN, TLS_OCSP_GOOD, TLS_OCSP_REVOKED };
// What the responder said of the i-th. UNKNOWN: *why says what is wrong with the answer. *until: how long it holds (time_t; 0: no
// word of it).
enum tls_ocsp_verdict tls_ocsp_judge(struct tls_ocsp *o, size_t i, struct str der, int64_t *until, const char **why);
