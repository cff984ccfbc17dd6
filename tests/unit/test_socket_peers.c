/* The server's side of a connection: whatever a peer does, the others are answered; where the socket lies, who may
 * connect, and how it begins and ends. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "query/wire.h"
#include "support/live_server.h"

enum { DIM = HEM__TEST_SHOP_DIM };

static char *store;

static const char *the_store(void) {
  if (!store) store = hem__test_shop_store(hem__test_folder(), 300);
  return store;
}

static hem__buffer one_search(void) {
  float query[DIM];
  hem__buffer out = {0};
  hem__wire_search search = {.vectors = query, .count = 1, .dim = DIM, .options = {.size = sizeof(hem_search_options)}};
  hem__test_shop_query(1, query);
  ck_ok(hem__wire_search_write(&out, 1, &search, err));
  return out;
}

/* ---- peers that misbehave ---- */

START_TEST(a_peer_that_leaves_in_mid_frame) {
  static hem__test_server s;
  hem__buffer frame = one_search();
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  for (size_t size = 0; size <= frame.size; size++) {
    int fd = hem__test_connect(s.path);
    ck_assert_int_eq(send(fd, frame.at, size, MSG_NOSIGNAL), (ssize_t)size);
    if (size % 2) shutdown(fd, SHUT_WR);
    close(fd);
  }
  ck_soon(hem__test_connections(&s) == 0);
  hem__test_check_alive(&s);
  hem__buffer_clear(&frame);
  hem__test_serve_end(&s);
}
END_TEST

START_TEST(a_frame_that_comes_byte_by_byte) {
  static hem__test_server s;
  hem__buffer frame = one_search();
  uint8_t head[HEM__WIRE_HEADER];
  hem__wire_header h;
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  int fd = hem__test_connect(s.path);
  for (size_t i = 0; i < frame.size; i++) {
    ck_assert_int_eq(send(fd, frame.at + i, 1, MSG_NOSIGNAL), 1);
    if (i % 16 == 0) usleep(500);
  }
  ck_assert_uint_eq(hem__test_receive(fd, head, sizeof head), sizeof head);
  ck_ok(hem__wire_header_read(head, 1 << 20, &h, err));
  ck_assert(h.type == 129 && h.id == 1);
  close(fd);
  hem__buffer_clear(&frame);
  hem__test_serve_end(&s);
}
END_TEST

/* The server's last words, before it closes. */
static void check_farewell(int fd, hem_status status, const char *words) {
  uint8_t bytes[2048];
  hem__wire_header h;
  hem__wire_reply reply;
  size_t size = hem__test_receive(fd, bytes, sizeof bytes);
  ck_assert_uint_ge(size, HEM__WIRE_HEADER);
  ck_ok(hem__wire_header_read(bytes, sizeof bytes, &h, err));
  ck_assert_int_eq(h.type, HEM__WIRE_CLOSING);
  ck_assert_uint_eq(size, HEM__WIRE_HEADER + h.size); /* and nothing behind it */
  ck_ok(hem__wire_reply_read(bytes + HEM__WIRE_HEADER, h.size, &reply, err));
  ck_assert_int_eq(reply.status, status);
  ck_assert_msg(strstr(reply.message, words) != NULL, "'%s' lacks '%s'", reply.message, words);
  close(fd);
}

START_TEST(a_frame_that_is_too_large) {
  static hem__test_server s;
  hem__buffer frame = one_search();
  uint32_t size = 4104;
  hem__test_serve(&s, the_store(), (hem__socket_options){.request_bytes_max = 4096});
  int fd = hem__test_connect(s.path);
  memcpy(frame.at + 4, &size, sizeof size);
  ck_assert_int_gt(send(fd, frame.at, frame.size, MSG_NOSIGNAL), 0);
  check_farewell(fd, HEM_EINVAL, "at most 4096");
  fd = hem__test_connect(s.path);
  ck_assert_int_gt(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 0);
  check_farewell(fd, HEM_ECORRUPT, "no frame");
  ck_soon(hem__test_refused(&s) == 2);
  hem__test_check_alive(&s);
  hem__buffer_clear(&frame);
  hem__test_serve_end(&s);
}
END_TEST

