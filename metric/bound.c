/* The linear bound on a head (score.h): what lets a search skip whatever cannot come to the top. */
#include <string.h>

#include "metric/score.h"

/* What a hidden unit is before relu: at `near`, and at the ends of its range over 0 <= x <= most. */
typedef struct range {
  double near, low, high;
} range;

static range range_of(const hem__metric *m, size_t h, const float *near, const float *most) {
  const float *w = m->w1 + h * m->width;
  range r = {m->b1[h], m->b1[h], m->b1[h]};
  for (size_t d = 0; d < m->width; d++) {
    double reach = (double)w[d] * (double)most[d];
    r.near += (double)w[d] * (double)near[d];
    r.low += reach < 0 ? reach : 0;
    r.high += reach > 0 ? reach : 0;
  }
  return r;
}

/* relu(z) * w2 <= w2 * (gain * z + offset) over the range. */
static void line_of(range r, double w2, double *gain, double *offset) {
  *offset = 0;
  if (w2 <= 0) {
    *gain = r.near > 0;
  } else if (r.low >= 0 || r.high <= 0) {
    *gain = r.low >= 0;
  } else {
    *gain = r.high / (r.high - r.low);
    *offset = -*gain * r.low;
  }
}

void hem__score_bound(const hem__metric *m, const float *near, const float *most, double *slope, double *offset) {
  memset(slope, 0, m->width * sizeof *slope);
  *offset = m->b2;
  for (size_t d = 0; m->form != HEM__HEAD && d < m->width; d++) {
    double w = m->w2[d], at = near[d];
    slope[d] = -w;
    if (m->form == HEM__WEIGHTED_L1) continue;
    slope[d] *= w <= 0 ? 2 * at : (double)most[d]; /* of w x^2 the tangent at `near`, or the chord over 0..most */
    *offset -= w <= 0 ? w * at * at : 0;
  }
  for (size_t h = 0; h < m->hidden; h++) {
    double gain, up, w2 = m->w2[h];
    line_of(range_of(m, h, near, most), w2, &gain, &up);
    *offset += w2 * (gain * (double)m->b1[h] + up);
    double down = w2 * gain;
    if (down == 0) continue;
    for (size_t d = 0; d < m->width; d++) slope[d] -= down * (double)m->w1[h * m->width + d];
  }
}
