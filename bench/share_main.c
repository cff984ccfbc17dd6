/* bench_share STORE: what a second process costs that opens the same store.
 *
 * Two processes open the store one after the other, and each asks it 200 items and scans it once (so that all it can
 * use has been used), while the other one stays. What is printed of each is what the kernel says in
 * /proc/self/smaps_rollup, less what the process had before it opened the store: libraries are not the store's.
 * Private pages are what a process really adds; shared ones are there once, however many processes map them; Pss counts
 * a page that n processes have as a nth for each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/status.h"

enum { PROCESSES = 2, ASKED = 200, MEASURES = 3 };

/* KiB. */
typedef struct memory {
  long resident, pss, shared, unshared;
} memory;

typedef struct worker {
  int to, from; /* the parent's ends of its pipes */
  pid_t process;
} worker;

static bool measure(memory *out) {
  char line[256];
  FILE *file = fopen("/proc/self/smaps_rollup", "r");
  *out = (memory){0};
  if (!file) return false;
  while (fgets(line, sizeof line, file)) {
    long value;
    char name[64];
    if (sscanf(line, "%63[^:]: %ld kB", name, &value) != 2) continue;
    if (!strcmp(name, "Rss")) out->resident = value;
    if (!strcmp(name, "Pss")) out->pss = value;
    if (!strncmp(name, "Shared_", 7) && strcmp(name, "Shared_Hugetlb") != 0) out->shared += value;
    if (!strncmp(name, "Private_", 8) && strcmp(name, "Private_Hugetlb") != 0) out->unshared += value;
  }
  fclose(file);
  return out->resident > 0;
}

/* ---- a process ---- */

/* Every item that comes up is asked for in its turn. */
static hem_status use(const hem_engine *engine, hem_error *err) {
  hem_engine_info info;
  hem_searcher *searcher = NULL;
  hem_answer answer;
  hem_search_options scan = {.size = sizeof scan, .exact = true}, many = {.size = sizeof many, .k = ASKED};
  const char *items[ASKED];
  size_t count = 0;
  hem_engine_info_get(engine, &info);
  float *vector = calloc(info.dim, sizeof *vector);
  if (!vector) return hem__fail(err, HEM_ENOMEM, "no memory for a vector");
  hem_status status = hem_searcher_new(engine, &searcher, err);
  if (!status) status = hem_search(searcher, vector, info.dim, &many, &answer, err);
  for (; !status && count < answer.found; count++) items[count] = answer.hits[count].item_id;
  for (size_t i = 0; i < count && !status; i++) status = hem_search_item(searcher, items[i], NULL, &answer, err);
  if (!status) status = hem_search(searcher, vector, info.dim, &scan, &answer, err);
  hem_searcher_free(searcher);
  free(vector);
  return status;
}

static bool say(int to) { return write(to, "", 1) == 1; }
static bool hear(int from) {
  char byte;
  return read(from, &byte, 1) == 1;
}

/* Opens when told to, says so; then measures whenever it is told to, until nobody tells any more. */
static int work(const char *store, int from, int to) {
  hem_engine *engine = NULL;
  hem_error err = {0};
  memory before, now;
  if (!hear(from)) return 0;
  bool fine = measure(&before);
  hem_status status = hem_engine_open(store, NULL, &engine, &err);
  if (!status) status = use(engine, &err);
  if (status) fprintf(stderr, "bench_share: %s\n", err.message);
  fine = fine && !status && say(to);
  while (fine && hear(from)) {
    fine = measure(&now);
    now = (memory){now.resident - before.resident, now.pss - before.pss, now.shared - before.shared,
                   now.unshared - before.unshared};
    fine = fine && write(to, &now, sizeof now) == (ssize_t)sizeof now;
  }
  hem_engine_close(engine);
  return fine ? 0 : 1;
}

/* ---- the parent ---- */

/* Forked before anything of Hemline ran: a process that used OpenMP is of no more use when it is. */
static bool start(const char *store, worker *w) {
  int down[2], up[2];
  if (pipe(down) || pipe(up)) return false;
  w->process = fork();
  if (w->process == 0) {
    close(down[1]);
    close(up[0]);
    _exit(work(store, down[0], up[1]));
  }
  close(down[0]);
  close(up[1]);
  w->to = down[1];
  w->from = up[0];
  return w->process > 0;
}

static bool ask(const worker *w, memory *out) {
  return say(w->to) && read(w->from, out, sizeof *out) == (ssize_t)sizeof *out;
}

static void print(const char *name, const memory *m) {
  printf("%-28s %10.1f %10.1f %10.1f %10.1f\n", name, (double)m->unshared / 1024, (double)m->shared / 1024,
         (double)m->pss / 1024, (double)m->resident / 1024);
}

int main(int argc, char **argv) {
  worker w[PROCESSES] = {0};
  memory m[MEASURES] = {0};
  bool fine = argc == 2;
  if (!fine) {
    fputs("usage: bench_share STORE\n", stderr);
    return 2;
  }
  for (size_t i = 0; i < PROCESSES && fine; i++) fine = start(argv[1], &w[i]);
  fine = fine && say(w[0].to) && hear(w[0].from) && ask(&w[0], &m[0]);
  fine = fine && say(w[1].to) && hear(w[1].from) && ask(&w[0], &m[1]) && ask(&w[1], &m[2]);
  if (fine) {
    printf("%-28s %10s %10s %10s %10s\n", "MiB, of the store", "private", "shared", "Pss", "resident");
    print("first process, alone", &m[0]);
    print("first process, beside second", &m[1]);
    print("second process", &m[2]);
  }
  for (size_t i = 0; i < PROCESSES; i++) { /* all of them first: the second process holds the first one's pipes, too */
    if (w[i].process <= 0) continue;
    close(w[i].to);
    close(w[i].from);
  }
  for (size_t i = 0; i < PROCESSES; i++) {
    int status = 0;
    if (w[i].process <= 0) continue;
    if (waitpid(w[i].process, &status, 0) != w[i].process || status) fine = false;
  }
  return fine ? 0 : 1;
}
