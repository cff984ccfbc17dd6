/* The state of a run, so that one that was killed goes on to the same bits.
 *
 * Layout: "Hemline training" (16 bytes), the run's identity (32), for each part its size (u64, of this machine), the
 * parts, and the SHA-256 of all that (32). For the machine that wrote it: not a format to keep. */
#ifndef HEM_METRIC_CHECKPOINT_H
#define HEM_METRIC_CHECKPOINT_H

#include "base/file.h"

/* Memory that is written as it is, and read into. */
typedef struct hem__checkpoint_part {
  void *at;
  size_t size;
} hem__checkpoint_part;

/* Written aside and renamed: a run killed meanwhile finds the one before. Errors: EIO, ENOMEM. */
hem_status hem__checkpoint_write(const char *path, const hem__digest *identity, const hem__checkpoint_part *parts,
                                 size_t count, hem_error *err);
/* Nothing is changed unless all of it is right. Errors: ENOTFOUND (there is none), EMISMATCH (of another run),
 * ECORRUPT, EIO, ENOMEM. */
hem_status hem__checkpoint_read(const char *path, const hem__digest *identity, const hem__checkpoint_part *parts,
                                size_t count, hem_error *err);

#endif
