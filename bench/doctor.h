/* What is wrong with a catalogue, as far as a machine can tell: photos that are there twice, empty or gone, embeddings
 * that say nothing, photos that look as if they belonged elsewhere. Nothing is changed.
 *
 *   doctor.c           the run, and what the columns alone tell
 *   doctor_pictures.c  reads the photos: gone, changed, blank, near-duplicates
 *   doctor_vectors.c   embeddings that carry nothing or are equal
 *   doctor_outliers.c  neighbours in the embedding space
 *   doctor_page.c      the findings as a page of thumbnails */
#ifndef HEM_BENCH_DOCTOR_H
#define HEM_BENCH_DOCTOR_H

#include "ingest/pictures.h"

/* In the order of what to look at first. */
typedef enum hem__ailment {
  HEM__LEAK,           /* one picture in train and in validation or test, or with a customer and in the shop */
  HEM__TWO_ITEMS,      /* one picture under two items or categories */
  HEM__DUPLICATE,      /* one picture twice in one item */
  HEM__GONE,           /* the file is not there */
  HEM__CHANGED,        /* the file's bytes are not those that were ingested */
  HEM__UNREADABLE,     /* the file is there and cannot be read */
  HEM__REJECTED,       /* what ingest refused, by reason; members are places in photos->rejected */
  HEM__BLANK,          /* a picture of nothing */
  HEM__TINY,           /* too few pixels to tell a garment by, unless most of the catalogue is so */
  HEM__NOT_FINITE,     /* an embedding with NaN, infinity or a value beyond 1e15 */
  HEM__ZERO,           /* an embedding of zeros */
  HEM__CONSTANT,       /* an embedding of one value */
  HEM__SAME_VECTOR,    /* equal embeddings of photos that differ */
  HEM__WRONG_CATEGORY, /* far nearer to another category's photos than to its own's */
  HEM__FAR,            /* far from everything */
  HEM__AILMENTS
} hem__ailment;

typedef struct hem__ailment_text {
  const char *name;    /* "two-items" */
  const char *title;   /* "One picture under two items" */
  const char *advice;  /* what it means and what to do, a sentence or two */
  const char *measure; /* what the number of a member or finding is; NULL: it has none */
} hem__ailment_text;
extern const hem__ailment_text hem__ailment_texts[HEM__AILMENTS];

typedef struct hem__member {
  size_t row;     /* of the catalogue */
  double measure; /* of pictures that are alike: the difference from the finding's first, 0 (same) to 1 */
} hem__member;

/* One thing to look at. Members of duplicates are in row order. */
typedef struct hem__finding {
  hem__ailment kind;
  size_t first, count; /* in members */
  double measure;      /* see hem__ailment_text.measure */
  const char *note;    /* what this one shows, or "" */
} hem__finding;

typedef struct hem__diagnosis {
  hem__finding *findings; /* by kind; within a kind the worst first */
  size_t finding_count, finding_capacity;
  hem__member *members;
  size_t member_count, member_capacity;
  size_t counts[HEM__AILMENTS]; /* findings of each kind */
  size_t photos;                /* in the catalogue */
  size_t pictures;              /* decoded and compared */
  size_t without_picture;       /* inside other files, or never photos */
  const char *space;            /* where neighbours were looked for; NULL: nowhere */
  hem__arena strings;
} hem__diagnosis;

typedef struct hem__doctor_options {
  size_t space;     /* of outliers; embeddings of all spaces are checked */
  const char *idx;  /* folder of idx files whose photos are meant, or NULL */
  bool no_pictures; /* leave the photos unread: only what the catalogue holds */
  size_t threads;   /* 0: one for each core */
  hem_progress progress;
} hem__doctor_options;

/* Memory: about 1 KB a photo. Time: the photos are decoded once; pictures are compared each with each (by 64-bit
 * hashes: 0.2 us a thousand), embeddings with at most HEM__REFERENCES photos.
 * Errors: ECORRUPT (a checksum), those of hem__source_idx, ENOMEM, ECANCELED. */
hem_status hem__doctor(hem__catalog *catalog, const hem__doctor_options *options, hem__diagnosis *out, hem_error *err);
void hem__diagnosis_clear(hem__diagnosis *diagnosis);

enum { HEM__REFERENCES = 20000 };

/* ---- the parts ---- */

typedef struct hem__doctor_run {
  hem__doctor_options options;
  hem__catalog *catalog;
  const hem__photos *photos;
  hem__pictures *pictures;
  uint32_t *alike; /* by row: the first row of the pictures like it, itself where there is none */
  size_t threads;
  hem__diagnosis found;
} hem__doctor_run;

/* Adds a finding without members, then its members. `note` is copied. */
hem_status hem__doctor_find(hem__doctor_run *run, hem__ailment kind, double measure, const char *note, hem_error *err);
hem_status hem__doctor_member(hem__doctor_run *run, size_t row, double measure, hem_error *err);
/* A finding of one photo. */
hem_status hem__doctor_find_one(hem__doctor_run *run, hem__ailment kind, size_t row, double measure, const char *note,
                                hem_error *err);
/* A loop over `count` photos, a step each, in portions between which progress is reported: body(context, i, worker)
 * means the step *first + i. */
typedef struct hem__doctor_steps {
  const char *stage;
  size_t count, each; /* photos in all, and of a step */
  size_t portion;     /* steps */
  size_t *first;
  void (*body)(void *context, size_t i, size_t worker);
  void *context;
} hem__doctor_steps;
hem_status hem__doctor_loop(const hem__doctor_run *run, const hem__doctor_steps *steps, hem_error *err);

hem_status hem__doctor_look(hem__doctor_run *run, hem_error *err);    /* pictures; fills `alike` */
hem_status hem__doctor_vectors(hem__doctor_run *run, hem_error *err); /* after hem__doctor_look */
hem_status hem__doctor_outliers(hem__doctor_run *run, hem_error *err);

/* ---- how alike two pictures are ---- */

enum { HEM__THUMB = 16 };

/* What is kept of a picture: enough to tell copies of it, whatever their size and quality. */
typedef struct hem__look {
  uint64_t hash;                              /* signs of its low frequencies */
  uint8_t thumb[HEM__THUMB * HEM__THUMB * 3]; /* stretched to a square */
  float mean, contrast;                       /* mean and standard deviation of thumb */
  float shape;                                /* width over height */
  bool small, blank;                          /* small: few pixels, so little to differ by */
} hem__look;

hem_status hem__look_of(const hem__image *image, hem__look *out, hem_error *err);
/* 0: the same; 1: as different as their contrasts allow; 2: opposite. */
double hem__look_difference(const hem__look *a, const hem__look *b);
/* Copies of one picture? A blank one is like none. */
bool hem__look_alike(const hem__look *a, const hem__look *b);
/* For the first of `count` looks: calls found(context, i) for every later one that is alike. The hashes stand apart so
 * that this runs through memory once: hashes[i] = looks[i].hash. */
void hem__look_scan(const hem__look *looks, const uint64_t *hashes, size_t count,
                    void (*found)(void *context, size_t i), void *context);

#endif
