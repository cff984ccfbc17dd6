/* What a gallery file is not ordered by: the photos of an item, the photos with a label. Made when an engine is opened;
 * 16 bytes a photo that each process has of its own. */
#ifndef HEM_QUERY_LOOKUP_H
#define HEM_QUERY_LOOKUP_H

#include "base/text.h"
#include "index/gallery.h"

/* Immutable; zeroed is empty. */
typedef struct hem__lookup {
  uint32_t *first;        /* [items + 1]: where an item's photos start in `photos` */
  uint32_t *photos;       /* [photos]: gallery positions, item by item, in their order */
  hem__set labels;        /* borrows the gallery's texts */
  uint32_t *label_of;     /* [photos]: number of the label */
  uint32_t *label_first;  /* [labels + 1]: where the photos of a label start in `label_photos` */
  uint32_t *label_photos; /* [photos]: gallery positions, label by label, in their order */
} hem__lookup;

hem_status hem__lookup_new(const hem__gallery *gallery, hem__lookup *out, hem_error *err);
void hem__lookup_clear(hem__lookup *lookup);

/* The item's number, or SIZE_MAX. */
size_t hem__lookup_item(const hem__gallery *gallery, const char *item_id);

/* How many photos have label `number` among the `count` gallery positions from `first` on; *photos (NULL: not wanted)
 * are they. */
size_t hem__lookup_labelled(const hem__lookup *lookup, size_t number, size_t first, size_t count,
                            const uint32_t **photos);

static inline size_t hem__lookup_count(const hem__lookup *lookup, size_t item) {
  return lookup->first[item + 1] - lookup->first[item];
}

#endif
