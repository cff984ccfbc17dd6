/* What comes over HTTP behind a head: a line with the form's number and the Content-Type, a line with the query string,
 * then the body. Read or refused with words; what was read points into what was given. */
#include "fuzz/fuzz.h"
#include "serve/http_exchange.h"

static char *take_line(uint8_t **at, uint8_t *end) {
  uint8_t *line = *at, *stop = memchr(line, '\n', (size_t)(end - line));
  if (!stop) stop = end;
  size_t size = (size_t)(stop - line);
  char *copy = malloc(size + 1);
  HEM__FUZZ_ASSERT(copy);
  memcpy(copy, line, size);
  copy[size] = '\0';
  *at = stop < end ? stop + 1 : end;
  return copy;
}

/* Every byte that a question borrows can be read. */
static unsigned touch(const hem__asked *a) {
  const hem__question *q = &a->question;
  unsigned sum = 0;
  for (size_t i = 0; i < q->photo_size; i++) sum += q->photo[i];
  for (size_t i = 0; i < q->dim; i++) sum += q->vector[i] > 0;
  for (size_t i = 0; i < q->o.category_count; i++) sum += (unsigned)strlen(q->o.categories[i]);
  for (size_t i = 0; i < q->o.label_count; i++) sum += (unsigned)strlen(q->o.labels[i]);
  if (q->item_id) sum += (unsigned)strlen(q->item_id);
  if (a->name) sum += (unsigned)strlen(a->name);
  HEM__FUZZ_ASSERT((q->photo != NULL) + (q->vector != NULL) + (q->item_id != NULL) == 1);
  HEM__FUZZ_ASSERT(!q->box || (q->box->width > 0 && q->box->height > 0));
  HEM__FUZZ_ASSERT(q->o.k <= 100000 && q->o.min_probability >= 0 && q->o.min_probability <= 1);
  return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static volatile unsigned sink;
  uint8_t *copy = hem__fuzz_copy(data, size), *at = copy;
  char *type = take_line(&at, copy + size), *query = take_line(&at, copy + size);
  size_t body_size = (size_t)(copy + size - at);
  uint8_t *body = hem__fuzz_copy(at, body_size); /* aligned, and ends where it ends */
  hem__request request = {.form = (hem__body_form)((unsigned char)type[0] % 3)};
  unsigned refusal = 0;
  hem_error err = {0};
  hem_status status =
      hem__request_read(&request, query[0] ? query : NULL, type[0] ? type + 1 : NULL, body, body_size, &refusal, &err);
  if (status) {
    HEM__FUZZ_ASSERT(err.message[0] && (refusal == 400 || refusal == 415 || refusal == 503));
  } else {
    HEM__FUZZ_ASSERT(request.count > 0);
    for (size_t i = 0; i < request.count; i++) sink = sink + touch(&request.asked[i]);
  }
  hem__request_clear(&request);
  free(request.scratch.chunks);
  free(body);
  free(query);
  free(type);
  free(copy);
  return 0;
}
