/* The gradient of KL(P || Q), q_ij = (1 + |y_i - y_j|^2)^-1 / Z:
 *
 *   dC/dy_i = 4 (sum_j p_ij q_ij Z (y_i - y_j)  -  sum_j q_ij^2 Z (y_i - y_j))
 *
 * The first sum has P's entries only. The second has all points; far ones are taken together, a cell of a quadtree as
 * one body in its centre of mass. A point's own cells never are far (theta is at most 0.7, and a cell's diagonal 1.42
 * sides), so that it meets itself exactly once, at distance 0: with no push, and a 1 in Z that is taken off again. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "bench/tsne.h"

enum { DEPTH_MAX = 48, BLOCK = 128, PILE = 4 * DEPTH_MAX };

/* Children stand side by side; what has none is a leaf: one point, or several in one place. */
struct hem__cell {
  double x, y; /* the sum of its points' places, and at the end their centre */
  double side;
  uint32_t points, child; /* child: of the first of four; 0: none */
};
typedef struct hem__cell cell;

/* ---- the tree ---- */

typedef struct frame {
  double x, y, side; /* of the cell that is looked at: its lower corner */
} frame;

static size_t quarter(frame *f, hem__place at) {
  double half = f->side / 2;
  size_t right = at.x >= f->x + half, upper = at.y >= f->y + half;
  if (right) f->x += half;
  if (upper) f->y += half;
  f->side = half;
  return right + 2 * upper;
}

static hem_status split(hem__forces *f, size_t number, frame here, hem_error *err) {
  hem_status status = hem__grow(&f->cells, &f->capacity, f->cell_count + 4, sizeof *f->cells, "a quadtree", err);
  if (status) return status;
  cell *c = &f->cells[number];
  hem__place only = {c->x, c->y}; /* the point that was alone here */
  c->child = (uint32_t)f->cell_count;
  for (size_t i = 0; i < 4; i++) f->cells[f->cell_count++] = (cell){.side = here.side / 2};
  cell *below = &f->cells[c->child + quarter(&here, only)];
  below->x = only.x;
  below->y = only.y;
  below->points = 1;
  return HEM_OK;
}

static hem_status insert(hem__forces *f, frame here, hem__place at, hem_error *err) {
  hem_status status = HEM_OK;
  size_t number = 0;
  for (size_t depth = 0; !status; depth++) {
    if (f->cells[number].points == 1 && !f->cells[number].child && depth < DEPTH_MAX)
      status = split(f, number, here, err);
    if (status) return status;
    cell *c = &f->cells[number];
    c->x += at.x;
    c->y += at.y;
    c->points++;
    if (!c->child) return HEM_OK;
    number = c->child + quarter(&here, at);
  }
  return status;
}

static hem_status build(hem__forces *f, const hem__place *at, size_t count, hem_error *err) {
  double left = INFINITY, right = -INFINITY, low = INFINITY, high = -INFINITY;
  for (size_t i = 0; i < count; i++) {
    left = fmin(left, at[i].x);
    right = fmax(right, at[i].x);
    low = fmin(low, at[i].y);
    high = fmax(high, at[i].y);
  }
  frame all = {left, low, fmax(fmax(right - left, high - low), 1e-12) * (1 + 1e-9)};
  hem_status status = hem__grow(&f->cells, &f->capacity, 1, sizeof *f->cells, "a quadtree", err);
  if (status) return status;
  f->cells[0] = (cell){.side = all.side};
  f->cell_count = 1;
  for (size_t i = 0; i < count && !status; i++) status = insert(f, all, at[i], err);
  for (size_t i = 0; i < f->cell_count; i++) {
    cell *c = &f->cells[i];
    if (!c->points) continue;
    c->x /= c->points;
    c->y /= c->points;
  }
  return status;
}

/* ---- repulsion ---- */

typedef struct work {
  hem__forces *room;
  const hem__forces_order *order;
  hem__place *gradient;
  double *divergence; /* by point, or NULL */
  double z;
} work;

