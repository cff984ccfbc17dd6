/* Networks, opened: the model read and hashed, its feature found, its preprocessing settled, its session made. */
#include "ingest/network.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "ingest/onnx_model.h"
#include "ingest/preprocess.h"

/* Which file it was: a model that is replaced is another network. */
typedef struct identity {
  dev_t device;
  ino_t inode;
  off_t size;
  struct timespec changed;
} identity;

struct hem__network {
  hem__network *next; /* of those that are open */
  size_t users;
  identity file;
  char *text, *recipe, *about;
  char name[32];
  hem__preprocess preprocess;
  bool l2;
  hem__session *session;
};

/* Guards the list and the counts. Held while a model is loaded, so that threads that want the same one wait for it;
 * never while one runs. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static hem__network *networks;

/* ---- where the model is ---- */

/* Hemline's own: where the environment says, or where it was installed, or in the source tree. */
static hem_status find_own(char **path, hem_error *err) {
  const char *folder = getenv("HEMLINE_DATA");
  const char *const folders[] = {folder ? folder : HEM_DATA_INSTALLED, folder ? folder : HEM_DATA_SOURCE};
  for (size_t i = 0; i < 2; i++) {
    hem_status status = hem__print(path, err, "%s/hemnet.onnx", folders[i]);
    if (status || hem__path_exists(*path)) return status;
    free(*path);
    *path = NULL;
  }
  return hem__fail(err, HEM_ENOTFOUND,
                   "Hemline's own network, hemnet.onnx, is not in %s%s%s: install it there, or set HEMLINE_DATA to its "
                   "folder",
                   folders[0], folder ? "" : " nor in ", folder ? "" : folders[1]);
}

static hem_status identify(const char *path, identity *out, hem_error *err) {
  struct stat st;
  if (stat(path, &st) != 0) {
    hem_status status = hem__fail_errno(err, "cannot open the network %s", path);
    return status == HEM_ENOTFOUND
               ? hem__fail(err, status, "the network %s is not there; if it was moved, --cnn names its new place", path)
               : status;
  }
  *out = (identity){.device = st.st_dev, .inode = st.st_ino, .size = st.st_size, .changed = st.st_mtim};
  return HEM_OK;
}

