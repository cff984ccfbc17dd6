/* hemline plot tsne: a map of a catalogue's photos. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "bench/chart.h"
#include "bench/html.h"
#include "cli/cli.h"

enum { OPT_SPACE = 256, OPT_POINTS, OPT_DOMAIN, OPT_PERPLEXITY, OPT_THUMBNAILS, OPT_IDX, OPT_SEED, OPT_THREADS };
enum { THUMBNAILS = 2500 };

typedef struct plot_arguments {
  const char *what, *path, *output, *space;
  hem__chart_options map;
  hem__mosaic_options mosaic;
  bool thumbnails, quiet;
} plot_arguments;

static const char doc[] =
    "Draw a CATALOG's photos on a plane so that what is near in an embedding space stays near (t-SNE), coloured by "
    "category: as FILE.svg or FILE.png, or as FILE.html, which needs nothing else. With --thumbnails the photos "
    "themselves are shown (PNG and HTML).\v"
    "Only what is near says something: sizes of groups and the distances between far groups do not.\n\n"
    "Examples:\n"
    "  hemline plot tsne shop.h5 -o map.svg\n"
    "  hemline plot tsne shop.h5 -o map.html --thumbnails\n"
    "  hemline plot tsne shop.h5 -o customers.png --domain consumer --space mobilenet_v1_tf";

static const struct argp_option options[] = {
    {"output", 'o', "FILE", 0, "FILE.svg, FILE.png or FILE.html", 0},
    {"space", OPT_SPACE, "NAME", 0, "Embedding space (default: the only one)", 0},
    {"points", OPT_POINTS, "N", 0, "At most N photos, evenly spread (default: 10000; 2500 with --thumbnails)", 0},
    {"domain", OPT_DOMAIN, "WHICH", 0, "shop, consumer or all (default: all)", 0},
    {"perplexity", OPT_PERPLEXITY, "P", 0, "How many neighbours count, about (default: 30)", 0},
    {"thumbnails", OPT_THUMBNAILS, NULL, 0, "Show the photos", 0},
    {"idx", OPT_IDX, "FOLDER", 0, "Where the idx files are, for photos that lie in them", 0},
    {"seed", OPT_SEED, "N", 0, "Another number makes another map (default: 1)", 0},
    {"threads", OPT_THREADS, "N", 0, "Threads (default: one for each core)", 0},
    {"quiet", 'q', NULL, 0, "No progress", 0},
    {0}};

static bool ends(const char *path, const char *ending) {
  size_t length = strlen(path), tail = strlen(ending);
  return length > tail && !strcmp(path + length - tail, ending);
}

static double parse_perplexity(struct argp_state *state, const char *text) {
  char *end;
  errno = 0;
  double value = strtod(text, &end);
  if (errno || end == text || *end || !(value >= 1 && value <= 10000))
    argp_error(state, "--perplexity wants a number from 1 to 10000, not '%s'", text);
  return value;
}

static int parse_domain(struct argp_state *state, const char *text) {
  uint8_t domain;
  if (!strcmp(text, "all")) return -1;
  if (hem__name_find(text, hem__domain_names, HEM__DOMAINS, &domain)) return domain;
  argp_error(state, "--domain wants shop, consumer or all, not '%s'", text);
  return -1;
}

static void check(struct argp_state *state, const plot_arguments *a) {
  if (!a->what || strcmp(a->what, "tsne") != 0) argp_error(state, "there is one kind of plot: tsne");
  if (!a->path) argp_error(state, "name a CATALOG");
  if (!a->output) argp_error(state, "name the picture to draw: -o FILE.svg, FILE.png or FILE.html");
  if (!ends(a->output, ".svg") && !ends(a->output, ".png") && !ends(a->output, ".html"))
    argp_error(state, "'%s' ends neither in .svg nor in .png nor in .html", a->output);
  if (a->thumbnails && ends(a->output, ".svg")) argp_error(state, "--thumbnails are for .png and .html");
}

static error_t parse(int key, char *text, struct argp_state *state) {
  plot_arguments *a = state->input;
  switch (key) {
    case 'o':
      a->output = text;
      break;
    case OPT_SPACE:
      a->space = text;
      break;
    case OPT_POINTS:
      a->map.points = cli_number(state, text, "--points", 1000000);
      break;
    case OPT_DOMAIN:
      a->map.domain = parse_domain(state, text);
      break;
    case OPT_PERPLEXITY:
      a->map.tsne.perplexity = parse_perplexity(state, text);
      break;
    case OPT_THUMBNAILS:
      a->thumbnails = true;
      break;
    case OPT_IDX:
      a->mosaic.idx = text;
      break;
    case OPT_SEED:
      a->map.tsne.seed = cli_number(state, text, "--seed", UINT32_MAX);
      break;
    case OPT_THREADS:
      a->map.tsne.threads = a->mosaic.threads = cli_number(state, text, "--threads", 1024);
      break;
    case 'q':
      a->quiet = true;
      break;
    case ARGP_KEY_ARG:
      if (a->what)
        cli_take(state, &a->path, text, "catalogue");
      else
        a->what = text;
      break;
    case ARGP_KEY_END:
      check(state, a);
      break;
    default:
      return ARGP_ERR_UNKNOWN;
  }
  return 0;
}

/* ---- files ---- */

