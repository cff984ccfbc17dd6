/* What comes over HTTP, read without a network: heads, targets, options, bodies; hostile ones above all. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "serve/http_exchange.h"
#include "test.h"

/* ---- heads ---- */

/* Lines as libmicrohttpd 0.9.75 leaves them in its buffer: a zero for the colon, and for each byte of a line's end. */
static hem__head read_head(const char *lines, bool http_1_1) {
  static char buffer[1 << 17];
  hem__head head;
  size_t size = strlen(lines);
  memcpy(buffer, lines, size);
  memset(buffer + size, 0, 8); /* the empty line */
  hem__head_start(&head, true);
  for (char *line = buffer; *line;) {
    char *colon = strchr(line, ':'), *end = strstr(line, "\r\n"), *next = end + 2;
    *colon = end[0] = end[1] = '\0';
    char *value = colon + 1 + strspn(colon + 1, " \t");
    hem__head_add(&head, line, strlen(line), value, strlen(value));
    line = next;
  }
  hem__head_end(&head, http_1_1);
  return head;
}

START_TEST(heads_that_are_fine) {
  hem__head head =
      read_head("Host: a\r\nContent-Length:  12\r\nCONTENT-TYPE: image/png; x\r\nexpect: 100-Continue\r\n", true);
  ck_assert_msg(head.status == 0, "%s", head.why);
  ck_assert(head.has_length && !head.chunked);
  ck_assert_uint_eq(head.length, 12);
  ck_assert(hem__media_type_is(head.content_type, "image/png"));
  ck_assert(!hem__media_type_is(head.content_type, "image/pn"));
  ck_assert(!hem__media_type_is(head.content_type, "image/pngx"));
  ck_assert(!hem__media_type_is(NULL, "image/png"));
  head = read_head("Host: a\r\nTransfer-Encoding: Chunked\r\n", true);
  ck_assert(head.status == 0 && head.chunked && !head.has_length);
  ck_assert_uint_eq(read_head("A: b\r\n", false).status, 0);
}
END_TEST

