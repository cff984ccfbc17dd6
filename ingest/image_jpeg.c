/* Plain JPEGs, nearly every photo there is, by libjpeg-turbo, which no other file includes. libvips would decode them
 * by the same library to the same pixels, but its set-up and its line caches cost as much again as the decoding.
 *
 * Strict: the first warning is an error, as no photo is good enough that had to be guessed at. Errors leave libjpeg by
 * longjmp, to one place. */
#include "ingest/decode.h"

#ifdef HEM_HAVE_VIPS
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Needs stdio.h and stdlib.h before it. */
#include <jpeglib.h>

#include <jerror.h>

enum {
  CHANNELS = 3,
  SCANS_MAX = 100,   /* of a progressive photo: thousands of empty ones take minutes */
  PER_BYTE_MAX = 512 /* pixels: a block of 64 takes a bit at the very least */
};

typedef struct reader {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf failed;
  char reason[JMSG_LENGTH_MAX];
  hem__image photo;
  int orientation;
} reader;

/* ---- what libjpeg calls ---- */

static void fail_with_reason(j_common_ptr jpeg) {
  reader *r = jpeg->client_data;
  jpeg->err->format_message(jpeg, r->reason);
  longjmp(r->failed, 1);
}

/* Levels from 0 on are traces. */
static void fail_on_warning(j_common_ptr jpeg, int level) {
  if (level < 0) fail_with_reason(jpeg);
}

static void print_nothing(j_common_ptr jpeg) { (void)jpeg; }

static void count_scans(j_common_ptr jpeg) {
  reader *r = jpeg->client_data;
  if (r->jpeg.input_scan_number <= SCANS_MAX) return;
  snprintf(r->reason, sizeof r->reason, "over %d scans", SCANS_MAX);
  longjmp(r->failed, 1);
}

/* ---- metadata ---- */

static bool begins(const struct jpeg_marker_struct *marker, int code, const char *text, size_t length) {
  return marker->marker == code && marker->data_length >= length && !memcmp(marker->data, text, length);
}

static int orientation_of(const reader *r) {
  enum { EXIF = 6 };
  for (const struct jpeg_marker_struct *m = r->jpeg.marker_list; m; m = m->next)
    if (begins(m, JPEG_APP0 + 1, "Exif\0\0", EXIF)) return hem__exif_orientation(m->data + EXIF, m->data_length - EXIF);
  return 1;
}

/* A profile may be cut into several markers; the first one is enough to recognise it by. */
static bool has_profile(const reader *r) {
  enum { PROFILE = 14 }; /* the name, this marker's number and how many there are */
  for (const struct jpeg_marker_struct *m = r->jpeg.marker_list; m; m = m->next)
    if (begins(m, JPEG_APP0 + 2, "ICC_PROFILE", sizeof "ICC_PROFILE") && m->data_length > PROFILE)
      return !(m->data[PROFILE - 2] == 1 && hem__profile_is_srgb(m->data + PROFILE, m->data_length - PROFILE));
  return false;
}

static bool is_plain(const reader *r) {
  J_COLOR_SPACE space = r->jpeg.jpeg_color_space;
  return (space == JCS_GRAYSCALE || space == JCS_YCbCr || space == JCS_RGB) && !has_profile(r);
}

/* ---- decoding ---- */

static void open_reader(reader *r, const uint8_t *bytes, size_t size) {
  enum { WHOLE = 0xFFFF };
  jpeg_create_decompress(&r->jpeg);
  r->progress.progress_monitor = count_scans;
  r->jpeg.progress = &r->progress;
  jpeg_mem_src(&r->jpeg, bytes, size);
  jpeg_save_markers(&r->jpeg, JPEG_APP0 + 1, WHOLE);
  jpeg_save_markers(&r->jpeg, JPEG_APP0 + 2, WHOLE);
  jpeg_read_header(&r->jpeg, TRUE);
}

static hem_status check_size(const reader *r, size_t size, const char *name, hem_error *err) {
  size_t width = r->jpeg.image_width, height = r->jpeg.image_height;
  hem_status status = hem__decode_check_size(width, height, name, err);
  if (!status && width * height / PER_BYTE_MAX > size)
    status = hem__fail(err, HEM_ECORRUPT, "%s: damaged photo; fetch it again (%zu bytes do not hold %zu x %zu pixels)",
                       name, size, width, height);
  return status;
}

static void read_pixels(reader *r) {
  enum { ROWS = 16 };
  JSAMPROW rows[ROWS];
  r->jpeg.out_color_space = JCS_RGB;
  jpeg_start_decompress(&r->jpeg);
  while (r->jpeg.output_scanline < r->jpeg.output_height) {
    for (size_t i = 0; i < ROWS; i++)
      rows[i] = r->photo.at + hem__min(r->jpeg.output_scanline + i, r->photo.height - 1) * r->photo.width * CHANNELS;
    jpeg_read_scanlines(&r->jpeg, rows, hem__min(ROWS, r->jpeg.output_height - r->jpeg.output_scanline));
  }
  jpeg_finish_decompress(&r->jpeg);
}

