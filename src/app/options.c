// The command line. nginx's options keep their letters, their words and their stream (stderr).
#include "app/options.h"
#include "app/built_with.h"
#include "conf/paths.h"
#include <openssl/crypto.h>
#include <stdio.h>

static bool complain(const char *fmt, ...) PRINTF_LIKE(1, 2);
static bool complain(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fputs("nginx: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return false;
}

// The value of an option: the rest of the word, or the next word.
static bool value(int argc, char **argv, int *i, const char *rest, struct str *out, const char *missing) {
    if (*rest != '\0') {
        *out = str_c(rest);
        return true;
    }
    if (*i + 1 < argc && argv[*i + 1][0] != '\0') {
        *out = str_c(argv[++*i]);
        return true;
    }
    return complain("%s", missing);
}

static bool known_signal(struct str s) {
    return str_eq(s, STR("stop")) || str_eq(s, STR("quit")) || str_eq(s, STR("reopen")) || str_eq(s, STR("reload"));
}

// One word of letters behind '-': "-tq", "-cFILE", "-c FILE".
static bool parse_word(struct options *o, int argc, char **argv, int *i) {
    for (const char *p = argv[*i] + 1; *p != '\0'; p++) {
        switch (*p) {
        case '?':
        case 'h':
            o->show_version = o->show_help = true;
            break;
        case 'v':
            o->show_version = true;
            break;
        case 'V':
            o->show_version = o->show_configure = true;
            break;
        case 't':
            o->test = true;
            break;
        case 'T':
            o->test = o->dump = true;
            break;
        case 'q':
            o->quiet = true;
            break;
        case 'p':
            return value(argc, argv, i, p + 1, &o->prefix, "option \"-p\" requires directory name");
        case 'e':
            return value(argc, argv, i, p + 1, &o->error_log, "option \"-e\" requires file name");
        case 'c':
            return value(argc, argv, i, p + 1, &o->conf, "option \"-c\" requires file name");
        case 'g':
            return value(argc, argv, i, p + 1, &o->directives, "option \"-g\" requires parameter");
        case 's':
            if (!value(argc, argv, i, p + 1, &o->signal, "option \"-s\" requires parameter"))
                return false;
            return known_signal(o->signal) || complain("invalid option: \"-s " STR_FMT "\"", STR_ARG(o->signal));
        default:
            return complain("invalid option: \"%c\"", *p);
        }
    }
    return true;
}

static bool parse_command(struct options *o, int argc, char **argv) {
    struct str name = str_c(argv[1]);
    unsigned least;
    if (str_eq(name, STR("help"))) {
        o->command = COMMAND_HELP;
        least = 0;
    } else if (str_eq(name, STR("proxy"))) {
        o->command = COMMAND_PROXY;
        least = 2;
    } else if (str_eq(name, STR("manual"))) {
        o->command = COMMAND_MANUAL;
        least = 0;
    } else {
        return complain("invalid option: \"%s\"", argv[1]);
    }
    for (int i = 2; i < argc && o->nargs < 2; i++)
        o->args[o->nargs++] = str_c(argv[i]);
    if (o->nargs < least)
        return complain("usage: weir proxy LISTEN BACKEND, as in: weir proxy :8080 127.0.0.1:3000");
    return true;
}

bool options_parse(struct options *o, int argc, char **argv) {
    *o = (struct options){0};
    if (argc > 1 && argv[1][0] != '-')
        return parse_command(o, argc, argv);
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-')
            return complain("invalid option: \"%s\"", argv[i]);
        if (!parse_word(o, argc, argv, &i))
            return false;
    }
    return true;
}

void options_usage(void) {
    fputs("Usage: weir [-?hvVtTq] [-s signal] [-p prefix]\n"
          "            [-e filename] [-c filename] [-g directives]\n"
          "       weir proxy LISTEN BACKEND\n"
          "       weir help [directive or $variable]\n"
          "\n"
          "Options:\n"
          "  -?,-h         : this help\n"
          "  -v            : show version and exit\n"
          "  -V            : show version and configure options then exit\n"
          "  -t            : test configuration and exit\n"
          "  -T            : test configuration, dump it and exit\n"
          "  -q            : suppress non-error messages during configuration testing\n"
          "  -s signal     : send signal to a master process: stop, quit, reopen, reload\n"
          "  -p prefix     : set prefix path (default: " WEIR_PREFIX ")\n"
          "  -e filename   : set error log file (default: " WEIR_ERROR_LOG ")\n"
          "  -c filename   : set configuration file (default: " WEIR_CONF ")\n"
          "  -g directives : set global directives out of configuration file\n\n",
          stderr);
}

void options_version(bool with_configure) {
    fputs("nginx version: nginx/" NGINX_VERSION " (weir " WEIR_VERSION ")\n", stderr);
    if (!with_configure)
        return;
#if defined(__clang__)
    fputs("built by clang " __clang_version__ "\n", stderr);
#else
    fputs("built by gcc " __VERSION__ "\n", stderr);
#endif
    fprintf(stderr, "built with %s\n", OpenSSL_version(OPENSSL_VERSION));
    fputs("configure arguments: --prefix=" WEIR_PREFIX " --conf-path=" WEIR_CONF " --error-log-path=" WEIR_ERROR_LOG
          " --http-log-path=" WEIR_ACCESS_LOG " --pid-path=" WEIR_PID " --with-threads --with-pcre --with-pcre-jit",
          stderr);
    built_with_print(stderr);
    fputc('\n', stderr);
}
