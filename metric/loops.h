/* The loops of training that are not matrix products, each over one run of floats. On x86-64 compiled twice, for the
 * baseline and for AVX2 with FMA; the processor chooses. One thread; the same machine gives the same bits. */
#ifndef HEM_METRIC_LOOPS_H
#define HEM_METRIC_LOOPS_H

#include <stddef.h>

/* out = scale * |a - b| */
void hem__loop_difference(const float *a, const float *b, const float *scale, size_t count, float *out);
/* z = relu(z + bias), times `keep` unless that is NULL; returns the sum of z * w. */
float hem__loop_relu(float *z, const float *bias, const float *keep, const float *w, size_t count);
/* out = g * w * keep where the unit `z`, after hem__loop_relu, is above zero; else 0. `keep` may be NULL. */
void hem__loop_relu_back(const float *z, const float *keep, const float *w, float g, size_t count, float *out);
/* The sum of a * b. */
float hem__loop_dot(const float *a, const float *b, size_t count);
/* to += factor * from */
void hem__loop_add(float *to, const float *from, float factor, size_t count);
/* to_a += g * sign(a - b) * scale, and to_b -= the same. */
void hem__loop_sign(const float *a, const float *b, const float *scale, const float *g, size_t count, float *to_a,
                    float *to_b);

/* What one step of an optimiser needs besides the arrays. */
typedef struct hem__loop_step {
  float rate;            /* of this step, bias corrections of Adam included */
  float first, second;   /* decay of the running means; RMSprop has no first */
  float epsilon, shrink; /* shrink: weights are multiplied by it first (decoupled weight decay) */
} hem__loop_step;

/* Adam (Kingma and Ba 2015) with decoupled weight decay (Loshchilov and Hutter 2019). */
void hem__loop_adam(float *w, const float *g, float *mean, float *square, hem__loop_step step, size_t count);
/* RMSprop (Hinton 2012). */
void hem__loop_rmsprop(float *w, const float *g, float *square, hem__loop_step step, size_t count);

#endif
