/* Points t(a) as bytes: 8 bits a value with a scale for each dimension.
 *
 *   q[d] = round((t[d] - low[d]) / step[d]), clamped to 0..255;   |t - t'|[d] = step[d] * |q - q'|[d], within step[d]
 *
 * One scale for all dimensions loses what the small ones say; the step of each is folded into the head's weights. */
#ifndef HEM_METRIC_QUANTISE_H
#define HEM_METRIC_QUANTISE_H

#include "base/memory.h"

typedef struct hem__quantiser {
  size_t width;
  float *low, *step; /* [width]; step > 0 */
} hem__quantiser;

/* Fits low and step to the range of the rows: the widest in each dimension. Errors: ENOMEM. */
hem_status hem__quantiser_fit(hem__matrix points, hem__quantiser *out, hem_error *err);
void hem__quantiser_clear(hem__quantiser *quantiser);
void hem__quantise(const hem__quantiser *quantiser, const float *points, size_t count, uint8_t *out);

/* IEEE half floats, round to nearest even; beyond 65504 becomes 65504. */
void hem__to_half(const float *values, size_t count, uint16_t *out);
float hem__from_half(uint16_t half);

#endif
