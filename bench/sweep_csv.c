/* Rows as RFC 4180 has them: CRLF, quotes doubled, numbers with a point. What does not apply is empty. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "bench/sweep.h"

static const char header[] =
    "date,hemline,faiss,machine,cores,data,gallery,dim,distance,truth_from,engine,build,kept,build_seconds,"
    "build_cpu_seconds,build_threads,disk_bytes,private_bytes,mapped_bytes,open_ms,cold_open_ms,setting,depth,refine,"
    "rerank,truth,k,"
    "queries,mode,threads,rounds,recall,recall_low,recall_high,qps,qps_min,qps_max,p50_us,p99_us,cpu_us,front\r\n";

static void put_text(FILE *out, const char *text) {
  fputc('"', out);
  for (; *text; text++) {
    if (*text == '"') fputc('"', out);
    fputc(*text, out);
  }
  fputs("\",", out);
}

static void put_number(FILE *out, double value, const char *end) {
  if (!isnan(value)) fprintf(out, "%.10g", value);
  fputs(end, out);
}

static void put_depth(FILE *out, uint32_t depth) {
  if (depth) fprintf(out, "%u", depth);
  fputc(',', out);
}

static void put_engine(FILE *out, const hem__sweep *s, const hem__sweep_engine *e) {
  put_text(out, s->date);
  put_text(out, hem_version());
  put_text(out, s->faiss);
  put_text(out, s->machine);
  fprintf(out, "%zu,", s->cores);
  put_text(out, s->name);
  fprintf(out, "%zu,%zu,%s,%s,", s->gallery, s->dim, hem_distance_name(s->distance), s->truth_given ? "file" : "scan");
  put_text(out, e->name);
  put_text(out, e->build);
  fprintf(out, "%d,", e->kept);
  put_number(out, e->build_seconds, ",");
  put_number(out, e->build_cpu, ",");
  fprintf(out, "%zu,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",", e->build_threads, e->disk, e->private_bytes,
          e->mapped_bytes);
  put_number(out, e->open_ms, ",");
  put_number(out, e->cold_open_ms, ",");
}

static void put_row(FILE *out, const hem__sweep *s, const hem__sweep_row *row) {
  const double numbers[] = {row->recall,   row->low,    row->high,   row->qps,   row->qps_low,
                            row->qps_high, row->p50_us, row->p99_us, row->cpu_us};
  put_engine(out, s, &s->engines[row->engine]);
  put_text(out, row->setting);
  put_depth(out, row->depth.depth);
  put_depth(out, row->depth.refine);
  put_depth(out, row->rerank);
  fprintf(out, "%s,%zu,%zu,%s,%zu,%zu,", hem__sweep_truth_names[row->truth], row->k, row->queries,
          hem__sweep_mode_names[row->mode], row->threads, s->rounds);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) put_number(out, numbers[i], ",");
  fprintf(out, "%d\r\n", row->front);
}

hem_status hem__sweep_write_csv(const hem__sweep *s, const char *path, hem_error *err) {
  char *text = NULL;
  size_t size = 0;
  hem__aside *file = NULL;
  FILE *out = open_memstream(&text, &size);
  if (!out) return hem__fail(err, HEM_ENOMEM, "no memory for a table");
  fputs(header, out);
  for (size_t i = 0; i < s->row_count; i++) put_row(out, s, &s->rows[i]);
  bool bad = ferror(out);
  hem_status status = fclose(out) == 0 && !bad ? HEM_OK : hem__fail(err, HEM_ENOMEM, "no memory for a table");
  if (!status) status = hem__aside_new(path, &file, err);
  if (!status) status = hem__aside_write(file, text, size, err);
  if (!status) status = hem__aside_publish(file, NULL, NULL, err);
  hem__aside_free(file);
  free(text);
  return status;
}
