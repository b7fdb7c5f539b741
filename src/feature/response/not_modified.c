// Conditional requests: 304 and 412 by ETag and Last-Modified of the answer (RFC 9110 13).
#include "http/answer.h"
#include "http/plan.h"
#include "io/loop.h"
#include "wire/conditional.h"

// The answer goes; what describes the representation stays for 304.
static void not_modified(struct req *r) {
    body_free(r->out_body);
    r->out_body = NULL;
    r->out.status = 304;
    r->out.reason = STR_NONE;
    r->out_length = -1;
    head_drop(&r->out, FIELD_CONTENT_TYPE);
    head_drop(&r->out, FIELD_CONTENT_LENGTH);
    head_drop(&r->out, FIELD_CONTENT_ENCODING);
    head_drop(&r->out, FIELD_ACCEPT_RANGES);
}

static enum step check(struct req *r, const void *conf) {
    const struct head *in = &r->in;
    bool any = head_has(in, FIELD_IF_NONE_MATCH) || head_has(in, FIELD_IF_MODIFIED_SINCE) ||
               head_has(in, FIELD_IF_MATCH) || head_has(in, FIELD_IF_UNMODIFIED_SINCE);
    if (!any || r->out.status != 200 || r != r->main || r->conditions_judged)
        return STEP_NEXT;
    int64_t modified = answer_last_modified(r);
    if (modified < 0 && !head_has(&r->out, FIELD_ETAG))
        return STEP_NEXT; // nothing to compare with
    static const enum if_modified_since how[] = {
        [CORE_OFF] = IF_MODIFIED_SINCE_OFF, [CORE_EXACT] = IF_MODIFIED_SINCE_EXACT, [CORE_BEFORE] = IF_MODIFIED_SINCE_BEFORE};
    switch (conditional_check(in, head_value(&r->out, FIELD_ETAG), modified, how[req_core(r)->if_modified_since],
                              (int64_t)(loop_wall_ms(r->loop) / 1000))) {
    case CONDITIONAL_NOT_MODIFIED:
        not_modified(r);
        break;
    case CONDITIONAL_FAILED:
        answer_instead(r, 412);
        break;
    case CONDITIONAL_GO_ON:
        break;
    }
    return STEP_NEXT;
}

static bool bind_check(struct conf_cx *cx, struct scope *s, void *conf) {
    plan_add(cx, s, STAGE_RESPONSE, RESPONSE_NOT_MODIFIED, check, NULL, "not_modified");
    return true;
}

struct feature feature_not_modified = {.name = "not_modified", .bind = bind_check};
