// How hooks say what to answer. None of these waits or sends; the codec does, when the plan has run.
#pragma once
#include "http/req.h"

// An error or a bare status: error_page applies, else the built-in page of nginx's look. Returns STEP_DONE.
enum step answer_status(struct req *r, unsigned status);
// The answer is in r->out (status, fields) and r->out_body. length -1: unknown. error_page does not apply.
enum step answer_ready(struct req *r, unsigned status, struct body *body, int64_t length);
// Text with a Content-Type (STR_NONE: by default_type of the location).
enum step answer_text(struct req *r, unsigned status, struct str type, struct str text);
// 301, 302, 303, 307, 308 with Location: as given, made absolute as absolute_redirect & co. say when it begins with '/'.
enum step answer_redirect(struct req *r, unsigned status, struct str location);
// Runs the request again with another URI (index, error_page, X-Accel-Redirect), or in a named location ("@name").
enum step answer_goto(struct req *r, struct str uri, struct str args);
// Closes the connection without an answer (444, broken clients).
enum step answer_close(struct req *r, unsigned status_for_log);

// For run.c: turns OUTCOME_STATUS into an answer or an internal redirect (error_page), and completes r->out.
void answer_resolve_status(struct req *r);
// Date, Server, Content-Type, Content-Length or chunking, Connection: what every answer has. Called by codecs before they
// serialise; fields of the handler win where nginx lets them.
void answer_complete(struct req *r);
// The body of nginx's built-in page; STR_NONE for statuses without one.
struct str answer_page(struct req *r, unsigned status);
// Content-Type of r->uri by types/default_type.
struct str answer_type(struct req *r);
