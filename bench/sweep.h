/* The sweep: every kind of index and every peer, at every depth, over one category's vectors; what it finds, how fast,
 * and in how much memory.
 *
 * Method. All of them are built first, each into its own file. Then come rounds; in each, one contestant after the
 * other is opened, asked every query once for nothing, asked all of them at each depth, and closed: A B C, C B A, ...
 * So what slows the machine for a while slows all of them, no more than one index is in memory, and where it lies there
 * is drawn anew for each round. What is told is the median over the rounds. The first peer (raw FAISS) is a
 * contestant twice: what its two halves differ by is noise. */
#ifndef HEM_BENCH_SWEEP_H
#define HEM_BENCH_SWEEP_H

#include "bench/sweep_data.h"

typedef enum hem__sweep_mode { HEM__SINGLE, HEM__BATCH, HEM__COLD, HEM__SWEEP_MODES } hem__sweep_mode;
extern const char *const hem__sweep_mode_names[HEM__SWEEP_MODES];

/* What an answer is held against: the k nearest photos; the 20 best items by scoring every photo by the metric. */
typedef enum hem__sweep_truth { HEM__BY_DISTANCE, HEM__BY_METRIC, HEM__SWEEP_TRUTHS } hem__sweep_truth;
extern const char *const hem__sweep_truth_names[HEM__SWEEP_TRUTHS]; /* "distance", "siamese" */

enum { HEM__SWEEP_THREADS = 8, HEM__SWEEP_DEPTHS = 64 };

/* All borrowed. */
typedef struct hem__sweep_options {
  const char *data;               /* a store, a catalogue, or an ann-benchmarks file */
  const char *category, *space;   /* NULL: the largest; the only one */
  int distance;                   /* of a file that does not say its own; -1: L2 */
  const char *const *contestants; /* names; none: all */
  size_t contestant_count;
  const char *work;   /* folder where indices are kept and found again; NULL: one that is removed */
  size_t k;           /* 0: 10 */
  size_t query_limit; /* 0: 1,000; evenly spread */
  size_t rounds;      /* 0: 5 */
  size_t threads[HEM__SWEEP_THREADS], thread_count; /* none: 1 and 2 */
  uint32_t depths[HEM__SWEEP_DEPTHS];               /* instead of each ladder's own */
  size_t depth_count;
  bool no_batch, no_cold;
  size_t build_threads; /* 0: 1 */
  hem_progress progress;
} hem__sweep_options;

typedef struct hem__sweep_engine {
  char name[64];   /* the peer's; of the noise's second half, with " again" */
  char build[160]; /* its parameters */
  bool metric;     /* by the store's metric, and its rows by that truth */
  bool own, again; /* Hemline's; the noise's second half */
  bool kept;       /* found in the work folder: its build was timed then */
  double build_seconds, build_cpu;
  size_t build_threads;
  uint64_t disk;                /* bytes of its files */
  uint64_t private_bytes;       /* what an opened and asked index adds to the process: anonymous memory, */
  uint64_t mapped_bytes;        /* and pages of files */
  double open_ms, cold_open_ms; /* files in the page cache, and not; the least of the rounds; NaN: not measured */
  char skipped[256];            /* why it is not there; "": it is */
} hem__sweep_engine;

/* What is measured in each round: of all queries; of one (NaN for batches), microseconds; of the process, a query. */
typedef enum hem__sweep_measure { HEM__QPS, HEM__P50, HEM__P99, HEM__CPU, HEM__SWEEP_MEASURES } hem__sweep_measure;

