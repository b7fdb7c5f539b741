// auth_basic: user and password against a file of hashes. Slow hashes are computed by a helper thread; who has been let in with
// the same hash and password lately is let in at once.
#include "feature/access/password.h"
#include "base/base64.h"
#include "http/answer.h"
#include "http/plan.h"
#include "io/file.h"
#include "io/inbox.h"

enum { FILE_PIECE = 64 << 10, LINE_MAX_BYTES = 8 << 10 };

struct auth_basic_conf {
    struct tmpl *realm, *file;
};

struct credentials {
    struct str user, password; // NUL-terminated
};

// From Authorization. False: none, or malformed.
static bool read_credentials(struct req *r, struct credentials *c) {
    struct str auth = head_value(&r->in, FIELD_AUTHORIZATION);
    if (!str_istarts(auth, STR("Basic ")))
        return false;
    struct sbuf plain;
    sbuf_init_arena(&plain, &r->arena, auth.n, LINE_MAX_BYTES);
    if (!base64_decode(&plain, str_trim(str_from(auth, 6))))
        return false;
    sbuf_cstr(&plain);
    struct str both = sbuf_view(&plain);
    ssize_t colon = str_chr(both, ':');
    if (colon <= 0 || plain.overflow || memchr(both.p, '\0', both.n) != NULL)
        return false;
    c->user = arena_dup(&r->arena, str_head(both, (size_t)colon));
    c->password = arena_dup(&r->arena, str_from(both, (size_t)colon + 1));
    return true;
}

// The hash behind "user:" in a line; other fields may follow.
static bool hash_in_line(struct str line, struct str user, struct str *hash) {
    if (line.n <= user.n || line.p[0] == '#' || !str_starts(line, user) || line.p[user.n] != ':')
        return false;
    struct str rest = str_from(line, user.n + 1), part;
    if (!str_split(&rest, ':', &part))
        return false;
    while (part.n != 0 && part.p[part.n - 1] == '\r')
        part.n--;
    *hash = part;
    return true;
}

// 1: found, 0: not in the file, or -errno. Waits when the file is not in the page cache.
static int find_user(struct req *r, struct file_ref *f, struct str user, struct str *hash) {
    struct chain c;
    chain_init(&c, loop_blocks(r->loop));
    char line[LINE_MAX_BYTES];
    size_t n = 0;
    off_t at = 0;
    ssize_t got;
    int found = 0;
    while (found == 0 && (got = file_read(f, at, FILE_PIECE, &c)) > 0) {
        at += (off_t)got;
        for (struct piece *p = c.head; p != NULL && found == 0; p = p->next) {
            for (size_t i = 0; i < p->n && found == 0; i++) {
                if (p->p[i] != '\n') {
                    if (n < sizeof(line))
                        line[n++] = p->p[i];
                    continue;
                }
                found = hash_in_line(str_n(line, n), user, hash);
                n = found != 0 ? n : 0;
            }
        }
        chain_done(&c);
    }
    if (found == 0 && got < 0)
        return (int)got;
    if (found == 0)
        found = hash_in_line(str_n(line, n), user, hash);
    if (found != 0)
        *hash = arena_dup(&r->arena, *hash);
    return found;
}

static enum step ask_for_credentials(struct req *r, struct str realm) {
    head_drop(&r->out, FIELD_WWW_AUTHENTICATE);
    head_add_known(&r->out, FIELD_WWW_AUTHENTICATE, arena_printf(&r->arena, "Basic realm=\"" STR_FMT "\"", STR_ARG(realm)));
    return answer_status(r, 401);
}

static enum step cannot_read(struct req *r, struct str path, int err, const char *call) {
    log_msg(err == -ENOENT ? LOG_ERR : LOG_CRIT, -err, "%s \"" STR_FMT "\" failed", call, STR_ARG(path));
    return answer_status(r, err == -ENOENT ? 403 : 500);
}

struct check {
    const char *password, *hash;
};

static int check_slowly(void *arg) {
    const struct check *c = arg;
    return password_matches(c->password, c->hash);
}

