/* Questions become answers: one, or a list. A request is answered from one generation, whatever is published meanwhile.
 */
#include <string.h>

#include "serve/answer_text.h"
#include "serve/http_exchange.h"

/* What failed before it searched, failed in reading the photo. */
static unsigned failure(const hem__question *q, const hem__reply *reply, hem_status status) {
  return hem__http_status(status, q->photo && !reply->timing.search_ns);
}

/* The answer, or where one of several cannot be had, an error in its place. */
static hem_status answer_one(hem__exchange *x, hem__seat *seat, const hem__asked *asked, hem_error *err,
                             unsigned *refusal) {
  const hem__question *q = &asked->question;
  hem__reply reply;
  hem_status status = hem__ask(seat, q, &reply, err);
  reply.timing.wait_ns = x->waited_ns;
  if (!status) hem__answer_text(&x->text, asked->name, q, &reply);
  if (status) *refusal = failure(q, &reply, status);
  if (status && x->request.form == HEM__ONE) x->reply.status = *refusal;
  hem__exchange_note(x, q, &reply, status);
  return status;
}

static void answer_list(hem__exchange *x, hem__seat *seat) {
  hem__request *r = &x->request;
  bool bare = r->form == HEM__SCORE;
  if (!bare) {
    hem__text_open(&x->text, NULL, '{');
    hem__text_string(&x->text, "generation", seat->edition->info.generation);
  }
  hem__text_open(&x->text, bare ? NULL : "answers", '[');
  for (size_t i = 0; i < r->count; i++) {
    hem_error err = {0};
    unsigned refusal = 0;
    hem_status status = answer_one(x, seat, &r->asked[i], &err, &refusal);
    if (status) hem__error_text(&x->text, refusal, hem_status_name(status), err.message);
  }
  hem__text_close(&x->text, ']');
  if (!bare) hem__text_close(&x->text, '}');
}

void hem__answer_questions(hem__exchange *x) {
  hem__live *live = x->shared->service->live;
  hem__seat *seat = NULL;
  hem_error err = {0};
  unsigned refusal = 503;
  hem_status status = hem__seat_take(live, &seat, &err);
  x->reply = (hem__reply_head){.status = 200, .type = "application/json", .cache = "no-store"};
  if (!status && x->request.form == HEM__ONE) {
    status = answer_one(x, seat, &x->request.asked[0], &err, &refusal);
  } else if (!status) {
    answer_list(x, seat);
  }
  if (seat) hem__seat_give(live, seat);
  if (status) hem__exchange_fail(x, refusal, &err);
}
