#include "serve/stats.h"

uint64_t hem__bucket_ns(size_t i) {
  static const uint64_t quarters[4] = {1000, 1189, 1414, 1682}; /* 1000 * 2^(j/4) */
  return quarters[i % 4] << (i / 4);
}

void hem__histogram_add(hem__histogram *h, uint64_t ns) {
  size_t low = 0, high = HEM__BUCKETS - 1; /* the first bucket whose end lies beyond it, or the last */
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (ns < hem__bucket_ns(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  atomic_fetch_add_explicit(&h->buckets[low], 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&h->sum_ns, ns, memory_order_relaxed);
}