START_TEST(requests_that_are_not_known) {
  static hem__test_server s;
  uint8_t ask[HEM__WIRE_HEADER] = {'H', 'M', 1, 99}, bytes[512];
  hem__wire_header h;
  hem__wire_reply reply;
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  int fd = hem__test_connect(s.path);
  ask[8] = 42;
  ck_assert_int_eq(send(fd, ask, sizeof ask, MSG_NOSIGNAL), sizeof ask);
  ck_assert_uint_eq(hem__test_receive(fd, bytes, HEM__WIRE_HEADER), HEM__WIRE_HEADER);
  ck_ok(hem__wire_header_read(bytes, sizeof bytes, &h, err));
  ck_assert(h.type == 99 + 128 && h.id == 42);
  ck_assert_uint_eq(hem__test_receive(fd, bytes, h.size), h.size);
  ck_ok(hem__wire_reply_read(bytes, h.size, &reply, err));
  ck_assert_int_eq(reply.status, HEM_EUNSUPPORTED);
  ask[3] = HEM__WIRE_PING; /* and the connection goes on */
  ck_assert_int_eq(send(fd, ask, sizeof ask, MSG_NOSIGNAL), sizeof ask);
  ck_assert_uint_eq(hem__test_receive(fd, bytes, HEM__WIRE_HEADER), HEM__WIRE_HEADER);
  ck_assert_int_eq(bytes[3], HEM__WIRE_PING + HEM__WIRE_REPLY);
  close(fd);
  hem__test_serve_end(&s);
}
END_TEST

START_TEST(more_connections_than_there_may_be) {
  static hem__test_server s;
  hem_client *clients[4] = {0};
  float query[DIM] = {1};
  hem_answer answer;
  hem__test_serve(&s, the_store(), (hem__socket_options){.connections_max = 3});
  for (size_t i = 0; i < 3; i++) {
    clients[i] = hem__test_client(&s);
    ck_ok(hem_client_search(clients[i], query, DIM, NULL, &answer, err));
  }
  clients[3] = hem__test_client(&s);
  ck_fails(hem_client_search(clients[3], query, DIM, NULL, &answer, err), HEM_EBUSY, "3 connections are open");
  hem_client_close(clients[0]);
  ck_soon(hem__test_connections(&s) == 2);
  ck_ok(hem_client_search(clients[3], query, DIM, NULL, &answer, err)); /* it connects anew */
  for (size_t i = 1; i < 4; i++) hem_client_close(clients[i]);
  hem__test_serve_end(&s);
}
END_TEST

/* Half a request, and requests without an end whose replies nobody reads: both are cut off in time. */
START_TEST(peers_that_let_it_wait) {
  static hem__test_server s;
  hem__buffer frame = one_search();
  hem__test_serve(&s, the_store(), (hem__socket_options){.deadline_ms = 300});
  int half = hem__test_connect(s.path), deaf = hem__test_connect(s.path), idle = hem__test_connect(s.path);
  ck_assert_int_eq(send(half, frame.at, 20, MSG_NOSIGNAL), 20);
  uint64_t until = hem__now_ns() + UINT64_C(5000000000);
  while (hem__now_ns() < until &&
         (send(deaf, frame.at, frame.size, MSG_NOSIGNAL | MSG_DONTWAIT) > 0 || errno == EAGAIN))
    hem__test_check_alive(&s);
  ck_soon(hem__test_connections(&s) == 1);
  ck_assert_uint_eq(hem__test_receive(half, frame.at, 1), 0);
  ck_assert_int_eq(send(idle, frame.at, 0, MSG_NOSIGNAL), 0); /* nothing was asked, so nothing is late */
  close(half);
  close(deaf);
  close(idle);
  hem__buffer_clear(&frame);
  hem__test_serve_end(&s);
}
END_TEST

/* Credentials are a thread's: this one becomes somebody else for a connection. */
static void *connect_as_nobody(void *context) {
  const hem__test_server *s = context;
  static int fd;
  if (syscall(SYS_setresuid, -1, 65534, -1) != 0) return NULL;
  fd = hem__test_connect(s->path);
  syscall(SYS_setresuid, -1, 0, -1);
  return &fd;
}

