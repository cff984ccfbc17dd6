/* The AV1 pictures inside AVIF photos: a decoder for libheif, by which libvips reads them, made of dav1d. libheif has
 * one of its own, made of dav1d too, but that one prints what it finds damaged, and starts a thread for every core for
 * every photo. This one is silent, runs on the caller's thread, and refuses pictures that are larger than any photo may
 * be. No other file includes libheif or dav1d. */
#include "ingest/decode.h"

#ifdef HEM_HAVE_DAV1D
#include <dav1d/dav1d.h>
#include <errno.h>
#include <libheif/heif.h>
#include <libheif/heif_plugin.h>
#include <stdlib.h>
#include <string.h>

typedef struct decoder {
  Dav1dContext *dav1d;
  Dav1dData data; /* what is not decoded yet */
} decoder;

static struct heif_error good(void) { return (struct heif_error){heif_error_Ok, heif_suberror_Unspecified, "good"}; }

static struct heif_error bad(const char *why) {
  return (struct heif_error){heif_error_Decoder_plugin_error, heif_suberror_Unspecified, why};
}

/* ---- what libheif calls ---- */

static const char *plugin_name(void) { return "dav1d, silent"; }

/* Larger wins; libheif's own are at most 150. */
static int priority(enum heif_compression_format format) { return format == heif_compression_AV1 ? 1000 : 0; }

static void free_decoder(void *at) {
  decoder *d = at;
  if (!d) return;
  if (d->data.sz) dav1d_data_unref(&d->data);
  if (d->dav1d) dav1d_close(&d->dav1d);
  free(d);
}

static struct heif_error new_decoder(void **out) {
  Dav1dSettings settings;
  decoder *d = NULL;
  if (hem__alloc(1, sizeof *d, "an AV1 decoder", &d, NULL)) return bad("no memory");
  dav1d_default_settings(&settings);
  settings.n_threads = 1;
  settings.all_layers = 0;
  settings.frame_size_limit = HEM__DECODE_PIXELS_MAX;
  settings.logger = (Dav1dLogger){0};
  if (dav1d_open(&d->dav1d, &settings)) {
    free_decoder(d);
    return bad("dav1d does not start");
  }
  *out = d;
  return good();
}

static struct heif_error push_data(void *at, const void *bytes, size_t size) {
  decoder *d = at;
  if (size == 0 || d->data.sz) return bad("no AV1 data, or too much");
  uint8_t *copy = dav1d_data_create(&d->data, size);
  if (!copy) return bad("no memory");
  memcpy(copy, bytes, size);
  return good();
}

/* The first picture. dav1d asks for more data until it has been given all, and is then asked once more. */
static bool next_picture(decoder *d, Dav1dPicture *out) {
  for (bool drained = false;; drained = d->data.sz == 0) {
    int sent = d->data.sz ? dav1d_send_data(d->dav1d, &d->data) : 0;
    if (sent < 0 && sent != DAV1D_ERR(EAGAIN)) return false;
    int got = dav1d_get_picture(d->dav1d, out);
    if (got == 0) return true;
    if (got != DAV1D_ERR(EAGAIN) || drained) return false;
  }
}

/* `across` and `down`: the picture is halved so many times. */
static struct heif_error copy_plane(const Dav1dPicture *picture, int plane, struct heif_image *image, int across,
                                    int down) {
  static const enum heif_channel channels[] = {heif_channel_Y, heif_channel_Cb, heif_channel_Cr};
  int width = (picture->p.w + across) >> across, height = (picture->p.h + down) >> down, stride;
  struct heif_error error = heif_image_add_plane(image, channels[plane], width, height, picture->p.bpc);
  if (error.code) return error;
  uint8_t *to = heif_image_get_plane(image, channels[plane], &stride);
  if (!to) return bad("no memory");
  const uint8_t *from = picture->data[plane];
  size_t row = (size_t)width * (picture->p.bpc > 8 ? 2 : 1);
  for (int y = 0; y < height; y++) memcpy(to + (ptrdiff_t)y * stride, from + y * picture->stride[plane > 0], row);
  return good();
}

static void copy_colours(const Dav1dPicture *picture, struct heif_image *image) {
  struct heif_color_profile_nclx *colours = heif_nclx_color_profile_alloc();
  if (!colours) return;
  heif_nclx_color_profile_set_color_primaries(colours, (uint16_t)picture->seq_hdr->pri);
  heif_nclx_color_profile_set_transfer_characteristics(colours, (uint16_t)picture->seq_hdr->trc);
  heif_nclx_color_profile_set_matrix_coefficients(colours, (uint16_t)picture->seq_hdr->mtrx);
  colours->full_range_flag = picture->seq_hdr->color_range != 0;
  heif_image_set_nclx_color_profile(image, colours);
  heif_nclx_color_profile_free(colours);
}

static struct heif_error copy_picture(const Dav1dPicture *picture, struct heif_image **out) {
  static const struct {
    enum heif_chroma chroma;
    int across, down;
  } layouts[] = {[DAV1D_PIXEL_LAYOUT_I400] = {heif_chroma_monochrome, 0, 0},
                 [DAV1D_PIXEL_LAYOUT_I420] = {heif_chroma_420, 1, 1},
                 [DAV1D_PIXEL_LAYOUT_I422] = {heif_chroma_422, 1, 0},
                 [DAV1D_PIXEL_LAYOUT_I444] = {heif_chroma_444, 0, 0}};
  int planes = picture->p.layout == DAV1D_PIXEL_LAYOUT_I400 ? 1 : 3;
  struct heif_image *image = NULL;
  struct heif_error error =
      heif_image_create(picture->p.w, picture->p.h, planes == 1 ? heif_colorspace_monochrome : heif_colorspace_YCbCr,
                        layouts[picture->p.layout].chroma, &image);
  for (int i = 0; i < planes && !error.code; i++) {
    int across = i ? layouts[picture->p.layout].across : 0, down = i ? layouts[picture->p.layout].down : 0;
    error = copy_plane(picture, i, image, across, down);
  }
  if (error.code) {
    heif_image_release(image);
    return error;
  }
  copy_colours(picture, image);
  *out = image;
  return good();
}

static struct heif_error decode_image(void *at, struct heif_image **out) {
  Dav1dPicture picture = {0};
  if (!next_picture(at, &picture)) return bad("damaged AV1 data");
  struct heif_error error = copy_picture(&picture, out);
  dav1d_picture_unref(&picture);
  return error;
}

static void set_strict(void *at, int strict) { (void)at, (void)strict; }

static const struct heif_decoder_plugin plugin = {.plugin_api_version = 3,
                                                  .get_plugin_name = plugin_name,
                                                  .does_support_format = priority,
                                                  .new_decoder = new_decoder,
                                                  .free_decoder = free_decoder,
                                                  .push_data = push_data,
                                                  .decode_image = decode_image,
                                                  .set_strict_decoding = set_strict,
                                                  .id_name = "hemline-dav1d"};

void hem__av1_start(void) { heif_register_decoder_plugin(&plugin); }

#else

void hem__av1_start(void) {}

#endif
