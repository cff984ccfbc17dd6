#include "bench/html.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT 0xFFFD
#define PICTURE_MAX 256 /* pixels a side: twice what is shown, for fine screens */
#define TINY 64         /* smaller photos are enlarged with hard edges */

/* ---- writing ---- */

static void put(hem__html *page, const void *bytes, size_t size) {
  if (!page->status) page->status = hem__aside_write(page->to, bytes, size, page->err);
}

void hem__html_put(hem__html *page, const char *markup) { put(page, markup, strlen(markup)); }

void hem__html_print(hem__html *page, const char *format, ...) {
  char *text = NULL;
  va_list args;
  va_start(args, format);
  int length = vasprintf(&text, format, args);
  va_end(args);
  if (length >= 0) {
    put(page, text, (size_t)length);
    free(text);
  } else if (!page->status) {
    page->status = hem__fail(page->err, HEM_ENOMEM, "no memory for a line of the report");
  }
}

static bool is_forbidden(uint32_t c) {
  if (c < 0x20) return c != '\t' && c != '\n' && c != '\r';
  return (c >= 0x7F && c < 0xA0) || (c >= 0xD800 && c < 0xE000) || c == 0xFFFE || c == 0xFFFF || c > 0x10FFFF;
}

size_t hem__utf8_next(const char *text, uint32_t *character) {
  static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
  const uint8_t *at = (const uint8_t *)text;
  uint32_t c = at[0];
  size_t more = c < 0x80 ? 0 : c >> 5 == 6 ? 1 : c >> 4 == 14 ? 2 : c >> 3 == 30 ? 3 : SIZE_MAX;
  *character = REPLACEMENT;
  if (more == SIZE_MAX) return 1;
  if (more) c &= 0x3FU >> more;
  for (size_t i = 1; i <= more; i++) {
    if (at[i] >> 6 != 2) return i; /* stops at the terminating zero too */
    c = c << 6 | (at[i] & 0x3FU);
  }
  if (c >= least[more] && !is_forbidden(c)) *character = c;
  return more + 1;
}

void hem__html_text(hem__html *page, const char *text) {
  while (*text) {
    uint32_t c;
    size_t size = hem__utf8_next(text, &c);
    const char *entity = c == '&'           ? "&amp;"
                         : c == '<'         ? "&lt;"
                         : c == '>'         ? "&gt;"
                         : c == '"'         ? "&quot;"
                         : c == '\''        ? "&#39;"
                         : c == REPLACEMENT ? "\xEF\xBF\xBD"
                                            : NULL;
    if (entity)
      hem__html_put(page, entity);
    else
      put(page, text, size);
    text += size;
  }
}

void hem__html_count(hem__html *page, size_t count) {
  char digits[24];
  int length = snprintf(digits, sizeof digits, "%zu", count);
  for (int i = 0; i < length; i++) {
    if (i && (length - i) % 3 == 0) hem__html_put(page, ",");
    put(page, digits + i, 1);
  }
}

void hem__html_base64(hem__html *page, const void *bytes, size_t size) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const uint8_t *at = bytes;
  for (size_t i = 0; i < size; i += 3) {
    uint32_t group = (uint32_t)at[i] << 16;
    if (i + 1 < size) group |= (uint32_t)at[i + 1] << 8;
    if (i + 2 < size) group |= at[i + 2];
    char four[4] = {digits[group >> 18], digits[group >> 12 & 63], digits[group >> 6 & 63], digits[group & 63]};
    if (i + 1 >= size) four[2] = '=';
    if (i + 2 >= size) four[3] = '=';
    put(page, four, sizeof four);
  }
}

/* ---- pictures ---- */

static void drop_low_bits(hem__image *image) {
  for (size_t i = 0; i < image->width * image->height * 3; i++)
    image->at[i] = (uint8_t)((image->at[i] & 0xFC) | image->at[i] >> 6); /* white stays white */
}

/* No larger than the page shows it: whole photos would make a page of many megabytes. */
static hem_status encode(const hem__image *image, size_t most, bool coarse, uint8_t **png, size_t *size,
                         hem_error *err) {
  size_t side = hem__max(image->width, image->height);
  if (side <= most && (!coarse || side < TINY)) return hem__image_png(image, png, size, err);
  most = hem__min(most, side);
  hem__image small = {0};
  hem_status status = hem__image_resize(image, hem__max(1, image->width * most / side),
                                        hem__max(1, image->height * most / side), &small, err);
  if (!status && coarse) drop_low_bits(&small);
  if (!status) status = hem__image_png(&small, png, size, err);
  hem__image_clear(&small);
  return status;
}