static void push_by(double points, double dx, double dy, hem__place *push, double *z) {
  double q = 1 / (1 + dx * dx + dy * dy), mass = points * q;
  *z += mass;
  push->x += mass * q * dx;
  push->y += mass * q * dy;
}

static void push_of_cells(const work *w, size_t i) {
  const cell *cells = w->room->cells;
  hem__place me = w->order->at[i], push = {0};
  double z = -1, limit = w->order->theta * w->order->theta;
  uint32_t pile[PILE], height = 0;
  pile[height++] = 0;
  while (height) {
    const cell *c = &cells[pile[--height]];
    double dx = me.x - c->x, dy = me.y - c->y;
    if (!c->child || c->side * c->side < limit * (dx * dx + dy * dy)) {
      push_by(c->points, dx, dy, &push, &z);
      continue;
    }
    for (uint32_t child = c->child; child < c->child + 4; child++)
      if (cells[child].points) pile[height++] = child;
  }
  w->room->push[i] = push;
  w->room->z[i] = z;
}

static void push_of_all(const work *w, size_t i) {
  hem__place me = w->order->at[i], push = {0};
  double z = -1;
  for (size_t j = 0; j < w->order->p->count; j++)
    push_by(1, me.x - w->order->at[j].x, me.y - w->order->at[j].y, &push, &z);
  w->room->push[i] = push;
  w->room->z[i] = z;
}

static void push_block(void *context, size_t block, size_t worker) {
  const work *w = context;
  size_t end = hem__min((block + 1) * BLOCK, w->order->p->count);
  (void)worker;
  for (size_t i = block * BLOCK; i < end; i++) w->order->exact ? push_of_all(w, i) : push_of_cells(w, i);
}

/* ---- attraction, and both together ---- */

static void pull_block(void *context, size_t block, size_t worker) {
  const work *w = context;
  const hem__affinities *p = w->order->p;
  const hem__place *at = w->order->at;
  size_t end = hem__min((block + 1) * BLOCK, p->count);
  (void)worker;
  for (size_t i = block * BLOCK; i < end; i++) {
    hem__place pull = {0};
    double divergence = 0;
    for (size_t e = p->start[i]; e < p->start[i + 1]; e++) {
      double dx = at[i].x - at[p->column[e]].x, dy = at[i].y - at[p->column[e]].y, off = 1 + dx * dx + dy * dy;
      pull.x += p->p[e] / off * dx;
      pull.y += p->p[e] / off * dy;
      if (w->divergence && p->p[e] > 0) divergence += p->p[e] * log(p->p[e] * off * w->z);
    }
    w->gradient[i].x = 4 * (w->order->exaggeration * pull.x - w->room->push[i].x / w->z);
    w->gradient[i].y = 4 * (w->order->exaggeration * pull.y - w->room->push[i].y / w->z);
    if (w->divergence) w->divergence[i] = divergence;
  }
}

static double sum_of(const double *values, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += values[i];
  return sum;
}

hem_status hem__forces_gradient(hem__forces *room, const hem__forces_order *order, hem__place *gradient,
                                double *divergence, hem_error *err) {
  size_t count = order->p->count, blocks = (count + BLOCK - 1) / BLOCK;
  work w = {.room = room, .order = order, .gradient = gradient};
  hem_status status = hem__grow(&room->push, &room->push_capacity, count, sizeof *room->push, "forces", err);
  if (!status) status = hem__grow(&room->z, &room->z_capacity, count, sizeof *room->z, "forces", err);
  if (!status && divergence) status = hem__alloc(count, sizeof *w.divergence, "forces", &w.divergence, err);
  if (!status && !order->exact) status = build(room, order->at, count, err);
  if (!status) status = hem__parallel_for(blocks, order->threads, push_block, &w, err);
  if (!status) {
    w.z = fmax(sum_of(room->z, count), 1e-300);
    status = hem__parallel_for(blocks, order->threads, pull_block, &w, err);
  }
  if (!status && divergence) *divergence = sum_of(w.divergence, count);
  free(w.divergence);
  return status;
}

void hem__forces_clear(hem__forces *room) {
  free(room->cells);
  free(room->push);
  free(room->z);
  *room = (hem__forces){0};
}