static bool same_file(const identity *a, const identity *b) {
  return a->device == b->device && a->inode == b->inode && a->size == b->size &&
         a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* ---- opening ---- */

/* What is needed while a network is being opened. */
typedef struct opening {
  hem__network *network;
  hem__network_parts parts;
  const hem__preset *preset; /* NULL: none */
  const char *path;
  uint8_t *bytes;
  size_t size;
  char digest[65];
  hem__onnx *model;
  hem__onnx_feature feature;
} opening;

/* The preset's, or the file's; made of bytes that a catalogue, a folder and a shell take as they are. */
static void name_it(opening *o) {
  const char *from = o->preset ? o->preset->name : "hemnet", *slash;
  char *name = o->network->name;
  if (!o->preset && o->parts.model) from = (slash = strrchr(o->path, '/')) ? slash + 1 : o->path;
  snprintf(name, sizeof o->network->name, "%s", from);
  char *end = strrchr(name, '.');
  if (end && end != name && !o->preset) *end = '\0';
  for (char *c = name; *c; c++)
    if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", *c) && (*c != '.' || c == name))
      *c = '_';
}

/* Takes the file's bytes; behind them is room for one more output. */
static hem_status read_model(opening *o, hem_error *err) {
  hem_status status = hem__file_read(o->path, &o->bytes, &o->size, err);
  if (status) return status;
  hem__digest digest = hem__sha256_of(o->bytes, o->size);
  hem__digest_hex(&digest, o->digest);
  status = hem__onnx_read(o->bytes, o->size, o->path, &o->model, err);
  if (status) return status;
  size_t from_end = o->preset ? (size_t)o->preset->fully_connected : 1;
  return hem__onnx_find_feature(o->model, o->parts.layer, from_end, &o->feature, err);
}

/* With neither preset nor metadata: what most networks trained on ImageNet want, at the model's own size. */
static hem__preprocess guess(const hem__onnx_value *in) {
  bool last = in->shaped && in->dims[1] != 3;
  int64_t high = in->shaped ? in->dims[last ? 1 : 2] : -1, wide = in->shaped ? in->dims[last ? 2 : 3] : -1;
  size_t height = high > 0 && high <= UINT16_MAX ? (size_t)high : 224;
  size_t width = wide > 0 && wide <= UINT16_MAX ? (size_t)wide : height, crop = hem__max(width, height);
  return (hem__preprocess){.fit = width == height ? HEM__SHORTER : HEM__STRETCH,
                           .filter = HEM__BILINEAR,
                           .resize = (crop * 256 + 112) / 224,
                           .width = width,
                           .height = height,
                           .central = 0.875,
                           .scale = 255,
                           .mean = {0.485, 0.456, 0.406},
                           .std = {0.229, 0.224, 0.225}};
}

/* The model's input against the preprocessing's output. What the file leaves open is the preprocessing's to say. */
static hem_status fit_input(const opening *o, hem__preprocess *p, hem_error *err) {
  const hem__onnx_value *in = hem__onnx_input(o->model);
  if (!in->shaped) return HEM_OK;
  bool first = in->dims[1] == 3, last = in->dims[3] == 3 && !first, open = in->dims[1] < 0 && in->dims[3] < 0;
  if (!first && !last && !open)
    return hem__fail(err, HEM_EUNSUPPORTED, "%s: its input '%.64s' has no dimension of three colours", o->path,
                     in->name);
  if (!open) {
    if (p->nhwc != last && o->parts.preprocess && strstr(o->parts.preprocess, "layout="))
      return hem__fail(err, HEM_EINVAL, "%s takes layout=%s, not what --preprocess asks for", o->path,
                       last ? "nhwc" : "nchw");
    p->nhwc = last;
  }
  int64_t height = in->dims[p->nhwc ? 1 : 2], width = in->dims[p->nhwc ? 2 : 3];
  for (int i = 0; i < 2; i++) {
    int64_t side = i ? width : height;
    if (side < 0 || side == (int64_t)(i ? p->width : p->height)) continue;
    return hem__fail(err, HEM_EINVAL,
                     "%s takes images of %lld x %lld pixels, and the preprocessing makes %zu x %zu: change it with "
                     "--preprocess 'crop=N resize=M'",
                     o->path, (long long)width, (long long)height, p->width, p->height);
  }
  return HEM_OK;
}

static hem_status settle_preprocess(opening *o, hem_error *err) {
  const hem__onnx_value *in = hem__onnx_input(o->model);
  const char *own = hem__onnx_metadata(o->model, "hemline.preprocess");
  hem__preprocess p = guess(in);
  hem_status status = o->preset ? hem__preprocess_parse(o->preset->preprocess, &p, err) : HEM_OK;
  if (!status && own) status = hem__preprocess_parse(own, &p, err);
  if (!status && o->parts.preprocess) status = hem__preprocess_parse(o->parts.preprocess, &p, err);
  if (!status) status = fit_input(o, &p, err);
  if (!status) o->network->preprocess = p;
  return status;
}

static hem_status make_session(opening *o, hem_error *err) {
  const hem__preprocess *p = &o->network->preprocess;
  int64_t width = (int64_t)p->width, height = (int64_t)p->height;
  hem_status status = hem__onnx_trim(o->model, o->feature.tensor, o->bytes, &o->size, err);
  if (status) return status;
  if (!o->feature.is_output) {
    uint8_t *longer = realloc(o->bytes, o->size + HEM__ONNX_NAME_MAX + 16);
    if (!longer) return hem__fail(err, HEM_ENOMEM, "no memory for the model %s", o->path);
    o->bytes = longer;
    o->size += hem__onnx_output_message(o->feature.tensor, o->bytes + o->size);
  }
  hem__session_config config = {.name = o->path,
                                .bytes = o->bytes,
                                .size = o->size,
                                .input = hem__onnx_input(o->model)->name,
                                .output = o->feature.tensor,
                                .shape = {1, p->nhwc ? height : 3, p->nhwc ? width : height, p->nhwc ? 3 : width}};
  return hem__session_open(&config, &o->network->session, err);
}

static hem_status check_dim(const opening *o, hem_error *err) {
  size_t dim = hem__session_dim(o->network->session);
  if (!o->preset || !o->preset->dim || o->parts.layer || dim == o->preset->dim) return HEM_OK;
  return hem__fail(err, HEM_EINVAL,
                   "%s gives %zu values ('%.64s', %s), and %s %zu: it is another network; leave --preset out, or name "
                   "the tensor with --layer",
                   o->path, dim, o->feature.tensor, o->feature.why, o->preset->name, o->preset->dim);
}

static hem_status describe(const opening *o, hem_error *err) {
  hem__network *n = o->network;
  char preprocess[HEM__PREPROCESS_TEXT];
  size_t dim = hem__session_dim(n->session);
  hem__preprocess_text(&n->preprocess, preprocess);
  hem_status status =
      hem__print(&n->recipe, err, "network 1, of 8-bit sRGB; model %s; tensor %s; %s; %zu values, %s", o->digest,
                 o->feature.tensor, preprocess, dim, n->l2 ? "divided by their L2 norm" : "as they are");
  if (status) return status;
  return hem__print(&n->about, err, "%s: %s; tensor '%s' (%s), %zu values%s", n->name, preprocess, o->feature.tensor,
                    o->feature.why, dim, n->l2 ? ", L2 norm 1" : "");
}

static hem_status load(opening *o, hem_error *err) {
  hem_status status = read_model(o, err);
  if (!status) status = settle_preprocess(o, err);
  if (!status) status = make_session(o, err);
  if (!status) status = check_dim(o, err);
  if (!status) name_it(o);
  if (!status) status = describe(o, err);
  hem__onnx_free(o->model);
  free(o->bytes);
  return status;
}

static void destroy(hem__network *network) {
  if (!network) return;
  hem__session_close(network->session);
  free(network->text);
  free(network->recipe);
  free(network->about);
  free(network);
}

/* Under the lock. Takes `text` on success. */
static hem_status open_new(opening *o, char *text, const identity *file, hem_error *err) {
  hem_status status = hem__alloc(1, sizeof *o->network, "a network", &o->network, err);
  if (!status) o->network->l2 = o->parts.l2;
  if (!status) status = load(o, err);
  if (status) {
    destroy(o->network);
    return status;
  }
  o->network->text = text;
  o->network->file = *file;
  o->network->next = networks;
  networks = o->network;
  return HEM_OK;
}

static hem_status open_shared(opening *o, char **text, const identity *file, hem__network **out, hem_error *err) {
  hem_status status = HEM_OK;
  pthread_mutex_lock(&lock);
  hem__network *n = networks;
  while (n && (strcmp(n->text, *text) != 0 || !same_file(&n->file, file))) n = n->next;
  if (!n) {
    status = open_new(o, *text, file, err);
    if (!status) {
      n = o->network;
      *text = NULL;
    }
  }
  if (!status) n->users++;
  pthread_mutex_unlock(&lock);
  if (!status) *out = n;
  return status;
}

hem_status hem__network_open(const char *text, size_t size, hem__network **out, hem_error *err) {
  opening o = {0};
  char *memory = NULL, *canonical = NULL, *own = NULL;
  identity file;
  hem_status status = hem__network_parse(text, size, &o.parts, &memory, err);
  if (!status && o.parts.preset) status = hem__preset_find(o.parts.preset, &o.preset, err);
  if (!status) status = hem__network_spec(&o.parts, &canonical, err);
  if (!status && !o.parts.model) status = find_own(&own, err);
  if (!status) {
    o.path = own ? own : o.parts.model;
    status = identify(o.path, &file, err);
  }
  if (!status) status = open_shared(&o, &canonical, &file, out, err);
  free(own);
  free(canonical);
  free(memory);
  return status;
}

void hem__network_close(hem__network *network) {
  if (!network) return;
  pthread_mutex_lock(&lock);
  bool last = --network->users == 0;
  hem__network **link = &networks;
  while (last && *link != network) link = &(*link)->next;
  if (last) *link = network->next;
  pthread_mutex_unlock(&lock);
  if (last) destroy(network);
}

const char *hem__network_text(const hem__network *network) { return network->text; }
const char *hem__network_name(const hem__network *network) { return network->name; }
const char *hem__network_recipe(const hem__network *network) { return network->recipe; }
const char *hem__network_about(const hem__network *network) { return network->about; }
bool hem__network_wants_l2(const hem__network *network) { return network->l2; }
size_t hem__network_dim(const hem__network *network) { return hem__session_dim(network->session); }

/* ---- embedding ---- */

hem_status hem__network_run_new(const hem__network *network, hem__run **out, hem_error *err) {
  return hem__run_new(network->session, out, err);
}

hem_status hem__network_embed(const hem__network *network, hem__run *run, const hem__image *photo, float *out,
                              hem_error *err) {
  hem_status status = hem__preprocess_apply(&network->preprocess, photo, hem__run_input(run), err);
  return status ? status : hem__run_go(run, out, err);
}