START_TEST(heads_in_doubt) {
  static const struct {
    const char *lines;
    unsigned status;
  } wrong[] = {{"", 400},
               {"Host: a\r\nHost: a\r\n", 400},
               {"Host: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n", 400},
               {"Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400},
               {"Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
               {"Host: a\r\nTransfer-Encoding: gzip\r\n", 400},
               {"Host: a\r\nTransfer-Encoding:\r\n", 400},
               {"Host: a\r\nContent-Length: 1a\r\n", 400},
               {"Host: a\r\nContent-Length: 18446744073709551616\r\n", 400},
               {"Host: a\r\nContent-Length:\r\n", 400},
               {"Host: a\r\nContent-Length : 1\r\n", 400},
               {"Host: a\r\nContent\tLength: 1\r\n", 400},
               {"Host: a\r\n: 1\r\n", 400},
               {"Host: a\r\nX: a\rb\r\n", 400},
               {"Host: a\r\nX: a\x7F\r\n", 400},
               {"Host: a\r\nContent-Type: a\r\nContent-Type: a\r\n", 400},
               {"Host: a\r\nAuthorization: a\r\nAuthorization: b\r\n", 400},
               {"Host: a\r\nExpect: something\r\n", 417},
               {"Host: a\r\nContent-Encoding: gzip\r\n", 415}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    hem__head head = read_head(wrong[i].lines, true);
    ck_assert_msg(head.status == wrong[i].status, "%s: %u", wrong[i].lines, head.status);
    ck_assert_ptr_nonnull(head.why);
  }
  ck_assert_uint_eq(read_head("Host: a\r\nTransfer-Encoding: chunked\r\n", false).status, 400);
}
END_TEST

START_TEST(heads_that_are_too_large) {
  static char lines[1 << 16];
  hem__head head;
  strcpy(lines, "Host: a\r\n");
  for (int i = 0; i < HEM__HEAD_FIELDS_MAX; i++) strcat(lines, "X: a\r\n");
  ck_assert_uint_eq(read_head(lines, true).status, 431);
  memset(lines, 'a', HEM__HEAD_BYTES_MAX);
  memcpy(lines, "Host: ", 6);
  strcpy(lines + HEM__HEAD_BYTES_MAX, "\r\n");
  ck_assert_uint_eq(read_head(lines, true).status, 431);
  hem__head_start(&head, false);
  hem__head_add(&head, "A", 1, lines, SIZE_MAX / 2); /* believed without being read */
  ck_assert_uint_eq(head.status, 431);
}
END_TEST

/* What libmicrohttpd swallowed shows in where fields lie. */
START_TEST(what_was_hidden_between_fields) {
  static char folded[] = "Content-Length\0 2\0\0 3\0\0\0\0";
  static char zero[] = "Host\0 a\0b\0\0X\0 c\0\0\0\0";
  static char last[] = "Host\0 a\0bc\0\0\0\0";
  static char moved[] = "Content-Length3";
  for (int verbatim = 0; verbatim < 2; verbatim++) {
    unsigned wanted = verbatim ? 400 : 0;
    hem__head head;
    hem__head_start(&head, verbatim);
    hem__head_add(&head, "Host", 4, "a", 1);
    hem__head_start(&head, verbatim);
    hem__head_add(&head, moved, strlen(moved), folded + 16, 1); /* the line that went on was hung onto the name */
    ck_assert_uint_eq(head.status, wanted);
    hem__head_start(&head, verbatim);
    hem__head_add(&head, zero, 4, zero + 6, 1);
    ck_assert_uint_eq(head.status, 0);
    hem__head_add(&head, zero + 11, 1, zero + 14, 1);
    ck_assert_uint_eq(head.status, wanted);
    hem__head_start(&head, verbatim);
    hem__head_add(&head, last, 4, last + 6, 1);
    hem__head_end(&head, true);
    ck_assert_uint_eq(head.status, wanted);
  }
}
END_TEST

/* ---- the token ---- */

START_TEST(tokens) {
  const char *folder = hem__test_folder();
  char *path = hem__test_path(folder, "token");
  static const struct {
    const char *content;
    bool fine;
  } files[] = {{"secret\n", true}, {" secret \r\n\n", true}, {"secret", true},    {"", false},
               {"\n", false},      {"two words", false},     {"t\xC3\xA4", false}};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    hem__token token = {0};
    hem_error error;
    FILE *f = fopen(path, "w");
    fputs(files[i].content, f);
    fclose(f);
    ck_assert_int_eq(hem__token_read(path, &token, &error), files[i].fine ? HEM_OK : HEM_EINVAL);
    if (!files[i].fine) continue;
    ck_assert(hem__token_fits(&token, "Bearer secret"));
    ck_assert(hem__token_fits(&token, "bEARER  secret"));
    ck_assert(!hem__token_fits(&token, "Bearer secre"));
    ck_assert(!hem__token_fits(&token, "Bearer secrets"));
    ck_assert(!hem__token_fits(&token, "Bearer"));
    ck_assert(!hem__token_fits(&token, "secret"));
    ck_assert(!hem__token_fits(&token, ""));
    ck_assert(!hem__token_fits(&token, NULL));
  }
  ck_assert(hem__token_fits(&(hem__token){0}, NULL)); /* none is wanted */
  ck_fails(hem__token_read("/no/such/token", &(hem__token){0}, err), HEM_ENOTFOUND, "token");
  free(path);
}
END_TEST

/* ---- targets ---- */

static hem_status decode(const char *text, bool plus, char *out) {
  hem_error ignored;
  strcpy(out, text);
  return hem__percent_decode(out, strlen(out), plus, &ignored);
}

START_TEST(percent_escapes) {
  char out[64];
  ck_assert_int_eq(decode("a%20b%2Fc%c3%A4", false, out), HEM_OK);
  ck_assert_str_eq(out, "a b/c\xC3\xA4");
  ck_assert_int_eq(decode("a+b", false, out), HEM_OK);
  ck_assert_str_eq(out, "a+b");
  ck_assert_int_eq(decode("a+b", true, out), HEM_OK);
  ck_assert_str_eq(out, "a b");
  static const char *const wrong[] = {"%", "%2", "%zz", "%2z", "%00", "a%00b", "%ff", "%c3", "a%", "a%2"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) ck_assert_int_eq(decode(wrong[i], true, out), HEM_EINVAL);
}
END_TEST

/* ---- requests ---- */

static hem_status read_request(hem__request *r, hem__body_form form, const char *query, const char *type,
                               const void *body, size_t size, hem_error *err) {
  static char copy[4096];
  static _Alignas(16) uint8_t bytes[1 << 16];
  unsigned refusal = 0;
  if (query) strcpy(copy, query);
  memcpy(bytes, body, size);
  *r = (hem__request){.form = form};
  hem_status status = hem__request_read(r, query ? copy : NULL, type, bytes, size, &refusal, err);
  if (status) ck_assert(refusal == 400 || refusal == 415);
  return status;
}

static hem_status read_text(hem__request *r, hem__body_form form, const char *query, const char *type, const char *body,
                            hem_error *err) {
  return read_request(r, form, query, type, body, strlen(body), err);
}

static void clear(hem__request *r) {
  hem__request_clear(r);
  free(r->scratch.chunks);
}

static void check_options(const hem__asked *a) {
  const hem__question *q = &a->question;
  ck_assert_uint_eq(q->o.k, 7);
  ck_assert_uint_eq(q->o.category_count, 2);
  ck_assert_str_eq(q->o.categories[0], "dress");
  ck_assert_str_eq(q->o.categories[1], "long skirt");
  ck_assert_uint_eq(q->o.label_count, 1);
  ck_assert_str_eq(q->o.labels[0], "red");
  ck_assert_uint_eq(q->o.rerank, 300);
  ck_assert_double_eq(q->o.min_probability, 0.25);
  ck_assert(q->explain && q->also_plain && q->o.exact && q->o.photos && !q->o.plain);
  ck_assert_str_eq(a->name, "mine");
  ck_assert_ptr_eq(q->box, &a->box);
  ck_assert_double_eq(q->box->x, 0.1);
  ck_assert_double_eq(q->box->height, 0.5);
  ck_assert(q->box->parts);
}

START_TEST(options_are_the_same_everywhere) {
  hem__request r;
  ck_ok(read_text(
      &r, HEM__ONE,
      "k=7&category=dress&category=long+skirt&label=red&rerank=300&min_probability=0.25&explain=true&also_plain=1&"
      "exact=true&photos=true&plain=0&name=mine&box=0.1,0,1,0.5",
      "image/jpeg", "photo", err));
  check_options(&r.asked[0]);
  ck_assert_uint_eq(r.asked[0].question.photo_size, 5);
  clear(&r);
  ck_ok(read_text(
      &r, HEM__ONE, NULL, "application/json",
      "{\"photo_base64\": \"cGhvdG8=\", \"k\": 7, \"categories\": [\"dress\", \"long skirt\"], \"label\": \"red\", "
      "\"rerank\": 300, \"min_probability\": 0.25, \"explain\": true, \"also_plain\": true, \"exact\": true, "
      "\"photos\": true, \"plain\": false, \"name\": \"mine\", \"box\": [0.1, 0, 1, 0.5]}",
      err));
  check_options(&r.asked[0]);
  ck_assert_mem_eq(r.asked[0].question.photo, "photo", 5);
  clear(&r);
#define FIELD(name, value) "--b\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
  ck_ok(read_text(&r, HEM__ONE, "k=9", "multipart/form-data; boundary=b",
                  FIELD("k", "7") FIELD("categories", "dress,long skirt") FIELD("labels", "red") FIELD("rerank", "300")
                      FIELD("min_probability", ".25") FIELD("explain", "1") FIELD("also_plain", "1") FIELD("exact", "1")
                          FIELD("photos", "1") FIELD("name", "mine") FIELD("box", "10e-2,0,1,0.5")
                              FIELD("photo", "photo") "--b--",
                  err));
  check_options(&r.asked[0]);
  ck_assert_mem_eq(r.asked[0].question.photo, "photo", 5);
  clear(&r);
}
END_TEST

START_TEST(a_batch_takes_the_usual_options_and_its_own) {
  hem__request r;
  ck_ok(read_text(&r, HEM__BATCH, "k=3&category=a&exact=true", "application/json",
                  "{\"k\": 4, \"queries\": [{\"vector\": [1, 2.5]}, {\"item_id\": \"i\", \"k\": 5, \"categories\": "
                  "[\"b\", \"c\"]}, "
                  "{\"item_id\": \"j\"}]}",
                  err));
  ck_assert_uint_eq(r.count, 3);
  ck_assert_uint_eq(r.asked[0].question.dim, 2);
  ck_assert_float_eq(r.asked[0].question.vector[1], 2.5F);
  static const size_t ks[] = {4, 5, 4}, counts[] = {1, 2, 1};
  static const char *const firsts[] = {"a", "b", "a"};
  for (size_t i = 0; i < 3; i++) {
    ck_assert_uint_eq(r.asked[i].question.o.k, ks[i]);
    ck_assert_uint_eq(r.asked[i].question.o.category_count, counts[i]);
    ck_assert_str_eq(r.asked[i].question.o.categories[0], firsts[i]);
    ck_assert(r.asked[i].question.o.exact);
  }
  clear(&r);
  float two[4] = {1, 2, 3, 4};
  ck_ok(read_request(&r, HEM__BATCH, "count=2&label=x", "application/octet-stream", two, sizeof two, err));
  ck_assert_uint_eq(r.count, 2);
  ck_assert_float_eq(r.asked[1].question.vector[0], 3);
  ck_assert_str_eq(r.asked[1].question.o.labels[0], "x");
  clear(&r);
}
END_TEST

START_TEST(score_takes_records_of_any_kind) {
  hem__request r;
  static const struct {
    const char *body;
    size_t count;
  } fine[] = {{"{\"data\": [[1, 2], {\"item_id\": \"a\"}, \"cGhvdG8=\"]}", 3},
              {"{\"input_df\": [[1]], \"k\": 3}", 1},
              {"{\"data\": [1, 2, 3]}", 1},
              {"{\"data\": \"cGhvdG8=\"}", 1},
              {"{\"data\": {\"item_id\": \"a\"}}", 1}};
  for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
    ck_ok(read_text(&r, HEM__SCORE, NULL, "application/json", fine[i].body, err));
    ck_assert_uint_eq(r.count, fine[i].count);
    clear(&r);
  }
  static const char *const wrong[] = {"{}",
                                      "{\"data\": []}",
                                      "{\"data\": null}",
                                      "{\"data\": [null]}",
                                      "{\"data\": 1, \"input_df\": 1}",
                                      "{\"data\": [[]]}",
                                      "{\"data\": [{}]}",
                                      "[[1]]",
                                      "{\"data\": [[1]], \"more\": 1}"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    hem_error error = {0};
    ck_assert_msg(read_text(&r, HEM__SCORE, NULL, "application/json", wrong[i], &error) == HEM_EINVAL, "%s", wrong[i]);
    clear(&r);
  }
}
END_TEST

