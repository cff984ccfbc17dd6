/* What the crash tests share: children, folders, and files compared byte by byte.
 *
 * Hemline itself runs only in forked children: a process that is killed, or has used OpenMP, is of no more use.
 * Children must not use Check: they report through shared memory, and the parent asserts. */
#ifndef HEM_TESTS_CRASH_SCENE_H
#define HEM_TESTS_CRASH_SCENE_H

#include <stdio.h>
#include <string.h>

#include "crash/calls.h"
#include "ingest/catalog.h"
#include "test.h"

/* Runs `body` in a child and waits: true when it returned, false when it was killed by SIGKILL. Every other end
 * fails the test. */
bool hem__in_child(void (*body)(void *), void *context);

typedef struct hem__bytes {
  uint8_t *at;
  size_t size;
} hem__bytes;

hem__bytes hem__read_file(const char *path);
void hem__write_file(const char *path, const void *at, size_t size);
/* Usable in a child. */
bool hem__file_is(const char *path, hem__bytes bytes);
/* A fresh folder, in memory where the system has such a place: thousands of runs sync thousands of files. The
 * caller removes and frees it. */
char *hem__work_folder(void);
/* An empty folder of this name. */
void hem__fresh_folder(const char *path);
void hem__copy_folder(const char *from, const char *to);
/* Every file below, "name size sha256" a line, sorted; "" where there is no folder. Freed with free(). */
char *hem__folder_text(const char *path);

/* The calls an undisturbed run made reached the disk in an order that a power cut cannot hurt: a file is synced
 * between its last write and its rename, and after a rename its folder is synced before anything else is renamed
 * or removed. */
void hem__check_syncs(const hem__calls *calls);

/* Idx files of Fashion-MNIST's form: `shop` and `consumer` photos of noise, 28 x 28; one of each 40 has a label
 * that no class has, and is to be rejected. 0: that pair of files is left out. */
void hem__write_idx(const char *folder, size_t shop, size_t consumer);

#endif
