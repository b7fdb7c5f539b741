// What -V says of nginx's modules: certbot, ansible roles and test suites look there for what they may use.
#pragma once
#include <stdio.h>

// " --with-http_ssl_module ... --without-http_memcached_module ..." for what the table of features really has.
void built_with_print(FILE *to);
