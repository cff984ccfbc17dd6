/* Training on a world whose answer is known: a few dimensions say what a photo shows, the others are noise. */
#include "metric/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "metric/metric_file.h"
#include "support/make_metric.h"
#include "test.h"

static const hem__test_world world = {.dim = 32,
                                      .signal = 8,
                                      .items = 300,
                                      .categories = 1,
                                      .consumers = 2,
                                      .shops = 1,
                                      .jitter = 0.45F,
                                      .noise = 1.5F,
                                      .random = 1};

/* The catalogue of the world, made once. */
static const char *catalog_path(void) {
  static char path[256];
  if (!*path) {
    hem__test_pairs pairs;
    hem__test_pairs_new(&world, &pairs);
    snprintf(path, sizeof path, "%s", hem__catalog_path(pairs.catalog));
    hem__test_pairs_clear(&pairs);
  }
  return path;
}

static hem__training trained(hem_train_options options) {
  hem__catalog *catalog = NULL;
  hem__training training;
  options.size = sizeof options;
  options.threads = 1;
  options.no_tower = options.tower == 0;
  ck_ok(hem__catalog_open(catalog_path(), &catalog, err));
  ck_ok(hem__train(catalog, &options, false, &training, err));
  hem__catalog_close(catalog);
  return training;
}

/* ---- what is learned ---- */

/* Of queries answered within 20 photos by the best plain distance, how many more by the metric? */
static void check_gain(const char *what, hem_train_options options, double least) {
  options.epochs = 10;
  hem__training t = trained(options);
  const hem__verdict *v = &t.metric->verdict;
  double plain = (double)v->right[v->best] / (double)v->queries;
  ck_assert_msg(plain < 0.75, "%s: the plain distance finds %g of all: too easy to show anything", what, plain);
  ck_assert_msg(v->gain_low > least, "%s: gain %g, at least %g, on %g", what, v->gain, v->gain_low, plain);
  ck_assert(hem__metric_passed(t.metric));
  hem__training_clear(&t);
}

START_TEST(every_form_and_loss_finds_the_dimensions_that_matter) {
  check_gain("l1", (hem_train_options){.form = "l1", .learning_rate = 0.02}, 0.15);
  check_gain("head", (hem_train_options){.hidden = 32}, 0.15);
  check_gain("head, free", (hem_train_options){.hidden = 32, .free_sign = true, .random_start = true}, 0.1);
  check_gain("head, raw, rmsprop", (hem_train_options){.hidden = 32, .raw = true, .optimiser = "rmsprop"}, 0.15);
  check_gain("head, dropout", (hem_train_options){.hidden = 32, .dropout = 0.2, .weight_decay = 0.01}, 0.15);
  check_gain("head, triplet", (hem_train_options){.hidden = 32, .loss = "triplet", .learning_rate = 0.003}, 0.1);
  check_gain("tower", (hem_train_options){.form = "l1", .tower = 16, .learning_rate = 0.01}, 0.1);
}
END_TEST

START_TEST(every_kind_of_negatives_teaches) {
  check_gain("hard", (hem_train_options){.hidden = 32, .negatives = "hard"}, 0.15);
  check_gain("category", (hem_train_options){.hidden = 32, .negatives = "category"}, 0.15);
  check_gain("random", (hem_train_options){.hidden = 32, .negatives = "random"}, 0.1);
}
END_TEST

START_TEST(weights_of_l1_are_on_the_signal) {
  hem__training t = trained((hem_train_options){.form = "l1", .raw = true, .learning_rate = 0.02, .epochs = 12});
  double signal = 0, noise = 0;
  for (size_t d = 0; d < world.dim; d++) {
    ck_assert(t.metric->w2[d] <= 0);
    *(d < world.signal ? &signal : &noise) -= (double)t.metric->w2[d];
  }
  signal /= (double)world.signal, noise /= (double)(world.dim - world.signal);
  ck_assert_msg(signal > 5 * noise, "%g on a dimension of the signal, %g on one of noise", signal, noise);
  hem__training_clear(&t);
}
END_TEST

START_TEST(a_step_far_too_long_leaves_it_no_worse_than_before) {
  static const char *const forms[] = {"head", "l1"};
  for (size_t i = 0; i < 2; i++) {
    hem__training t = trained((hem_train_options){.form = forms[i], .learning_rate = 10, .epochs = 3});
    ck_assert_uint_ge(t.epoch_count, 2);
    ck_assert_uint_eq(t.epochs[0].epoch, 0);
    ck_assert(isnan(t.epochs[0].loss));
    ck_assert_double_ge(t.epochs[t.best].accuracy, t.epochs[0].accuracy);
    const hem__verdict *v = &t.metric->verdict;
    ck_assert_double_ge((double)v->right[HEM__CONTENDERS - 1], (double)v->right[HEM_L1] - 0.1 * (double)v->queries);
    hem__training_clear(&t);
  }
}
END_TEST