START_TEST(another_user) {
  for (int any = 0; any < 2; any++) {
    static hem__test_server s;
    pthread_t thread;
    void *fd = NULL;
    hem__test_serve(&s, the_store(), (hem__socket_options){.mode = 0666, .any_user = any});
    if (geteuid() == 0) {
      ck_assert_int_eq(pthread_create(&thread, NULL, connect_as_nobody, &s), 0);
      pthread_join(thread, &fd);
    }
    if (!fd) {
      puts("another user: not checked, that takes root");
    } else if (any) {
      uint8_t ask[HEM__WIRE_HEADER] = {'H', 'M', 1, HEM__WIRE_PING};
      ck_assert_int_eq(send(*(int *)fd, ask, sizeof ask, MSG_NOSIGNAL), sizeof ask);
      ck_assert_uint_eq(hem__test_receive(*(int *)fd, ask, sizeof ask), sizeof ask);
      ck_assert_int_eq(ask[3], HEM__WIRE_PING + HEM__WIRE_REPLY);
      close(*(int *)fd);
    } else {
      check_farewell(*(int *)fd, HEM_EINVAL, "root only");
      ck_soon(hem__test_refused(&s) == 1);
    }
    hem__test_check_alive(&s);
    hem__test_serve_end(&s);
  }
}
END_TEST

/* ---- start and stop ---- */

START_TEST(the_file) {
  static hem__test_server s;
  struct stat st;
  hem__socket *second = NULL;
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  ck_assert_int_eq(stat(s.path, &st), 0);
  ck_assert(S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0600);
  hem__socket_options o = {.path = s.path, .fd = -1, .threads = 1};
  ck_fails(hem__socket_start(&s.service, &o, &second, err), HEM_EBUSY, s.path);
  hem__test_check_alive(&s);
  hem__test_socket_stop(&s, 1000);
  ck_assert_int_eq(stat(s.path, &st), -1);
  /* A socket that nobody listens at any more. */
  int dead = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_storage address = {.ss_family = AF_UNIX};
  strcpy((char *)&address + sizeof(sa_family_t), s.path);
  ck_assert_int_eq(bind(dead, (struct sockaddr *)&address, (socklen_t)(sizeof(sa_family_t) + strlen(s.path) + 1)), 0);
  close(dead);
  hem__test_socket_start(&s, (hem__socket_options){.mode = 0660});
  ck_assert_int_eq(stat(s.path, &st), 0);
  ck_assert((st.st_mode & 0777) == 0660);
  hem__test_check_alive(&s);
  hem__test_socket_stop(&s, 1000);
  ck_assert_int_eq(close(creat(s.path, 0600)), 0); /* somebody's file */
  ck_fails(hem__socket_start(&s.service, &o, &second, err), HEM_EINVAL, "no socket");
  ck_assert_int_eq(stat(s.path, &st), 0);
  ck_assert_int_eq(unlink(s.path), 0);
  o.path = "";
  ck_fails(hem__socket_start(&s.service, &o, &second, err), HEM_EINVAL, "path");
  hem__test_serve_end(&s);
}
END_TEST

START_TEST(a_socket_that_listens_already) {
  static hem__test_server s;
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  hem__test_socket_stop(&s, 0);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_storage address = {.ss_family = AF_UNIX};
  strcpy((char *)&address + sizeof(sa_family_t), s.path);
  hem__socket *none = NULL;
  hem__socket_options o = {.fd = fd};
  ck_fails(hem__socket_start(&s.service, &o, &none, err), HEM_EINVAL, "listens");
  ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, (socklen_t)(sizeof(sa_family_t) + strlen(s.path) + 1)), 0);
  ck_assert_int_eq(listen(fd, 8), 0);
  int kept = dup(fd); /* as whoever started the server keeps it */
  for (int i = 0; i < 2; i++) {
    o.fd = i ? dup(kept) : fd;
    ck_ok(hem__socket_start(&s.service, &o, &s.socket, err));
    hem__test_check_alive(&s);
    hem__test_socket_stop(&s, 1000);
  }
  close(kept);
  hem__test_serve_end(&s);
}
END_TEST

