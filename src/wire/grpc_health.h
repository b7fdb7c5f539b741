// The messages of gRPC's health checking protocol (grpc.health.v1.Health/Check): one question, one answer, each behind the five
// bytes that gRPC puts before a message.
#pragma once
#include "base/sbuf.h"

#define GRPC_HEALTH_PATH "/grpc.health.v1.Health/Check"
enum grpc_health { GRPC_HEALTH_MALFORMED = -1, GRPC_HEALTH_UNKNOWN, GRPC_HEALTH_SERVING, GRPC_HEALTH_NOT_SERVING,
                   GRPC_HEALTH_SERVICE_UNKNOWN };

// HealthCheckRequest for a service; empty: the server as a whole.
void grpc_health_put(struct sbuf *to, struct str service);
// What HealthCheckResponse says: the status, which may be one that no protocol knows yet, or GRPC_HEALTH_MALFORMED.
int grpc_health_parse(struct str body);