static void put_picture(hem__html *page, const hem__image *image, size_t most, bool coarse) {
  uint8_t *png = NULL;
  size_t size = 0;
  hem_error why = {0};
  if (page->status) return;
  hem_status status = encode(image, most, coarse, &png, &size, &why);
  if (status == HEM_EUNSUPPORTED) {
    hem__html_put(page, "<div class=\"none\">no picture: built without libvips</div>");
  } else if (status) {
    page->status = hem__fail(page->err, status, "%s", why.message);
  } else {
    bool tiny = hem__max(image->width, image->height) < TINY;
    hem__html_print(page, "<img%s alt=\"\" src=\"data:image/png;base64,", tiny ? " class=\"tiny\"" : "");
    hem__html_base64(page, png, size);
    hem__html_put(page, "\"/>");
  }
  free(png);
}

void hem__html_picture(hem__html *page, const hem__image *image) { put_picture(page, image, PICTURE_MAX, false); }

void hem__html_thumbnail(hem__html *page, const hem__image *image, size_t side) {
  if (image)
    put_picture(page, image, side, true);
  else
    hem__html_put(page, "<div class=\"none\">no picture</div>");
}

/* ---- the page around the content ---- */

/* One string a subject: the C standard promises no more than 4,095 characters in one. */
static const char *const style[] = {
    /* colours */
    ":root{color-scheme:light dark;--paper:#f7f6f3;--card:#fff;--ink:#1d1c1a;--muted:#68645d;--line:#e5e2dc;"
    "--accent:#2f5aa8;--tint:#e8eefa;--good:#177245;--bad:#b8372a;--mark:#fff}\n"
    "@media (prefers-color-scheme:dark){:root{--paper:#131315;--card:#1c1c1f;--ink:#edece9;--muted:#a5a29b;"
    "--line:#333338;--accent:#9dbcff;--tint:#25304a;--good:#55c48c;--bad:#ff8475;--mark:#131315}\n"
    /* the hues stay, black and white change places */
    ".plot img{filter:invert(.93) hue-rotate(180deg)}}\n",
    /* text */
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.55 system-ui,-apple-system,'Segoe UI',Roboto,"
    "'Helvetica Neue',Arial,sans-serif;-webkit-text-size-adjust:100%;overflow-wrap:anywhere}\n"
    "main{max-width:74rem;margin:0 auto;padding:clamp(1.5rem,5vw,4rem) clamp(1rem,4vw,2.5rem)}\n"
    "h1{font-size:clamp(1.8rem,4.5vw,2.9rem);line-height:1.1;letter-spacing:-.025em;margin:0 0 .75rem;"
    "text-wrap:balance}\n"
    "h2{font-size:1.5rem;line-height:1.2;letter-spacing:-.015em;margin:0 0 .5rem}\n"
    "h3{font-size:1rem;margin:0;color:var(--ink)}\n"
    "p{margin:0 0 1rem;max-width:68ch;text-wrap:pretty}\n"
    ".lead{font-size:1.125rem;color:var(--muted);white-space:pre-line}\n"
    ".muted,small,figcaption{color:var(--muted)}\n"
    "small,figcaption{font-size:.8125rem}\n"
    "section{margin-top:clamp(2.5rem,6vw,4.5rem)}\n"
    ".note{border-left:3px solid var(--accent);background:var(--tint);padding:.75rem 1rem;border-radius:0 .5rem .5rem "
    "0}\n"
    "footer{margin-top:4rem;padding-top:1rem;border-top:1px solid var(--line)}\n",
    /* headline numbers, cards, plots */
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:1rem;margin:2rem 0 0}\n"
    ".tile,.card{background:var(--card);border:1px solid var(--line);border-radius:.875rem}\n"
    ".tile{display:flex;flex-direction:column;padding:1.125rem 1.25rem}\n"
    ".tile dt{font-weight:600;order:2}\n"
    ".tile dd{margin:0}\n"
    ".tile .figure{font-size:2.5rem;font-weight:650;line-height:1.15;letter-spacing:-.03em;order:1;"
    "font-variant-numeric:tabular-nums}\n"
    ".tile .detail{font-size:.8125rem;color:var(--muted);order:3}\n"
    ".unit{font-size:.55em;font-weight:500;letter-spacing:0;margin-left:.12em;color:var(--muted)}\n"
    ".card{margin:1.25rem 0;overflow:hidden}\n"
    ".card>figcaption,.card>summary,.card>header{padding:.875rem 1.25rem}\n"
    ".plot .wide{padding:0 .5rem .5rem}\n"
    ".plot img{display:block;width:100%;min-width:44rem;height:auto}\n"
    ".wide{overflow-x:auto}\n",
    /* tables */
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;overflow-wrap:normal}\n"
    "th,td{padding:.4rem .75rem;text-align:right;white-space:nowrap}\n"
    "th{font-weight:600}\n"
    "thead th,.distance{font-size:.8125rem;font-weight:500;color:var(--muted)}\n"
    "th:first-child,.word{text-align:left}\n"
    "th:first-child,th[rowspan]{padding-left:1.25rem}\n"
    "th[rowspan]{vertical-align:top;white-space:normal;min-width:6rem;max-width:14rem;overflow-wrap:anywhere}\n"
    "@media (max-width:36rem){th[rowspan]{max-width:7rem}.wide th:first-child{position:sticky;left:0;"
    "background:var(--card)}}\n"
    "tbody,tfoot{border-top:1px solid var(--line)}\n"
    "tfoot{color:var(--muted);font-style:italic}\n"
    "td small{display:inline-block;min-width:5.6em;margin-left:.5em}\n"
    ".best{background:var(--tint);font-weight:700;color:var(--accent)}\n"
    ".best small,th small{font-weight:400}\n"
    "th:last-child,td:last-child{padding-right:1.25rem}\n"
    "details.card{margin:.75rem 0}\n"
    "summary{cursor:pointer}\n"
    "summary:hover{background:var(--tint)}\n"
    "summary h3{display:inline}\n"
    "summary small{display:block;padding-left:1.1rem}\n",
    /* photos */
    ".sheet{display:grid;grid-template-columns:auto 1fr;gap:1rem 1.5rem;padding:.25rem 1.25rem 1.25rem}\n"
    ".card>header{display:flex;flex-wrap:wrap;justify-content:space-between;gap:.25rem 1rem;align-items:baseline}\n"
    ".hits{display:grid;grid-template-columns:repeat(auto-fill,minmax(4.9rem,1fr));gap:.75rem;margin:0;padding:0;list-"
    "style:none}\n"
    ".photo{position:relative;margin:0}\n"
    ".query{width:8rem}\n"
    ".photo img,.photo .none{display:block;width:100%;aspect-ratio:1;object-fit:contain;background:#fff padding-box;"
    "border:3px solid var(--line);border-radius:.5rem}\n"
    ".wanted{margin-top:1rem}\n"
    ".photo .tiny{image-rendering:pixelated}\n"
    ".photo figcaption{margin-top:.3rem;line-height:1.3}\n"
    ".photo .none{background:none;font-size:.75rem;padding:.5rem;color:var(--muted)}\n"
    ".right img{border-color:var(--good)}\n"
    ".wrong img{border-color:var(--bad);border-style:dashed}\n"
    ".mark{position:absolute;top:-.4rem;right:-.4rem;width:1.4rem;height:1.4rem;border-radius:50%;color:var(--mark);"
    "font-size:.875rem;font-weight:700;line-height:1.4rem;text-align:center}\n"
    ".right .mark{background:var(--good)}\n"
    ".wrong .mark{background:var(--bad)}\n"
    ".alike{display:grid;grid-template-columns:repeat(auto-fill,minmax(8.5rem,1fr));gap:1rem;padding:.25rem 1.25rem "
    "1.25rem}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr));gap:1rem}\n"
    ".cards .card{margin:0}\n"
    ".many{grid-column:1/-1}\n"
    ".alike figcaption b{color:var(--ink)}\n"
    ".alike .path{display:block;font-size:.6875rem;opacity:.85}\n"
    ".reasons{margin:.5rem 1.25rem 1.25rem;padding-left:1.1rem;font-size:.8125rem}\n"
    "nav ul{display:flex;flex-wrap:wrap;gap:.4rem .6rem;padding:0;list-style:none}\n"
    "nav li{background:var(--card);border:1px solid var(--line);border-radius:2rem;padding:.2rem .8rem}\n"
    "nav b{font-variant-numeric:tabular-nums}\n"
    "@media (max-width:36rem){.sheet{gap:.75rem;padding-inline:.875rem}.query{width:5.5rem}"
    ".hits{grid-template-columns:repeat(auto-fill,minmax(4.2rem,1fr))}}\n"
    "@media print{body{background:none}.card,.tile{break-inside:avoid}}\n"};

/* The policy lets nothing run and nothing be fetched, whatever the page holds. */
void hem__html_open(hem__html *page, const char *title) {
  hem__html_put(page,
                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                "<meta http-equiv=\"Content-Security-Policy\" "
                "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\"/>\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>");
  hem__html_text(page, title);
  hem__html_put(page, "</title>\n<style>\n");
  for (size_t i = 0; i < sizeof style / sizeof *style; i++) hem__html_put(page, style[i]);
  hem__html_put(page, "</style>\n</head>\n<body>\n<main>\n");
}

void hem__html_close(hem__html *page) {
  hem__html_print(page, "<footer><small>Hemline %s</small></footer>\n</main>\n</body>\n</html>\n", hem_version());
}