START_TEST(contradictions) {
  static const char *const wrong[] = {"{\"item_id\": \"a\", \"plain\": true, \"explain\": true}",
                                      "{\"item_id\": \"a\", \"plain\": true, \"rerank\": 3}",
                                      "{\"item_id\": \"a\", \"box\": [0, 0, 1, 1]}",
                                      "{\"photo_base64\": \"cGhv\", \"box_unit\": \"parts\"}",
                                      "{\"item_id\": \"a\", \"vector\": [1]}",
                                      "{\"item_id\": \"a\", \"photo_base64\": \"cGhv\"}",
                                      "{\"photo_base64\": \"cGhv\", \"box\": [-1, 0, 1, 1]}",
                                      "{\"photo_base64\": \"cGhv\", \"box\": [0, 0, 1e9, 1]}"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    hem__request r;
    hem_error error = {0};
    ck_assert_msg(read_text(&r, HEM__ONE, NULL, "application/json", wrong[i], &error) == HEM_EINVAL, "%s", wrong[i]);
    clear(&r);
  }
}
END_TEST

START_TEST(names_without_end) {
  static char query[4096];
  hem__request r;
  for (int i = 0; i < HEM__HTTP_NAMES_MAX; i++) strcat(query, i ? "&label=a" : "label=a");
  ck_ok(read_text(&r, HEM__ONE, query, "image/png", "x", err));
  ck_assert_uint_eq(r.asked[0].question.o.label_count, HEM__HTTP_NAMES_MAX);
  clear(&r);
  strcat(query, "&label=a");
  ck_fails(read_text(&r, HEM__ONE, query, "image/png", "x", err), HEM_EINVAL, "more than 256");
  clear(&r);
}
END_TEST

