/* A body and a query string become questions. */
#include <stdlib.h>
#include <string.h>

#include "serve/http_exchange.h"

hem_status hem__body_photo(hem__request *r, const uint8_t *body, size_t size, hem_error *err) {
  if (!size) return hem__fail(err, HEM_EINVAL, "the body is empty");
  r->asked->question.photo = body;
  r->asked->question.photo_size = size;
  r->count = 1;
  return HEM_OK;
}

hem_status hem__body_vectors(hem__request *r, const void *body, size_t size, size_t count, hem_error *err) {
  size_t row = size / count;
  if (!size || size % count || row % sizeof(float))
    return hem__fail(err, HEM_EINVAL, "%zu bytes are not %zu vector%s of float32 values", size, count,
                     count == 1 ? "" : "s");
  if (count > 1) {
    hem_status status = hem__scratch_get(&r->scratch, count, sizeof *r->asked, &r->asked, err);
    if (status) return status;
  }
  for (size_t i = 0; i < count; i++) {
    if (count > 1) r->asked[i] = r->usual;
    r->asked[i].question.vector = (const float *)((const uint8_t *)body + i * row);
    r->asked[i].question.dim = row / sizeof(float);
  }
  r->count = count;
  return HEM_OK;
}

static bool is_photo(const char *content_type) {
  static const char *const types[] = {"image/jpeg", "image/png", "image/webp", "image/avif"};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (hem__media_type_is(content_type, types[i])) return true;
  return false;
}

static hem_status read_body(hem__request *r, const char *content_type, uint8_t *body, size_t size, size_t count,
                            unsigned *status, hem_error *err) {
  bool octets = hem__media_type_is(content_type, "application/octet-stream");
  if (count && !octets) return hem__fail(err, HEM_EINVAL, "count is for vectors as application/octet-stream");
  if (hem__media_type_is(content_type, "application/json")) return hem__body_json(r, (char *)body, size, err);
  if (octets && r->form == HEM__ONE) return hem__body_vectors(r, body, size, 1, err);
  if (octets && r->form == HEM__BATCH)
    return count ? hem__body_vectors(r, body, size, count, err)
                 : hem__fail(err, HEM_EINVAL, "say how many vectors there are: ?count=");
  if (r->form == HEM__ONE && is_photo(content_type)) return hem__body_photo(r, body, size, err);
  if (r->form == HEM__ONE && hem__media_type_is(content_type, "multipart/form-data"))
    return hem__body_multipart(r, (char *)body, size, content_type, err);
  *status = 415;
  return hem__fail(err, HEM_EINVAL, "the Content-Type is to be application/json%s",
                   r->form == HEM__ONE
                       ? ", application/octet-stream, multipart/form-data or image/jpeg (png, webp, avif)"
                   : r->form == HEM__BATCH ? " or application/octet-stream"
                                           : "");
}

hem_status hem__request_read(hem__request *r, char *query, const char *content_type, uint8_t *body, size_t size,
                             unsigned *refusal, hem_error *err) {
  static uint8_t none[1]; /* of a body without a byte; never written */
  size_t count = 0;
  if (!size) body = none;
  *refusal = 400;
  hem__asked_start(&r->usual);
  r->asked = &r->usual;
  r->count = 0;
  hem_status status =
      query ? hem__query_string(query, &r->usual, r->form == HEM__BATCH ? &count : NULL, &r->scratch, err) : HEM_OK;
  if (!status) status = read_body(r, content_type, body, size, count, refusal, err);
  for (size_t i = 0; i < r->count && !status; i++) {
    status = hem__asked_end(&r->asked[i], err);
    if (status && r->count > 1) hem__fail_in(err, status, "question %zu", i);
  }
  if (status == HEM_ENOMEM) *refusal = 503;
  return status;
}

void hem__request_clear(hem__request *r) {
  hem__json_clear(r);
  r->asked = NULL;
  r->count = 0;
  hem__scratch_clear(&r->scratch);
}
