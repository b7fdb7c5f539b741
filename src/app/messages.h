// What the supervisor and its worker tell each other over their channel (io/channel.h).
#pragma once

enum said {
    // to the worker
    SAY_SOCKET = 1, // struct addr_full; with a descriptor when it is a new one: a listening socket of the next configuration
    SAY_LOG,        // a path, and the descriptor to write to from now on
    SAY_LOGS_DONE,  // all logs were opened anew
    SAY_CONF,       // the pack of a configuration (io/broker.h): with the sockets and logs before, the order to take it
    // from the worker
    SAY_TAKEN,      // the new configuration is in force
    SAY_REFUSED,    // it is not, and why
    SAY_ALIVE,      // all its loops turn (for a watchdog)
};