START_TEST(deep_json) {
  char body[256];
  hem__request r;
  for (int depth = HEM__JSON_DEPTH_MAX - 1; depth <= HEM__JSON_DEPTH_MAX + 1; depth++) {
    memset(body, '[', (size_t)depth);
    body[depth] = '\0';
    ck_fails(read_text(&r, HEM__ONE, NULL, "application/json", body, err), HEM_EINVAL,
             depth > HEM__JSON_DEPTH_MAX ? "deeply" : "JSON");
    clear(&r);
  }
  /* Brackets in strings are text. */
  ck_fails(read_text(&r, HEM__ONE, NULL, "application/json",
                     "{\"item_id\": \"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[\", \"k\": 0}", err),
           HEM_EINVAL, "k wants");
  clear(&r);
}
END_TEST

START_TEST(base64) {
  static const char *const words[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"}; /* RFC 4648, 10 */
  static const char *const texts[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
  uint8_t out[32];
  size_t size;
  for (size_t i = 1; i < 7; i++) {
    ck_assert(hem__base64_decode(texts[i], strlen(texts[i]), out, &size));
    ck_assert_uint_eq(size, strlen(words[i]));
    ck_assert_mem_eq(out, words[i], size);
  }
  static const char *const wrong[] = {
      "", "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "====", "Z===", "Zm9v\n", "Zm 9", "Zm9-", "Zm9_", "Zm=v"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    ck_assert_msg(!hem__base64_decode(wrong[i], strlen(wrong[i]), out, &size), "%s", wrong[i]);
}
END_TEST

START_TEST(scratch_is_aligned_zeroed_and_counts) {
  hem__scratch scratch = {0};
  uint8_t *at = NULL;
  for (size_t i = 1; i < 40000; i = 3 * i + 1) {
    ck_ok(hem__scratch_get(&scratch, i, 1, &at, err));
    ck_assert_uint_eq((uintptr_t)at % 16, 0);
    for (size_t j = 0; j < i; j++) ck_assert_uint_eq(at[j], 0);
    memset(at, 0xAA, i);
  }
  ck_fails(hem__scratch_get(&scratch, SIZE_MAX / 2, 4, &at, err), HEM_ENOMEM, "memory");
  ck_fails(hem__scratch_get(&scratch, SIZE_MAX - 8, 1, &at, err), HEM_ENOMEM, "memory");
  hem__scratch_clear(&scratch);
  free(scratch.chunks);
}
END_TEST

HEM_TESTS("http_request", heads_that_are_fine, heads_in_doubt, heads_that_are_too_large, what_was_hidden_between_fields,
          tokens, percent_escapes, options_are_the_same_everywhere, a_batch_takes_the_usual_options_and_its_own,
          score_takes_records_of_any_kind, contradictions, names_without_end, deep_json, base64,
          scratch_is_aligned_zeroed_and_counts)