/* A category has fewer photos than validation scores: what it counted while training is what the judge counts of the
 * metric that was made of the weights. */
START_TEST(the_metric_is_the_model_that_stayed) {
  const hem_train_options kinds[] = {{.hidden = 16, .epochs = 4},
                                     {.form = "l1", .raw = true, .epochs = 4},
                                     {.hidden = 16, .tower = 12, .epochs = 4},
                                     {.hidden = 16, .raw = true, .tower = 12, .epochs = 4}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    hem__training t = trained(kinds[i]);
    const hem__verdict *v = &t.metric->verdict;
    double right = (double)v->right[HEM__CONTENDERS - 1] / (double)v->queries;
    ck_assert_uint_eq(v->queries, t.validation_queries);
    ck_assert_msg(fabs(right - t.epochs[t.best].accuracy) < 0.008, "kind %zu: judged %g, watched %g", i, right,
                  t.epochs[t.best].accuracy);
    hem__training_clear(&t);
  }
}
END_TEST

START_TEST(a_head_is_concave_unless_its_signs_are_free) {
  hem__training t = trained((hem_train_options){.hidden = 24, .random_start = true, .epochs = 2});
  ck_assert(hem__metric_concave(t.metric));
  hem__training_clear(&t);
  t = trained((hem_train_options){.hidden = 24, .random_start = true, .free_sign = true, .epochs = 2});
  ck_assert(!hem__metric_concave(t.metric));
  hem__training_clear(&t);
}
END_TEST

START_TEST(of_several_seeds_the_best_stays) {
  hem__training t = trained((hem_train_options){.hidden = 8, .epochs = 2, .seeds = 3, .random_start = true});
  ck_assert_uint_eq(t.epoch_count, 9);
  for (size_t i = 0; i < t.epoch_count; i++) {
    ck_assert_uint_eq(t.epochs[i].seed, i / 3 + 1);
    ck_assert_uint_eq(t.epochs[i].epoch, i % 3);
    ck_assert_double_le(t.epochs[i].accuracy, t.epochs[t.best].accuracy);
  }
  hem__training_clear(&t);
}
END_TEST

START_TEST(it_stops_when_validation_gets_no_better) {
  hem__training t = trained((hem_train_options){.form = "l1", .learning_rate = 10, .epochs = 50, .patience = 3});
  ck_assert_uint_le(t.epoch_count, t.best + 1 + 3);
  ck_assert_uint_lt(t.epoch_count, 50);
  hem__training_clear(&t);
}
END_TEST

/* ---- who is not looked at ---- */

/* Photos of test items hold no numbers here: whoever reads one gets no metric. */
START_TEST(test_items_are_never_read_and_not_listed_as_seen) {
  hem__made made = {.dim = 4};
  uint64_t state = 3;
  const char *folder = hem__test_folder();
  char *path = hem__test_path(folder, "marked.h5");
  for (size_t i = 0; i < 60; i++) {
    char item[16];
    float v[4];
    snprintf(item, sizeof item, "i%zu", i);
    uint8_t split = (uint8_t)(i % 3 == 0 ? HEM__TEST : i % 3 == 1 ? HEM__TRAIN : HEM__VALIDATION);
    for (uint8_t domain = 0; domain < 2; domain++) {
      for (size_t d = 0; d < 4; d++) v[d] = split == HEM__TEST ? NAN : hem__test_normal(&state);
      hem__made_add(&made, (hem__photo){.item_id = item, .domain = domain, .split = split}, v);
    }
  }
  hem__made_seal(&made, path);
  hem__catalog *catalog = NULL;
  hem__training t;
  hem_train_options o = {.size = sizeof o, .hidden = 4, .epochs = 2, .threads = 1};
  ck_ok(hem__catalog_open(path, &catalog, err));
  ck_ok(hem__train(catalog, &o, false, &t, err));
  ck_assert_uint_eq(t.metric->seen_count, 40);
  ck_assert_uint_eq(t.test_items, 20);
  ck_assert(!hem__metric_saw(t.metric, "i0"));
  ck_assert(hem__metric_saw(t.metric, "i1") && hem__metric_saw(t.metric, "i2"));
  hem__training_clear(&t);
  /* Folds that pay no heed to the marks do read them, and say which photo it is. */
  ck_fails(hem__train(catalog, &o, true, &t, err), HEM_EINVAL, "photo-");
  hem__catalog_close(catalog);
  hem__made_clear(&made);
  free(path);
}
END_TEST

