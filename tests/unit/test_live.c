/* A store that is answered from while it changes: which generation a question gets, and when an old one goes. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "serve/service.h"
#include "support/make_catalog.h"

/* Generation i has items "<i>-a" and "<i>-b": who answers is told by the item. */
static char *publish(const char *folder, unsigned i) {
  hem__made made = {.dim = 2};
  char a[16], b[16];
  snprintf(a, sizeof a, "%u-a", i);
  snprintf(b, sizeof b, "%u-b", i);
  hem__made_add(&made, (hem__photo){.item_id = a, .category = "dress"}, (float[]){1, 0});
  hem__made_add(&made, (hem__photo){.item_id = b, .category = "skirt"}, (float[]){0, 1});
  char *store = hem__made_store(&made, folder, "store", (hem_index_options){0});
  hem__made_clear(&made);
  return store;
}

static hem__live *open_live(const char *store) {
  hem__live *live = NULL;
  ck_ok(hem__live_open(&(hem__live_options){.store = store}, &live, err));
  return live;
}

static hem__question ask_for(const float *vector, size_t dim) {
  hem__question q;
  hem__question_start(&q);
  q.vector = vector;
  q.dim = dim;
  return q;
}

static void check_first(hem__seat *seat, const char *item) {
  hem__question q = ask_for((float[]){1, 0}, 2);
  hem__reply reply;
  ck_ok(hem__ask(seat, &q, &reply, err));
  ck_assert_uint_eq(reply.answer.found, 2);
  ck_assert_str_eq(reply.answer.hits[0].item_id, item);
}

static bool reload(hem__live *live) {
  bool changed = false;
  ck_ok(hem__live_reload(live, &changed, err));
  return changed;
}

START_TEST(a_question_ends_on_the_generation_it_began_with) {
  const char *folder = hem__test_folder();
  char *store = publish(folder, 1);
  hem__live *live = open_live(store);
  hem__seat *old = NULL, *new = NULL;
  ck_ok(hem__seat_take(live, &old, err));
  free(publish(folder, 2));
  ck_assert(reload(live));
  ck_ok(hem__seat_take(live, &new, err));
  check_first(old, "1-a");
  check_first(new, "2-a");
  ck_assert_str_eq(old->edition->info.generation, "000001");
  ck_assert_str_eq(new->edition->info.generation, "000002");
  hem__seat_give(live, old);
  hem__seat_give(live, new);
  hem__live_close(live);
  free(store);
}
END_TEST

START_TEST(nothing_is_opened_where_nothing_changed) {
  char *store = publish(hem__test_folder(), 1);
  hem__live *live = open_live(store);
  hem__seat *before = NULL, *after = NULL;
  ck_ok(hem__seat_take(live, &before, err));
  hem__seat_give(live, before);
  ck_assert(!reload(live));
  ck_ok(hem__seat_take(live, &after, err));
  ck_assert_ptr_eq(before, after); /* and seats are kept */
  hem__seat_give(live, after);
  hem__live_close(live);
  free(store);
}
END_TEST

START_TEST(a_generation_that_cannot_be_opened_is_not_taken_up) {
  const char *folder = hem__test_folder();
  char *store = publish(folder, 1);
  hem__live *live = open_live(store);
  hem__seat *seat = NULL;
  free(publish(folder, 2));
  char *vectors = hem__test_path(store, "generations/000002/c0000.bytes");
  ck_assert_int_eq(truncate(vectors, 4), 0);
  bool changed = false;
  ck_fails(hem__live_reload(live, &changed, err), HEM_ECORRUPT, "c0000.bytes");
  ck_ok(hem__seat_take(live, &seat, err));
  check_first(seat, "1-a");
  hem__seat_give(live, seat);
  hem__live_close(live);
  free(vectors);
  free(store);
}
END_TEST

START_TEST(a_rollback_is_taken_up_like_any_generation) {
  const char *folder = hem__test_folder();
  char *store = publish(folder, 1), number[16];
  free(publish(folder, 2));
  hem__live *live = open_live(store);
  hem__seat *seat = NULL;
  ck_ok(hem_rollback(store, NULL, number, err));
  ck_assert(reload(live));
  ck_ok(hem__seat_take(live, &seat, err));
  check_first(seat, "1-a");
  hem__seat_give(live, seat);
  hem__live_close(live);
  free(store);
}
END_TEST

START_TEST(without_a_catalogue_vectors_are_still_answered) {
  const char *folder = hem__test_folder();
  char *store = publish(folder, 1), *catalog = hem__test_path(folder, "catalog.h5");
  ck_assert_int_eq(unlink(catalog), 0);
  hem__live *live = open_live(store);
  hem__seat *seat = NULL;
  ck_ok(hem__seat_take(live, &seat, err));
  ck_assert_ptr_null(seat->edition->catalog);
  ck_assert_ptr_nonnull(strstr(seat->edition->why_no_catalog.message, "catalog.h5"));
  check_first(seat, "1-a");
  hem__seat_give(live, seat);
  hem__live_close(live);
  free(catalog);
  free(store);
}
END_TEST

