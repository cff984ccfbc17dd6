#include "bench/http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"

enum { WAIT_SECONDS = 60, LOOK_NS = 200000 };

hem_status hem__http_client_open(uint16_t port, hem__http_client *out, hem_error *err) {
  *out = (hem__http_client){.fd = -1, .port = port};
  return hem__alloc(HEM__HTTP_ANSWER_MAX + 1, 1, "answers", &out->answer, err);
}

static void hang_up(hem__http_client *c) {
  if (c->fd >= 0) close(c->fd);
  c->fd = -1;
}

void hem__http_client_close(hem__http_client *c) {
  hang_up(c);
  free(c->answer);
  *c = (hem__http_client){.fd = -1};
}

static bool dial(hem__http_client *c) {
  struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(c->port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
  struct timeval wait = {.tv_sec = WAIT_SECONDS};
  if (c->fd >= 0) return true;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return c->fd >= 0 && connect(c->fd, (const struct sockaddr *)&to, sizeof to) == 0 &&
         setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) == 0 &&
         setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0;
}

static bool send_all(int fd, struct iovec *parts, size_t count) {
  while (count) {
    ssize_t sent = sendmsg(fd, &(struct msghdr){.msg_iov = parts, .msg_iovlen = count}, MSG_NOSIGNAL);
    if (sent < 0) return false;
    while (count && (size_t)sent >= parts->iov_len) {
      sent -= (ssize_t)parts->iov_len;
      parts++;
      count--;
    }
    if (!count) break;
    parts->iov_base = (char *)parts->iov_base + sent;
    parts->iov_len -= (size_t)sent;
  }
  return true;
}

/* Looks a while before it sleeps, as the client of the Unix socket does: being woken takes tens of microseconds. */
static ssize_t receive_some(int fd, void *at, size_t room) {
  uint64_t end = hem__now_ns() + LOOK_NS;
  do {
    ssize_t got = recv(fd, at, room, MSG_DONTWAIT);
    if (got >= 0 || errno != EAGAIN) return got;
    sched_yield();
  } while (hem__now_ns() < end);
  return recv(fd, at, room, 0);
}

/* False: the connection broke, or what came is no answer of a server of ours. */
static bool receive(hem__http_client *c, unsigned *status) {
  size_t got = 0, head = 0, length = 0;
  while (!head || got < head + length) {
    if (got == HEM__HTTP_ANSWER_MAX) return false;
    ssize_t more = receive_some(c->fd, c->answer + got, HEM__HTTP_ANSWER_MAX - got);
    if (more <= 0) return false;
    got += (size_t)more;
    c->answer[got] = '\0';
    const char *end = head ? NULL : strstr(c->answer, "\r\n\r\n");
    if (!end) continue;
    const char *field = strcasestr(c->answer, "\r\ncontent-length:");
    if (!field || field > end) return false;
    head = (size_t)(end - c->answer) + 4;
    length = strtoul(field + strlen("\r\ncontent-length:"), NULL, 10);
  }
  *status = (unsigned)strtoul(c->answer + strlen("HTTP/1.1 "), NULL, 10);
  memmove(c->answer, c->answer + head, length);
  c->answer[length] = '\0';
  return true;
}

hem_status hem__http_client_post(hem__http_client *c, const hem__http_post *post, unsigned *status, hem_error *err) {
  char head[512];
  int size = snprintf(head, sizeof head,
                      "POST %.200s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %.100s\r\nContent-Length: %zu\r\n\r\n",
                      post->path, post->type, post->size);
  struct iovec parts[] = {{.iov_base = head, .iov_len = (size_t)size},
                          {.iov_base = (void *)(uintptr_t)post->body, .iov_len = post->size}};
  if (dial(c) && send_all(c->fd, parts, 2) && receive(c, status)) return HEM_OK;
  hang_up(c);
  return hem__fail(err, HEM_EIO, "port %u: the connection broke, or its answer is too long", c->port);
}
