/* bench_train DIM HIDDEN PAIRS [TORCH.py]: seconds of an epoch, here and in PyTorch, side by side.
 *
 * Both train the head, |a - b| -> Dense(H, relu) -> Dense(1, sigmoid), with binary cross-entropy and Adam, on PAIRS
 * random pairs of 20,000 random embeddings in batches of 256, from gathering the rows to changing the weights. They
 * take turns, A B A B, ROUNDS times, each with two threads (OMP_NUM_THREADS says otherwise); PyTorch is a process that
 * waits for its turn. Without TORCH.py (bench/train_torch.py) only ours is timed. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "metric/model.h"
#include "metric/optimiser.h"
#include "metric/random.h"

enum { PHOTOS = 20000, BATCH = 256, ROUNDS = 5 };

typedef struct contest {
  size_t dim, hidden, pairs, threads;
  float *inputs, *gradient;
  uint32_t *a, *b;
  float *target;
  hem__model model;
  hem__model_work *work;
  hem__optimiser optimiser;
  FILE *to, *from; /* PyTorch's process */
  pid_t child;
} contest;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static hem_status set_up(contest *c, hem_error *err) {
  hem__metric shape = {.form = HEM__HEAD, .dim = c->dim, .hidden = c->hidden};
  hem__random random = hem__random_from(1);
  hem_status status = hem__model_new(&shape, &c->model, err);
  c->optimiser = (hem__optimiser){.rate = 0.001};
  if (!status) status = hem__model_work_new(&c->model, BATCH, PHOTOS, &c->work, err);
  if (!status) status = hem__optimiser_init(&c->optimiser, c->model.count, err);
  if (!status) status = hem__alloc(PHOTOS * c->dim, sizeof *c->inputs, "embeddings", &c->inputs, err);
  if (!status) status = hem__alloc(c->model.count, sizeof *c->gradient, "a gradient", &c->gradient, err);
  if (!status) status = hem__alloc(c->pairs, sizeof *c->a, "pairs", &c->a, err);
  if (!status) status = hem__alloc(c->pairs, sizeof *c->b, "pairs", &c->b, err);
  if (!status) status = hem__alloc(c->pairs, sizeof *c->target, "pairs", &c->target, err);
  if (status) return status;
  for (size_t i = 0; i < c->model.count; i++) c->model.weights[i] = (float)hem__random_normal(&random) * 0.02F;
  for (size_t i = 0; i < PHOTOS * c->dim; i++) c->inputs[i] = (float)hem__random_uniform(&random);
  for (size_t i = 0; i < c->pairs; i++) {
    c->a[i] = (uint32_t)hem__random_below(&random, PHOTOS);
    c->b[i] = (uint32_t)hem__random_below(&random, PHOTOS);
    c->target[i] = hem__random_below(&random, 9) == 0;
  }
  return HEM_OK;
}

static double ours(contest *c) {
  double started = now();
  for (size_t from = 0; from < c->pairs; from += BATCH) {
    hem__batch batch = {.inputs = c->inputs,
                        .a = c->a + from,
                        .b = c->b + from,
                        .target = c->target + from,
                        .count = hem__min(BATCH, c->pairs - from)};
    hem__model_learn(&c->model, c->work, &batch, c->gradient);
    hem__optimiser_step(&c->optimiser, c->model.weights, c->gradient, c->model.decayed, 1);
  }
  return now() - started;
}

/* A line asks for an epoch; a line tells its seconds. */
static double theirs(contest *c) {
  double seconds = -1;
  if (fputs("go\n", c->to) < 0 || fflush(c->to) != 0 || fscanf(c->from, "%lf", &seconds) != 1) return -1;
  return seconds;
}

static int start_torch(contest *c, const char *script) {
  int down[2], up[2];
  char dim[24], hidden[24], pairs[24], threads[24];
  snprintf(dim, sizeof dim, "%zu", c->dim);
  snprintf(hidden, sizeof hidden, "%zu", c->hidden);
  snprintf(pairs, sizeof pairs, "%zu", c->pairs);
  snprintf(threads, sizeof threads, "%zu", c->threads);
  if (pipe(down) != 0 || pipe(up) != 0) return -1;
  c->child = fork(); /* before OpenMP has made threads */
  if (c->child == 0) {
    dup2(down[0], STDIN_FILENO);
    dup2(up[1], STDOUT_FILENO);
    close(down[1]);
    close(up[0]);
    execl("/usr/bin/python3", "python3", script, dim, hidden, pairs, threads, (char *)NULL);
    _exit(127);
  }
  close(down[0]);
  close(up[1]);
  c->to = fdopen(down[1], "w");
  c->from = fdopen(up[0], "r");
  return c->child > 0 && c->to && c->from ? 0 : -1;
}

static int play(contest *c) {
  double mine[ROUNDS], torch[ROUNDS], ratio[ROUNDS];
  puts("round\tours_s\ttorch_s\tratio");
  for (size_t i = 0; i <= ROUNDS; i++) {
    double here = ours(c), there = c->to ? theirs(c) : 0;
    if (there < 0) {
      fputs("bench_train: PyTorch did not answer\n", stderr);
      return 1;
    }
    if (i == 0) continue; /* both warm up */
    mine[i - 1] = here, torch[i - 1] = there, ratio[i - 1] = here / there;
    printf("%zu\t%.3f\t%.3f\t%.3f\n", i, here, there, ratio[i - 1]);
    fflush(stdout);
  }
  qsort(mine, ROUNDS, sizeof *mine, by_value);
  qsort(torch, ROUNDS, sizeof *torch, by_value);
  qsort(ratio, ROUNDS, sizeof *ratio, by_value);
  printf("median\t%.3f\t%.3f\t%.3f\n", mine[ROUNDS / 2], torch[ROUNDS / 2], ratio[ROUNDS / 2]);
  double flops = 4.0 * (double)c->dim * (double)c->hidden * (double)c->pairs;
  printf("products alone: %.1f GFLOP/s\n", flops / mine[ROUNDS / 2] / 1e9);
  return 0;
}

int main(int argc, char **argv) {
  static contest c;
  hem_error err = {0};
  if (argc < 4 || argc > 5) {
    fputs("Usage: bench_train DIM HIDDEN PAIRS [bench/train_torch.py]\n", stderr);
    return 2;
  }
  const char *threads = getenv("OMP_NUM_THREADS");
  c.dim = strtoul(argv[1], NULL, 10);
  c.hidden = strtoul(argv[2], NULL, 10);
  c.pairs = strtoul(argv[3], NULL, 10);
  c.threads = threads ? strtoul(threads, NULL, 10) : 2;
  if (!c.threads || c.threads > 1024) c.threads = 2;
  if (argc == 5 && start_torch(&c, argv[4])) {
    fputs("bench_train: PyTorch does not start\n", stderr);
    return 1;
  }
  omp_set_num_threads((int)c.threads);
  hem_status status = set_up(&c, &err);
  if (status) fprintf(stderr, "bench_train: %s\n", err.message);
  int code = status ? 1 : play(&c);
  if (c.to) fclose(c.to);
  if (c.child > 0) waitpid(c.child, NULL, 0);
  return code;
}