/* ---- files ---- */

typedef struct file {
  uint8_t *bytes;
  size_t size;
} file;

static file read_file(const char *path) {
  file f = {0};
  ck_ok(hem__file_read(path, &f.bytes, &f.size, err));
  return f;
}

/* Stops at the first report after so many epochs. */
typedef struct stopper {
  size_t epochs, after;
} stopper;

static bool maybe_stop(void *context, const char *stage, uint64_t done, uint64_t total, const char *unit) {
  const stopper *s = context;
  (void)stage, (void)done, (void)total, (void)unit;
  return s->epochs < s->after;
}

static void count_epoch(void *context, const hem_epoch *epoch) {
  (void)epoch;
  ((stopper *)context)->epochs++;
}

static hem_train_options options_of(size_t kind, const char *metric) {
  hem_train_options all[] = {{.hidden = 12, .dropout = 0.3, .seeds = 2},
                             {.hidden = 8, .tower = 10, .optimiser = "rmsprop"},
                             {.form = "l1", .loss = "triplet", .weight_decay = 0.01}};
  hem_train_options o = all[kind];
  o.size = sizeof o;
  o.no_tower = o.tower == 0;
  o.catalog = catalog_path();
  o.metric = metric;
  o.epochs = 4;
  o.threads = 2;
  o.seed = 7;
  return o;
}
enum { KINDS = 3 };

START_TEST(the_same_seed_gives_the_same_bytes_and_another_one_others) {
  const char *folder = hem__test_folder();
  char *a = hem__test_path(folder, "a.metric"), *b = hem__test_path(folder, "b.metric");
  for (size_t kind = 0; kind < KINDS; kind++) {
    hem_train_options o = options_of(kind, a);
    ck_ok(hem_train(&o, NULL, err));
    o.metric = b;
    ck_ok(hem_train(&o, NULL, err));
    file first = read_file(a), second = read_file(b);
    ck_assert_uint_eq(first.size, second.size);
    ck_assert_mem_eq(first.bytes, second.bytes, first.size);
    free(second.bytes);
    o.seed++;
    ck_ok(hem_train(&o, NULL, err));
    second = read_file(b);
    ck_assert(first.size != second.size || memcmp(first.bytes, second.bytes, first.size) != 0);
    free(first.bytes);
    free(second.bytes);
  }
  free(a);
  free(b);
}
END_TEST

START_TEST(a_run_that_was_stopped_goes_on_to_the_same_bytes) {
  const char *folder = hem__test_folder();
  char *whole = hem__test_path(folder, "whole.metric"), *parts = hem__test_path(folder, "parts.metric"),
       *checkpoint = hem__test_path(folder, "state");
  for (size_t kind = 0; kind < KINDS; kind++) {
    hem_train_options o = options_of(kind, whole);
    ck_ok(hem_train(&o, NULL, err));
    o.metric = parts;
    o.checkpoint = checkpoint;
    o.on_epoch = count_epoch;
    for (size_t after = 2; after <= 4; after += 2) {
      stopper stop = {.after = after};
      o.progress = (hem_progress){maybe_stop, &stop};
      ck_fails(hem_train(&o, NULL, err), HEM_ECANCELED, "epoch");
      ck_assert(!hem__path_exists(parts));
      ck_assert(hem__path_exists(checkpoint));
    }
    stopper on = {.after = SIZE_MAX};
    o.progress = (hem_progress){maybe_stop, &on};
    ck_ok(hem_train(&o, NULL, err));
    ck_assert_uint_eq(on.epochs, kind == 0 ? 10 : 5); /* those of before are told again */
    ck_assert(!hem__path_exists(checkpoint));
    file first = read_file(whole), second = read_file(parts);
    ck_assert_uint_eq(first.size, second.size);
    ck_assert_mem_eq(first.bytes, second.bytes, first.size);
    free(first.bytes);
    free(second.bytes);
    remove(parts);
  }
  free(whole);
  free(parts);
  free(checkpoint);
}
END_TEST

