#include "cli/systemd.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_FD = 3 };

static hem_status take(int fd, cli_listening *out, hem_error *err) {
  int listens = 0, type = 0, family = 0;
  socklen_t size = sizeof listens;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) ||
      getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof type}) ||
      getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &(socklen_t){sizeof family}))
    return hem__fail_errno(err, "descriptor %d, handed over to listen on, is no socket", fd);
  if (!listens || type != SOCK_STREAM || (family != AF_UNIX && family != AF_INET && family != AF_INET6))
    return hem__fail(err, HEM_EINVAL,
                     "descriptor %d, handed over to listen on, is neither a listening Unix-domain nor TCP stream", fd);
  int *mine = family == AF_UNIX ? &out->unix_fd : &out->tcp_fd;
  if (*mine >= 0)
    return hem__fail(err, HEM_EINVAL,
                     "two sockets of a kind were handed over: give one ListenStream= for the Unix "
                     "socket and one for HTTP");
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  *mine = fd;
  return HEM_OK;
}

hem_status cli_take_listening(cli_listening *out, hem_error *err) {
  const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
  hem_status status = HEM_OK;
  *out = (cli_listening){.unix_fd = -1, .tcp_fd = -1};
  /* Meant for the process of that number: a child inherits the variables, but not the sockets' purpose. */
  bool mine = pid && count && strtol(pid, NULL, 10) == (long)getpid();
  long fds = mine ? strtol(count, NULL, 10) : 0;
  for (int i = 0; i < fds && i < 16 && !status; i++) status = take(FIRST_FD + i, out, err);
  unsetenv("LISTEN_PID");
  unsetenv("LISTEN_FDS");
  unsetenv("LISTEN_FDNAMES");
  return status;
}

void cli_notify(const char *state) {
  const char *path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char message[64];
  if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path) return;
  memcpy(address.sun_path, path, strlen(path));
  if (path[0] == '@') address.sun_path[0] = '\0'; /* the abstract namespace */
  /* RELOADING=1 must say when, so that it is not taken for an older one. */
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  int size = snprintf(message, sizeof message, "%s\nMONOTONIC_USEC=%lld\n", state,
                      (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  sendto(fd, message, (size_t)size, MSG_NOSIGNAL, (const struct sockaddr *)&address,
         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
  close(fd);
}
