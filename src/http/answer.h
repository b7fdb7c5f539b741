// How hooks say what to answer. None of these waits or sends; the codec does, when the plan has run.
#pragma once
#include "http/req.h"

// An error or a bare status: error_page applies, else the built-in page of nginx's look. Returns STEP_DONE.
enum step answer_status(struct req *r, unsigned status);
// The answer is in r->out (fields) and `body`, NULL: none. length -1: unknown. error_page does not apply.
enum step answer_ready(struct req *r, unsigned status, struct body *body, int64_t length);
// Text with a Content-Type (STR_NONE: by types and default_type of the location).
enum step answer_text(struct req *r, unsigned status, struct str type, struct str text);
// 301, 302, 303, 307, 308 with Location: as given, made absolute as absolute_redirect & co. say when it begins with '/'.
enum step answer_redirect(struct req *r, unsigned status, struct str location);
// Runs the request again with another URI (index, error_page, X-Accel-Redirect), or in a named location ("@name").
enum step answer_goto(struct req *r, struct str uri, struct str args);
// Closes the connection without an answer; the status is for the log (444, 499).
enum step answer_close(struct req *r, unsigned status);
// From a response hook: the answer is dropped with its fields, and this error takes its place. error_page applies, and the
// hooks run anew for what answers then.
void answer_instead(struct req *r, unsigned status);

// For run.c: turns OUTCOME_STATUS into an answer or an internal redirect (error_page).
void answer_resolve_status(struct req *r);
// For run.c, after the response hooks: keep-alive, body or none, what the status forbids.
void answer_finish(struct req *r);
// The body of nginx's built-in page; STR_NONE for statuses without one. Lives as long as the request.
struct str answer_page(struct req *r, unsigned status);
// Content-Type of r->uri by types and default_type.
struct str answer_type(struct req *r);
// "http://name:port" in front of a path, as absolute_redirect, server_name_in_redirect and port_in_redirect say.
struct str answer_absolute(struct req *r, struct str path);
// When the answer's content changed: unix s, or -1. Most are never asked for, so the date that somebody else wrote is read here.
enum { LAST_MODIFIED_UNREAD = -2 }; // it stands in the field Last-Modified of r->out
int64_t answer_last_modified(struct req *r);
// What Server says, as server_tokens has it.
struct str answer_server(struct req *r);
// The name of the location in force, for messages; "" for the server's own scope.
struct str location_name(const struct req *r);