/* One line of the sweep. */
typedef struct hem__sweep_row {
  size_t engine; /* its number */
  hem__peer_depth depth;
  uint32_t rerank;  /* by the metric: candidates that it scores; 0: does not apply, or by bounds */
  char setting[48]; /* "ef 64, refine 2" */
  hem__sweep_mode mode;
  size_t threads;
  hem__sweep_truth truth;
  size_t k, queries;
  double recall, low, high;      /* and its 95% bootstrap interval */
  double *rounds;                /* HEM__SWEEP_MEASURES of each round */
  double qps, qps_low, qps_high; /* median, least and most of the rounds */
  double p50_us, p99_us;         /* of one query; NaN for batches */
  double cpu_us;                 /* of the whole process, a query */
  float *latencies;              /* microseconds, all rounds; NULL unless HEM__SINGLE on one thread */
  size_t latency_count;
  bool front; /* no other setting of this contestant, mode and threads is both nearer the truth and faster */
} hem__sweep_row;

/* How fast a contestant is at a recall, read off its front. */
typedef struct hem__sweep_point {
  size_t engine;
  double target, qps;                  /* NaN: it does not get there */
  double ratio, ratio_low, ratio_high; /* to the first peer, paired by round: median, least, most */
  double cpu_ratio;                    /* the same by processor time, which other processes touch less: the median */
} hem__sweep_point;

enum { HEM__SWEEP_TARGETS = 4 };
extern const double hem__sweep_targets[HEM__SWEEP_TARGETS]; /* 0.90, 0.95, 0.99, 0.999 */

typedef struct hem__sweep {
  char *name; /* of the data */
  char machine[128], date[32], faiss[96];
  size_t cores, rounds, gallery, dim, k, queries;
  hem_distance distance;
  bool truth_given; /* by the file */
  hem__sweep_engine *engines;
  size_t engine_count;
  size_t reference; /* the first peer's number; SIZE_MAX: none was measured */
  size_t noise;     /* that of its second half; likewise */
  hem__sweep_row *rows;
  size_t row_count, row_capacity;
  hem__sweep_point *points; /* HEM__SWEEP_TARGETS of each engine: single queries, one thread */
} hem__sweep;

/* Errors: those of hem_ingest, hem_index and hem_engine_open; EINVAL (no such contestant), EMISMATCH (the work folder
 * is of other data; the file's distances are not those of its vectors), ENOTFOUND (no queries). */
hem_status hem__sweep_run(const hem__sweep_options *options, hem__sweep *out, hem_error *err);
void hem__sweep_clear(hem__sweep *sweep);

/* Writes what it would be run on as an ann-benchmarks file, with so many neighbours of each query. Errors: likewise,
 * EUNSUPPORTED (a distance that such files have no name for). */
hem_status hem__sweep_write_data(const hem__sweep_options *options, size_t neighbours, const char *path,
                                 hem_error *err);

/* ---- its parts ---- */

/* Marks the front of every group of rows and fills in `points`. Errors: ENOMEM. */
hem_status hem__sweep_sum_up(hem__sweep *sweep, hem_error *err);
/* The medians of every row. Errors: ENOMEM. */
hem_status hem__sweep_medians(hem__sweep *sweep, hem_error *err);
/* QPS at a recall, off `count` points of a front that rise in recall and fall in QPS: between two of them the logarithm
 * of QPS is taken to be linear in recall. Below the first one it is that one's; NaN beyond the last. */
double hem__sweep_at(const double *recall, const double *qps, size_t count, double target);
/* Which of `count` points no other is better than in both; equal ones: the first. */
void hem__sweep_front(const double *recall, const double *qps, size_t count, bool *front);

/* RFC 4180, one line a row, with a header. Errors: EIO. */
hem_status hem__sweep_write_csv(const hem__sweep *sweep, const char *path, hem_error *err);
/* One self-contained page. Errors: EIO, ENOMEM. */
hem_status hem__sweep_write_page(const hem__sweep *sweep, const char *path, hem_error *err);

/* Of an engine's single queries on one thread, by distance: the fastest row of at least this recall, or the one of the
 * highest. NULL: there is none. */
const hem__sweep_row *hem__sweep_row_at(const hem__sweep *sweep, size_t engine, double recall);

#endif