START_TEST(a_checkpoint_of_another_run_or_a_damaged_one_is_refused) {
  const char *folder = hem__test_folder();
  char *metric = hem__test_path(folder, "m.metric"), *checkpoint = hem__test_path(folder, "state");
  hem_train_options o = options_of(0, metric);
  stopper stop = {.after = 2};
  o.checkpoint = checkpoint;
  o.on_epoch = count_epoch;
  o.progress = (hem_progress){maybe_stop, &stop};
  ck_fails(hem_train(&o, NULL, err), HEM_ECANCELED, "epoch");
  hem_train_options other = o;
  other.seed++;
  ck_fails(hem_train(&other, NULL, err), HEM_EMISMATCH, "another run");
  other = o;
  other.negatives_each = 7;
  ck_fails(hem_train(&other, NULL, err), HEM_EMISMATCH, "another run");
  file f = read_file(checkpoint);
  const size_t places[] = {0, 100, f.size / 2, f.size - 1};
  for (size_t i = 0; i <= sizeof places / sizeof *places; i++) {
    bool cut = i == sizeof places / sizeof *places;
    if (!cut) f.bytes[places[i]] ^= 1;
    FILE *out = fopen(checkpoint, "wb");
    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(f.bytes, 1, cut ? f.size - 9 : f.size, out), cut ? f.size - 9 : f.size);
    ck_assert_int_eq(fclose(out), 0);
    if (!cut) f.bytes[places[i]] ^= 1;
    ck_fails(hem_train(&o, NULL, err), HEM_ECORRUPT, "delete it to start anew");
  }
  free(f.bytes);
  free(metric);
  free(checkpoint);
}
END_TEST

START_TEST(a_metric_is_written_and_read_back_with_its_verdict) {
  const char *folder = hem__test_folder();
  char *path = hem__test_path(folder, "m.metric");
  hem_train_options o = {
      .size = sizeof o, .catalog = catalog_path(), .metric = path, .hidden = 16, .no_tower = true, .epochs = 6};
  hem_train_result result;
  hem__metric *metric = NULL;
  ck_ok(hem_train(&o, &result, err));
  ck_ok(hem__metric_load(path, &metric, err));
  ck_assert(result.better && hem__metric_passed(metric));
  ck_assert_uint_eq(result.validation_queries, metric->verdict.queries);
  ck_assert_double_gt(result.accuracy, fmax(result.l1, fmax(result.l2, result.cosine)));
  ck_assert_double_eq_tol(result.accuracy - fmax(result.l1, fmax(result.l2, result.cosine)), result.gain, 1e-9);
  ck_assert_str_eq(metric->space, "made");
  ck_assert_uint_ge(metric->calibration_count, 1);
  ck_assert_ptr_nonnull(strstr(metric->about, "head of 16 units"));
  hem__metric_free(metric);
  free(path);
}
END_TEST

/* ---- refusals ---- */

START_TEST(options_that_make_no_sense_are_refused) {
  const struct {
    hem_train_options o;
    const char *words;
  } cases[] = {{{.form = "heads"}, "head, l1 and l2"},
               {{.loss = "mse"}, "bce and triplet"},
               {{.negatives = "easy"}, "hard, category, random and first"},
               {{.optimiser = "sgd"}, "adam and rmsprop"},
               {{.learning_rate = -1}, "learning rate"},
               {{.learning_rate = NAN}, "learning rate"},
               {{.dropout = 1}, "dropout"},
               {{.false_accept = 1}, "false accepts"},
               {{.folds = 2}, "too few"},
               {{.fold = 5}, "no fold 5"},
               {{.hidden = 9000}, "hidden units"},
               {{.tower = 70000}, "tower"},
               {{.tower = 7, .no_tower = true}, "one of the two"},
               {{.batch = 70000}, "batch"},
               {{.space = "nope"}, "nope"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    hem_train_options o = cases[i].o;
    o.size = sizeof o;
    o.catalog = catalog_path();
    o.metric = "/nowhere/m";
    ck_fails(hem_train(&o, NULL, err), o.space ? HEM_ENOTFOUND : HEM_EINVAL, cases[i].words);
  }
  hem_train_options o = {.size = sizeof o, .metric = "m"};
  ck_fails(hem_train(&o, NULL, err), HEM_EINVAL, "catalog");
  o = (hem_train_options){.size = sizeof o, .catalog = "c"};
  ck_fails(hem_train(&o, NULL, err), HEM_EINVAL, "metric");
}
END_TEST

HEM_TESTS("train", every_form_and_loss_finds_the_dimensions_that_matter, every_kind_of_negatives_teaches,
          weights_of_l1_are_on_the_signal, a_step_far_too_long_leaves_it_no_worse_than_before,
          the_metric_is_the_model_that_stayed, a_head_is_concave_unless_its_signs_are_free,
          of_several_seeds_the_best_stays, it_stops_when_validation_gets_no_better,
          test_items_are_never_read_and_not_listed_as_seen, the_same_seed_gives_the_same_bytes_and_another_one_others,
          a_run_that_was_stopped_goes_on_to_the_same_bytes, a_checkpoint_of_another_run_or_a_damaged_one_is_refused,
          a_metric_is_written_and_read_back_with_its_verdict, options_that_make_no_sense_are_refused)
