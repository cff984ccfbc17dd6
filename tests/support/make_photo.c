#include "make_photo.h"

#ifdef HEM_HAVE_VIPS
#include <vips/vips.h>

#include "test.h"

static VipsImage *checked(int failed, VipsImage *image) {
  ck_assert_msg(!failed, "%s", vips_error_buffer());
  return image;
}

static VipsImage *pixels_of(const hem__image *photo) {
  uint8_t *png = NULL;
  size_t size;
  ck_ok(hem__image_png(photo, &png, &size, err)); /* starts libvips as the library does: by first use */
  free(png);
  VipsImage *out = NULL,
            *flat = vips_image_new_from_memory_copy(photo->at, photo->width * photo->height * 3, (int)photo->width,
                                                    (int)photo->height, 3, VIPS_FORMAT_UCHAR);
  checked(vips_copy(flat, &out, "interpretation", VIPS_INTERPRETATION_sRGB, NULL), out);
  g_object_unref(flat);
  return out;
}

/* Takes the image. The alpha is the photo's own green, so that it varies. */
static VipsImage *with_alpha(VipsImage *image) {
  VipsImage *green = NULL, *out = NULL;
  checked(vips_extract_band(image, &green, 1, NULL), green);
  checked(vips_bandjoin2(image, green, &out, NULL), out);
  g_object_unref(green);
  g_object_unref(image);
  return out;
}

static VipsImage *in_space(VipsImage *image, VipsInterpretation space) {
  VipsImage *out = NULL;
  checked(vips_colourspace(image, &out, space, NULL), out);
  g_object_unref(image);
  return out;
}

static VipsImage *with_profile(VipsImage *image, const char *name) {
  VipsBlob *profile = NULL;
  size_t size;
  ck_assert_int_eq(vips_profile_load(name, &profile, NULL), 0);
  const void *at = vips_blob_get(profile, &size);
  vips_image_set_blob_copy(image, VIPS_META_ICC_NAME, at, size);
  vips_area_unref(VIPS_AREA(profile));
  return image;
}

static VipsImage *twice(VipsImage *image) {
  VipsImage *out = NULL, *both[] = {image, image};
  int height = image->Ysize;
  checked(vips_arrayjoin(both, &out, 2, "across", 1, NULL), out);
  vips_image_set_int(out, VIPS_META_PAGE_HEIGHT, height);
  g_object_unref(image);
  return out;
}

hem__photo_file hem__make_photo(const hem__image *photo, const char *kind, const char *format) {
  VipsImage *image = pixels_of(photo);
  if (!strcmp(kind, "grey")) image = in_space(image, VIPS_INTERPRETATION_B_W);
  if (!strncmp(kind, "16", 2)) image = in_space(image, VIPS_INTERPRETATION_RGB16);
  if (!strcmp(kind, "cmyk")) image = in_space(image, VIPS_INTERPRETATION_CMYK);
  if (strstr(kind, "alpha")) image = with_alpha(image);
  if (!strcmp(kind, "p3") || !strcmp(kind, "srgb")) image = with_profile(image, kind);
  if (!strcmp(kind, "animation")) image = twice(image);
  if (!strcmp(kind, "turned")) vips_image_set_int(image, VIPS_META_ORIENTATION, 6);
  void *at = NULL;
  hem__photo_file out = {0};
  if (vips_image_write_to_buffer(image, format, &at, &out.size, NULL)) {
    ck_assert_msg(strstr(format, ".avif") || strstr(format, ".heic"), "%s: %s", format, vips_error_buffer());
    vips_error_clear();
  }
  g_object_unref(image);
  if (!at) return (hem__photo_file){0};
  out.at = malloc(out.size); /* GLib's memory is not free()'s */
  memcpy(out.at, at, out.size);
  g_free(at);
  return out;
}
#endif
