#include "metric/optimiser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/loops.h"

enum { CHUNK = 16384 };

/* Of the papers, and of Keras for RMSprop, which the reference work used. */
static const double ADAM_FIRST = 0.9, ADAM_SECOND = 0.999, ADAM_EPSILON = 1e-8;
static const double RMS_SECOND = 0.9, RMS_EPSILON = 1e-7;

hem_status hem__optimiser_init(hem__optimiser *o, size_t count, hem_error *err) {
  o->count = count;
  hem_status status = hem__alloc(count, sizeof *o->mean, "an optimiser", &o->mean, err);
  return status ? status : hem__alloc(count, sizeof *o->square, "an optimiser", &o->square, err);
}

void hem__optimiser_restart(hem__optimiser *o) {
  o->steps = 0;
  memset(o->mean, 0, o->count * sizeof *o->mean);
  memset(o->square, 0, o->count * sizeof *o->square);
}

void hem__optimiser_clear(hem__optimiser *o) {
  free(o->mean);
  free(o->square);
  *o = (hem__optimiser){0};
}

/* Adam's corrections for means that started at zero go into the rate and into epsilon (the end of its section 2). */
static hem__loop_step step_of(const hem__optimiser *o, double rate) {
  if (o->kind == HEM__RMSPROP)
    return (hem__loop_step){.rate = (float)rate, .second = (float)RMS_SECOND, .epsilon = (float)RMS_EPSILON};
  double t = (double)o->steps, square = sqrt(1 - pow(ADAM_SECOND, t));
  return (hem__loop_step){.rate = (float)(rate * square / (1 - pow(ADAM_FIRST, t))),
                          .first = (float)ADAM_FIRST,
                          .second = (float)ADAM_SECOND,
                          .epsilon = (float)(ADAM_EPSILON * square)};
}

static void update(hem__optimiser *o, float *weights, const float *gradient, hem__loop_step step, size_t from,
                   size_t count) {
  if (o->kind == HEM__RMSPROP) {
    hem__loop_rmsprop(weights + from, gradient + from, o->square + from, step, count);
  } else {
    hem__loop_adam(weights + from, gradient + from, o->mean + from, o->square + from, step, count);
  }
}

void hem__optimiser_step(hem__optimiser *o, float *weights, const float *gradient, size_t decayed, double rate) {
  o->steps++;
  hem__loop_step step = step_of(o, o->rate * rate);
  float shrink = (float)(1 - o->rate * rate * o->decay);
  size_t chunks = (decayed + CHUNK - 1) / CHUNK, rest = (o->count - decayed + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < chunks + rest; i++) {
    bool shrunk = i < chunks;
    size_t from = shrunk ? i * CHUNK : decayed + (i - chunks) * CHUNK, to = shrunk ? decayed : o->count;
    hem__loop_step mine = step;
    mine.shrink = shrunk ? shrink : 1;
    update(o, weights, gradient, mine, from, hem__min(CHUNK, to - from));
  }
}