START_TEST(a_photo_of_a_store_of_vectors_is_refused_with_the_reason) {
  char *store = publish(hem__test_folder(), 1);
  hem__live *live = open_live(store);
  hem__seat *seat = NULL;
  hem__question q;
  hem__reply reply;
  hem__question_start(&q);
  q.photo = (const uint8_t *)"x";
  q.photo_size = 1;
  ck_ok(hem__seat_take(live, &seat, err));
  ck_fails(hem__ask(seat, &q, &reply, err), HEM_EINVAL, "cannot be asked with photos");
  hem__seat_give(live, seat);
  hem__live_close(live);
  free(store);
}
END_TEST

START_TEST(options_reach_the_search) {
  char *store = publish(hem__test_folder(), 1);
  hem__live *live = open_live(store);
  hem__seat *seat = NULL;
  hem__reply reply;
  ck_ok(hem__seat_take(live, &seat, err));
  hem__question q = ask_for((float[]){1, 0}, 2);
  q.o.categories = (const char *[]){"skirt"};
  q.o.category_count = 1;
  ck_ok(hem__ask(seat, &q, &reply, err));
  ck_assert_uint_eq(reply.answer.found, 1);
  ck_assert_str_eq(reply.answer.hits[0].item_id, "1-b");
  q = ask_for((float[]){1, 0, 0}, 3);
  ck_fails(hem__ask(seat, &q, &reply, err), HEM_EMISMATCH, "3 values");
  q = ask_for((float[]){1, 0}, 2);
  q.explain = true;
  ck_fails(hem__ask(seat, &q, &reply, err), HEM_EUNSUPPORTED, "no metric");
  hem__seat_give(live, seat);
  hem__live_close(live);
  free(store);
}
END_TEST

/* ---- many threads, while generations come and go ---- */

enum { ASKERS = 4, SWAPS = 40 };

typedef struct stage {
  hem__live *live;
  atomic_bool stop;
  atomic_size_t answers, wrong;
} stage;

static void *keep_asking(void *context) {
  stage *s = context;
  hem__question q = ask_for((float[]){1, 0}, 2);
  while (!atomic_load(&s->stop)) {
    hem__seat *seat = NULL;
    hem__reply reply;
    char wanted[32];
    if (hem__seat_take(s->live, &seat, NULL)) {
      atomic_fetch_add(&s->wrong, 1);
      continue;
    }
    bool failed = hem__ask(seat, &q, &reply, NULL) != HEM_OK;
    snprintf(wanted, sizeof wanted, "%lu-a", strtoul(seat->edition->info.generation, NULL, 10));
    if (failed || strcmp(reply.answer.hits[0].item_id, wanted) != 0) atomic_fetch_add(&s->wrong, 1);
    hem__seat_give(s->live, seat);
    atomic_fetch_add(&s->answers, 1);
  }
  return NULL;
}

static size_t open_files(void) {
  size_t lines = 0;
  FILE *maps = fopen("/proc/self/maps", "r");
  ck_assert_ptr_nonnull(maps);
  for (char line[4096]; fgets(line, sizeof line, maps);) lines += strstr(line, "/store/") != NULL;
  fclose(maps);
  return lines;
}

START_TEST(swaps_under_load_lose_no_answer_and_leave_nothing_open) {
  const char *folder = hem__test_folder();
  char *store = publish(folder, 1);
  stage s = {.live = open_live(store)};
  pthread_t threads[ASKERS];
  size_t before = open_files();
  for (size_t i = 0; i < ASKERS; i++) ck_assert_int_eq(pthread_create(&threads[i], NULL, keep_asking, &s), 0);
  for (unsigned i = 0; i < SWAPS; i++) {
    free(publish(folder, i + 2));
    ck_assert(reload(s.live));
  }
  atomic_store(&s.stop, true);
  for (size_t i = 0; i < ASKERS; i++) pthread_join(threads[i], NULL);
  ck_assert_uint_eq(atomic_load(&s.wrong), 0);
  ck_assert_uint_gt(atomic_load(&s.answers), SWAPS);
  ck_assert_uint_eq(open_files(), before);
  hem__live_close(s.live);
  ck_assert_uint_eq(open_files(), 0);
  free(store);
}
END_TEST

HEM_TESTS("live", a_question_ends_on_the_generation_it_began_with, nothing_is_opened_where_nothing_changed,
          a_generation_that_cannot_be_opened_is_not_taken_up, a_rollback_is_taken_up_like_any_generation,
          without_a_catalogue_vectors_are_still_answered, a_photo_of_a_store_of_vectors_is_refused_with_the_reason,
          options_reach_the_search, swaps_under_load_lose_no_answer_and_leave_nothing_open)