static void *stop_soon(void *context) {
  hem__test_socket_stop(context, 10000);
  return NULL;
}

START_TEST(a_stop_answers_what_was_asked) {
  enum { ASKED = 200 };
  static hem__test_server s;
  hem__buffer frame = one_search();
  pthread_t thread;
  uint8_t header[HEM__WIRE_HEADER];
  static uint8_t body[1 << 16];
  size_t answers = 0;
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  int fd = hem__test_connect(s.path), later = hem__test_connect(s.path);
  for (size_t i = 0; i < ASKED; i++)
    ck_assert_int_eq(send(fd, frame.at, frame.size, MSG_NOSIGNAL), (ssize_t)frame.size);
  ck_assert_int_eq(pthread_create(&thread, NULL, stop_soon, &s), 0);
  while (hem__test_receive(fd, header, sizeof header) == sizeof header) {
    hem__wire_header h;
    ck_ok(hem__wire_header_read(header, sizeof body, &h, err));
    ck_assert_int_eq(h.type, 129);
    ck_assert_uint_eq(hem__test_receive(fd, body, h.size), h.size);
    answers++;
  }
  ck_assert_uint_eq(answers, ASKED);
  pthread_join(thread, NULL);
  ck_assert_int_eq(send(later, frame.at, frame.size, MSG_NOSIGNAL), -1);
  ck_assert_int_eq(hem__test_connections(&s), 0);
  close(fd);
  close(later);
  hem__buffer_clear(&frame);
  hem__test_serve_end(&s);
}
END_TEST

START_TEST(a_client_comes_back_to_a_server_that_was_started_again) {
  static hem__test_server s;
  float query[DIM] = {1};
  hem_answer answer;
  hem_client *client, *strict = NULL;
  hem__test_serve(&s, the_store(), (hem__socket_options){0});
  client = hem__test_client(&s);
  hem_client_options o = {.size = sizeof o, .no_reconnect = true};
  ck_ok(hem_client_open(s.path, &o, &strict, err));
  for (int i = 0; i < 3; i++) {
    ck_ok(hem_client_search(client, query, DIM, NULL, &answer, err));
    ck_assert_uint_eq(answer.found, 20);
    if (i == 0) ck_ok(hem_client_search(strict, query, DIM, NULL, &answer, err));
    hem__test_socket_stop(&s, 1000);
    hem__test_socket_start(&s, (hem__socket_options){0});
  }
  ck_fails(hem_client_search(strict, query, DIM, NULL, &answer, err), HEM_EIO, "closed the connection");
  ck_ok(hem_client_search(strict, query, DIM, NULL, &answer, err)); /* the call after that connects anew */
  uint64_t id;
  size_t count;
  hem__test_send_query(client, 1, 5, &id);
  ck_ok(hem_client_receive(client, &id, &answer, 1, &count, err));
  hem__test_send_query(client, 1, 5, &id);
  hem__test_socket_stop(&s, 1000);
  ck_ok(hem_client_receive(client, &id, &answer, 1, &count, err)); /* what was asked was answered */
  uint64_t before = hem__now_ns();
  ck_fails(hem_client_search(client, query, DIM, NULL, &answer, err), HEM_EIO, "went away");
  ck_assert_uint_ge(hem__now_ns() - before, UINT64_C(900000000)); /* it was waited for */
  hem_client_close(client);
  hem_client_close(strict);
  client = NULL;
  ck_fails(hem_client_open(s.path, NULL, &client, err), HEM_ENOTFOUND, s.path);
  hem__test_serve_end(&s);
}
END_TEST

HEM_TESTS("socket peers", a_peer_that_leaves_in_mid_frame, a_frame_that_comes_byte_by_byte, a_frame_that_is_too_large,
          requests_that_are_not_known, more_connections_than_there_may_be, peers_that_let_it_wait, another_user,
          the_file, a_socket_that_listens_already, a_stop_answers_what_was_asked,
          a_client_comes_back_to_a_server_that_was_started_again)
