/* One made view: what a photo of a shop's garment might look like, had a customer taken it in the street. Nothing but
 * pixels; knows no files and no catalogue. */
#ifndef HEM_BENCH_VIEW_H
#define HEM_BENCH_VIEW_H

#include "ingest/image.h"

/* Values drawn one after another: splitmix64 (Steele, Lea and Flood 2014). */
typedef struct hem__dice {
  uint64_t state;
} hem__dice;

uint64_t hem__dice_next(hem__dice *dice);
double hem__dice_between(hem__dice *dice, double low, double high);

typedef struct hem__view_order {
  const hem__image *garment;
  const hem__image *scene; /* what lies behind it */
  const hem__image *front; /* what may hide a part of it */
  size_t side;             /* pixels of the view's longer side */
  double strength;         /* 0: hardly changed; 1: as in the street */
  hem__dice *dice;         /* the same state, order and machine give the same pixels */
} hem__view_order;

/* A crop of the garment's photo, turned, in perspective and perhaps mirrored, before the scene, with something in front
 * of it at times; then light, blur and noise. A grey garment before a grey scene stays grey. Any thread.
 * Errors: EINVAL (`side` is 0 or over 65,535), ENOMEM. */
hem_status hem__view_make(const hem__view_order *order, hem__image *out, hem_error *err);

/* A plane seen from another place, as a 3 x 3 matrix, row by row: (x, y, 1) -> (u w, v w, w). */
typedef struct hem__homography {
  double at[9];
} hem__homography;

/* Four points: x and y of each. */
typedef struct hem__quad {
  double at[4][2];
} hem__quad;

/* The one that maps each of four points, of which no three are in line, to another. False where there is none. */
bool hem__homography_fit(const hem__quad *from, const hem__quad *to, hem__homography *out);
void hem__homography_apply(const hem__homography *h, double x, double y, double *u, double *v);

#endif