static hem_status save(const char *path, const void *bytes, size_t size, hem_error *err) {
  hem__aside *file = NULL;
  hem_status status = hem__aside_new(path, &file, err);
  if (!status) status = hem__aside_write(file, bytes, size, err);
  if (!status) status = hem__aside_publish(file, NULL, NULL, err);
  hem__aside_free(file);
  return status;
}

static void put_figure(hem__html *page, const char *type, const void *bytes, size_t size, const char *caption) {
  hem__html_print(page, "<figure class=\"card plot\"><div class=\"wide\"><img alt=\"\" src=\"data:image/%s;base64,",
                  type);
  hem__html_base64(page, bytes, size);
  hem__html_put(page, "\"/></div><figcaption>");
  hem__html_text(page, caption);
  hem__html_put(page, "</figcaption></figure>\n");
}

typedef struct drawing {
  char *svg;
  uint8_t *mosaic;
  size_t svg_size, mosaic_size;
} drawing;

static hem_status save_page(const plot_arguments *a, const char *about, const drawing *d, hem_error *err) {
  hem__aside *file = NULL;
  hem_status status = hem__aside_new(a->output, &file, err);
  if (status) return status;
  hem__html page = {.to = file, .err = err};
  hem__html_open(&page, "Hemline: a map of the catalogue");
  hem__html_put(&page, "<h1>A map of the catalogue</h1>\n<p class=\"lead\">");
  hem__html_text(&page, about);
  hem__html_put(&page,
                "</p>\n<p>t-SNE lays photos out so that near neighbours stay near. Only nearness says something: the "
                "sizes of groups, and the distances between groups that lie apart, do not.</p>\n");
  put_figure(&page, "svg+xml", d->svg, d->svg_size, "Every point is a photo, coloured by its category.");
  if (d->mosaic)
    put_figure(&page, "png", d->mosaic, d->mosaic_size,
               "The photos themselves, framed in their category’s colour, each in the free cell next to its place.");
  hem__html_close(&page);
  status = page.status;
  if (!status) status = hem__aside_publish(file, NULL, NULL, err);
  hem__aside_free(file);
  return status;
}

static hem_status draw_mosaic(const plot_arguments *a, const hem__catalog *catalog, const hem__chart *map, drawing *d,
                              hem_error *err) {
  hem__image picture = {0};
  size_t shown = 0;
  hem_status status = hem__chart_mosaic(catalog, map, &a->mosaic, &picture, &shown, err);
  if (!status) status = hem__image_png(&picture, &d->mosaic, &d->mosaic_size, err);
  hem__image_clear(&picture);
  if (!status && shown < map->count)
    fprintf(stderr, "%s photos cannot be read and are not shown\n", cli_count(map->count - shown));
  return status;
}

static hem_status draw(const plot_arguments *a, const hem__catalog *catalog, const hem__chart *map, const char *about,
                       hem_error *err) {
  drawing d = {0};
  bool html = ends(a->output, ".html"), png = ends(a->output, ".png");
  hem_status status = HEM_OK;
  if (a->thumbnails) status = draw_mosaic(a, catalog, map, &d, err);
  if (!status && (html || !a->thumbnails)) status = hem__chart_draw(map, png, &d.svg, &d.svg_size, err);
  if (!status && html) status = save_page(a, about, &d, err);
  if (!status && !html)
    status = a->thumbnails ? save(a->output, d.mosaic, d.mosaic_size, err) : save(a->output, d.svg, d.svg_size, err);
  free(d.svg);
  free(d.mosaic);
  return status;
}

static hem_status run(plot_arguments *a, hem__catalog **catalog, hem__chart *map, hem_error *err) {
  char about[512];
  if (a->thumbnails && !a->map.points) a->map.points = THUMBNAILS;
  hem_status status = hem__catalog_open(a->path, catalog, err);
  if (!status) status = hem__catalog_find_space(*catalog, a->space, &a->map.space, err);
  if (!status) status = hem__chart_make(*catalog, &a->map, map, err);
  cli_progress_end();
  if (status) return status;
  snprintf(about, sizeof about, "%s of %s photos, space %.200s, perplexity %g, divergence %.3f", cli_count(map->count),
           cli_count(map->there), hem__catalog_space(*catalog, a->map.space)->name, map->perplexity, map->divergence);
  status = draw(a, *catalog, map, about, err);
  if (!status) printf("%s: %s\n", a->output, about);
  return status;
}

int cli_plot(int argc, char **argv) {
  static const struct argp argp = {.options = options, .parser = parse, .args_doc = "tsne CATALOG", .doc = doc};
  plot_arguments a = {.map = {.domain = -1, .tsne = {.seed = 1}}};
  hem__catalog *catalog = NULL;
  hem__chart map = {0};
  hem_error err;
  argp_parse(&argp, argc, argv, 0, NULL, &a);
  a.map.tsne.progress = cli_progress(a.quiet);
  hem_status status = run(&a, &catalog, &map, &err);
  int code = status ? cli_fail(&err) : EXIT_DONE;
  hem__chart_clear(&map);
  hem__catalog_close(catalog);
  return code;
}
