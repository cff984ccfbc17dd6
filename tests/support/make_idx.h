/* Inputs that several tests need: files of given bytes, and small data sets in Fashion-MNIST's format. */
#ifndef HEM_TESTS_SUPPORT_MAKE_IDX_H
#define HEM_TESTS_SUPPORT_MAKE_IDX_H

#include <stddef.h>
#include <stdint.h>

/* A fresh folder inside this program's one test folder: there may be hundreds. Lives until 64 calls later. */
const char *hem__test_subfolder(void);

/* The whole file at `path`, freed with free(); fails the test where there is none. */
uint8_t *hem__test_read(const char *path, size_t *size);
void hem__test_write(const char *path, const void *bytes, size_t size);
void hem__test_append(const char *path, const void *bytes, size_t size);
/* Inverts one bit of one byte. */
void hem__test_flip(const char *path, size_t offset);
/* Sets when the file last changed, in seconds since 1970. */
void hem__test_touch(const char *path, long seconds);
/* Fails the test unless both files hold the same bytes. */
void hem__test_same_file(const char *a, const char *b);

enum { HEM__TEST_SIDE = 28, HEM__TEST_PIXELS = HEM__TEST_SIDE * HEM__TEST_SIDE };

/* The pixels of photo `number` of a half. Its label is number % 10. */
void hem__test_pixels(const char *prefix, size_t number, uint8_t out[HEM__TEST_PIXELS]);
/* Writes "<prefix>-images-idx3-ubyte" and its labels ("train" is the shop's half, "t10k" the customers'), always with
 * the same time of change. */
void hem__test_idx(const char *folder, const char *prefix, size_t count);
/* Replaces the file by its gzipped form, "<path>.gz". */
void hem__test_gzip(const char *path);

/* A PNG that no other `seed` has. False where the library was built without libvips. */
_Bool hem__test_png(const char *path, unsigned seed, size_t width, size_t height);

#endif
