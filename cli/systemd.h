/* What systemd hands to a service and wants to hear from it (sd_listen_fds(3), sd_notify(3)): two environment variables
 * and a datagram, not worth a library. */
#ifndef HEM_CLI_SYSTEMD_H
#define HEM_CLI_SYSTEMD_H

#include "base/status.h"

/* Sockets that listen already, -1: not handed over. */
typedef struct cli_listening {
  int unix_fd, tcp_fd;
} cli_listening;

/* Takes over what was handed to this process; call it once, before any thread starts. Errors: EINVAL (two of a kind, or
 * of another kind). */
hem_status cli_take_listening(cli_listening *out, hem_error *err);

/* "READY=1", "RELOADING=1", "STOPPING=1". Does nothing where nobody wants to know. */
void cli_notify(const char *state);

#endif