static hem_status explain(const reader *r, const char *name, hem_error *err) {
  switch (r->errors.msg_code) {
    case JERR_OUT_OF_MEMORY:
      return hem__fail(err, HEM_ENOMEM, "no memory to decode %s", name);
    case JERR_IMAGE_TOO_BIG:
      return hem__fail(err, HEM_EINVAL, "%s is too large (%s); scale it down", name, r->reason);
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_ARITH_NOTIMPL:
      return hem__fail(err, HEM_EUNSUPPORTED, "%s is a JPEG of a rare kind (%s); convert it to an ordinary one", name,
                       r->reason);
    default:
      return hem__fail(err, HEM_ECORRUPT, "%s: damaged photo; fetch it again (%s)", name, r->reason);
  }
}

hem_status hem__jpeg_decode(const uint8_t *bytes, size_t size, const char *name, bool *plain, hem__image *out,
                            hem_error *err) {
  reader *r = NULL;
  hem_status status = hem__alloc(1, sizeof *r, "a JPEG's reader", &r, err);
  if (status) return status;
  r->jpeg.err = jpeg_std_error(&r->errors);
  r->errors.error_exit = fail_with_reason;
  r->errors.emit_message = fail_on_warning;
  r->errors.output_message = print_nothing;
  r->jpeg.client_data = r;
  if (setjmp(r->failed)) {
    status = explain(r, name, err); /* neither r nor an argument has changed since setjmp */
    goto done;
  }
  open_reader(r, bytes, size);
  *plain = is_plain(r);
  if (!*plain) goto done;
  status = check_size(r, size, name, err);
  if (!status) status = hem__image_new(r->jpeg.image_width, r->jpeg.image_height, &r->photo, err);
  if (status) goto done;
  r->orientation = orientation_of(r);
  read_pixels(r); /* which frees the markers */
  status = hem__image_upright(&r->photo, r->orientation, err);
  if (status) goto done;
  *out = r->photo;
  r->photo = (hem__image){0};
done:
  hem__image_clear(&r->photo);
  jpeg_destroy_decompress(&r->jpeg);
  free(r);
  return status;
}

/* ---- encoding ---- */

typedef struct writer {
  struct jpeg_compress_struct jpeg;
  struct jpeg_error_mgr errors;
  jmp_buf failed;
  unsigned char *bytes;
  unsigned long size;
} writer;

static void stop_writing(j_common_ptr jpeg) { longjmp(((writer *)jpeg->client_data)->failed, 1); }

static void write_pixels(writer *w, const hem__image *image, int quality) {
  jpeg_create_compress(&w->jpeg);
  jpeg_mem_dest(&w->jpeg, &w->bytes, &w->size);
  w->jpeg.image_width = (JDIMENSION)image->width;
  w->jpeg.image_height = (JDIMENSION)image->height;
  w->jpeg.input_components = CHANNELS;
  w->jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&w->jpeg);
  jpeg_set_quality(&w->jpeg, quality, TRUE);
  jpeg_start_compress(&w->jpeg, TRUE);
  while (w->jpeg.next_scanline < w->jpeg.image_height) {
    JSAMPROW row = image->at + w->jpeg.next_scanline * image->width * CHANNELS;
    jpeg_write_scanlines(&w->jpeg, &row, 1);
  }
  jpeg_finish_compress(&w->jpeg);
}

hem_status hem__image_jpeg(const hem__image *image, int quality, uint8_t **bytes, size_t *size, hem_error *err) {
  writer *w = NULL;
  hem_status status = hem__alloc(1, sizeof *w, "a JPEG's writer", &w, err);
  if (status) return status;
  w->jpeg.err = jpeg_std_error(&w->errors);
  w->errors.error_exit = stop_writing;
  w->errors.output_message = print_nothing;
  w->jpeg.client_data = w;
  if (setjmp(w->failed)) {
    status = hem__fail(err, HEM_ENOMEM, "a photo of %zu x %zu pixels cannot be written as JPEG", image->width,
                       image->height);
  } else {
    write_pixels(w, image, quality);
    *bytes = w->bytes; /* libjpeg's, from malloc */
    *size = w->size;
    w->bytes = NULL;
  }
  jpeg_destroy_compress(&w->jpeg);
  free(w->bytes);
  free(w);
  return status;
}
#else
hem_status hem__image_jpeg(const hem__image *image, int quality, uint8_t **bytes, size_t *size, hem_error *err) {
  (void)image, (void)quality, (void)bytes, (void)size;
  return hem__fail(err, HEM_EUNSUPPORTED,
                   "this Hemline was built without libjpeg and writes no photos; install libvips-dev and build again");
}
#endif