static int check_password(const char *password, const char *hash) {
    if (!password_is_slow(hash))
        return password_matches(password, hash);
    if (password_seen(password, hash))
        return 1;
    struct check c = {password, hash};
    int res = helper_run(check_slowly, &c);
    if (res == 1)
        password_note(password, hash);
    return res;
}

static enum step authenticate(struct req *r, const void *conf) {
    const struct auth_basic_conf *c = conf;
    struct str realm = req_eval(r, c->realm);
    if (str_eq(realm, STR("off")))
        return STEP_NEXT;
    struct credentials who;
    if (!read_credentials(r, &who)) {
        log_msg(LOG_INFO, 0, "no user/password was provided for basic authentication");
        return ask_for_credentials(r, realm);
    }
    struct str path = c->file != NULL ? arena_dup(&r->arena, req_eval(r, c->file)) : STR_NONE;
    if (c->file != NULL && (path.n == 0 || path.p[0] != '/')) {
        struct str parts[3] = {r->conf->conf_prefix, STR("/"), path};
        path = arena_dup(&r->arena, arena_join(&r->arena, parts, 3));
    }
    struct file_info info;
    int err = -ENOENT;
    struct file_ref *f = c->file != NULL ? file_open(path.p, &info, &err) : NULL;
    if (f == NULL)
        return c->file == NULL ? answer_status(r, 403) : cannot_read(r, path, err, "open()");
    struct str hash;
    int found = find_user(r, f, who.user, &hash);
    file_unref(f);
    if (found < 0)
        return cannot_read(r, path, found, "read()");
    if (found == 0) {
        log_msg(LOG_ERR, 0, "user \"" STR_FMT "\" was not found in \"" STR_FMT "\"", STR_ARG(who.user), STR_ARG(path));
        return ask_for_credentials(r, realm);
    }
    int match = check_password(who.password.p, hash.p);
    if (match == 1)
        return STEP_ALLOW;
    if (match < 0) {
        log_msg(LOG_CRIT, -match, "crypt_r() failed for user \"" STR_FMT "\"", STR_ARG(who.user));
        return answer_status(r, 500);
    }
    log_msg(LOG_ERR, 0, "user \"" STR_FMT "\": password mismatch", STR_ARG(who.user));
    return ask_for_credentials(r, realm);
}

static bool set_file(struct conf_cx *cx, const struct conf_row *row, void *conf, const struct conf_node *node) {
    struct str path = node->args[1];
    if (!tmpl_has_var(path))
        path = conf_full_path(cx, path, true);
    struct tmpl *t = tmpl_compile(cx, path, node);
    ((struct auth_basic_conf *)conf)->file = t;
    if (t != NULL)
        conf_reach_tmpl(cx, t, cx->conf->conf_prefix, false, false);
    return t != NULL;
}

static bool bind_auth(struct conf_cx *cx, struct scope *s, void *conf) {
    const struct auth_basic_conf *c = conf;
    if (c->realm != NULL && !(c->realm->constant && str_eq(c->realm->text, STR("off"))) && c->file != NULL)
        plan_add(cx, s, STAGE_ACCESS, 0, authenticate, c, "auth_basic");
    return true;
}

static const struct conf_row rows[] = {
    ROW_TMPL("auth_basic", IN_HTTP_ALL | IN_LIMIT_EXCEPT, struct auth_basic_conf, realm, "off",
             "Asks for a user and a password of this realm."),
    ROW_FNS("auth_basic_user_file", IN_HTTP_ALL | IN_LIMIT_EXCEPT, 1, 1, 0, set_file, NULL, "file",
            "Users and hashes of their passwords: crypt(), $apr1$, {PLAIN}, {SHA}, {SSHA}."),
};

struct feature feature_auth_basic = {.name = "auth_basic",
                                     .rows = rows,
                                     .nrows = ARRAY_LEN(rows),
                                     .conf_size = sizeof(struct auth_basic_conf),
                                     .bind = bind_auth};
