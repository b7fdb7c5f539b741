// Hostile answers: nothing may be read beyond the message, no name may loop, counts stay within bounds.
#include "base/base.h"
#include "wire/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct dns_answer a;
    static const enum dns_type types[] = {DNS_A, DNS_AAAA, DNS_SRV};
    if (size < 12)
        return 0;
    uint16_t id = (uint16_t)(data[0] << 8 | data[1]);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        enum dns_result res = dns_parse(&a, str_n((const char *)data, size), id, STR("a.test"), types[i]);
        if (res != DNS_ANSWER)
            continue;
        CHECK(a.count <= DNS_RECORDS_MAX && a.rcode <= 15);
        for (unsigned k = 0; k < a.count && types[i] == DNS_SRV; k++)
            CHECK(strlen(a.at[k].target) <= DNS_NAME_MAX && a.at[k].port != 0);
    }
    return 0;
}
