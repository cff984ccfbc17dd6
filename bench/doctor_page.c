/* A section for each kind of finding: copies side by side in a card each, single photos in a grid, refused files as a
 * list. Names come from outside: all of them go through hem__html_text. */
#include "bench/doctor_page.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/html.h"

enum { FINDINGS = 24, MEMBERS = 8, REFUSED = 20, PICTURES = 400, SIDE = 144 };

typedef struct doctor_page {
  hem__html html;
  const hem__photos *photos;
  const hem__diagnosis *diagnosis;
  hem__pictures *pictures;
  size_t left; /* pictures that may still be put in */
} doctor_page;

/* A photo that has gone or changed since is a box without a picture. */
static void put_picture(doctor_page *p, size_t row) {
  hem__image image = {0};
  hem_error why;
  bool shown = p->left && hem__pictures_has(p->pictures, row) && !hem__pictures_read(p->pictures, row, &image, &why);
  hem__html_thumbnail(&p->html, shown ? &image : NULL, SIDE);
  p->left -= shown;
  hem__image_clear(&image);
}

static void put_photo(doctor_page *p, const hem__finding *finding, const hem__member *member, bool alone) {
  hem__html *html = &p->html;
  const hem__photo *photo = &p->photos->at[member->row];
  const char *measure = hem__ailment_texts[finding->kind].measure;
  hem__html_put(html, "<figure class=\"photo\">");
  put_picture(p, member->row);
  hem__html_put(html, "<figcaption><b>");
  hem__html_text(html, photo->item_id);
  hem__html_put(html, "</b><br/>");
  hem__html_text(html, photo->category);
  if (photo->split != HEM__NO_SPLIT) hem__html_print(html, ", %s", hem__split_names[photo->split]);
  hem__html_print(html, ", %s", hem__domain_names[photo->domain]);
  if (!alone && measure) hem__html_print(html, "<br/>%s %.3f", measure, member->measure);
  if (alone && measure) hem__html_print(html, "<br/>%s %.3g", measure, finding->measure);
  if (alone && *finding->note) {
    hem__html_put(html, "<br/>");
    hem__html_text(html, finding->note);
  }
  hem__html_put(html, "<span class=\"path\">");
  hem__html_text(html, photo->path);
  hem__html_put(html, "</span></figcaption></figure>\n");
}

static void put_more(doctor_page *p, size_t more, const char *what) {
  if (!more) return;
  hem__html_put(&p->html, "<p class=\"muted\">… and ");
  hem__html_count(&p->html, more);
  hem__html_print(&p->html, " more %s</p>\n", what);
}

static void open_card(doctor_page *p, const hem__finding *finding) {
  hem__html_print(&p->html, "<article class=\"card%s\"><header><h3>", finding->count > 2 ? " many" : "");
  hem__html_count(&p->html, finding->count);
  hem__html_print(&p->html, " photo%s", finding->count == 1 ? "" : "s");
  if (*finding->note) {
    hem__html_put(&p->html, ": ");
    hem__html_text(&p->html, finding->note);
  }
  hem__html_put(&p->html, "</h3></header>\n");
}

static void put_refused(doctor_page *p, const hem__finding *finding) {
  const hem__member *members = p->diagnosis->members + finding->first;
  size_t shown = hem__min(finding->count, REFUSED);
  open_card(p, finding);
  hem__html_put(&p->html, "<ul class=\"reasons\">\n");
  for (size_t i = 0; i < shown; i++) {
    hem__html_put(&p->html, "<li>");
    hem__html_text(&p->html, p->photos->rejected[members[i].row].path);
    hem__html_put(&p->html, "</li>\n");
  }
  hem__html_put(&p->html, "</ul>\n");
  put_more(p, finding->count - shown, "photos");
  hem__html_put(&p->html, "</article>\n");
}

static void put_group(doctor_page *p, const hem__finding *finding) {
  const hem__member *members = p->diagnosis->members + finding->first;
  size_t shown = hem__min(finding->count, MEMBERS);
  open_card(p, finding);
  hem__html_put(&p->html, "<div class=\"alike\">\n");
  for (size_t i = 0; i < shown; i++) put_photo(p, finding, &members[i], false);
  hem__html_put(&p->html, "</div>\n");
  put_more(p, finding->count - shown, "photos");
  hem__html_put(&p->html, "</article>\n");
}

/* The findings of one kind, all of one photo or all of several. */
static void put_kind(doctor_page *p, const hem__finding *findings, size_t count) {
  const hem__ailment_text *text = &hem__ailment_texts[findings->kind];
  size_t shown = hem__min(count, FINDINGS);
  bool alone = findings->count == 1 && findings->kind != HEM__REJECTED;
  hem__html_print(&p->html, "<section>\n<h2>%s <small>", text->title);
  hem__html_count(&p->html, count);
  hem__html_print(&p->html, "</small></h2>\n<p>%s</p>\n", text->advice);
  hem__html_put(&p->html,
                alone ? "<article class=\"card\"><header></header><div class=\"alike\">\n" : "<div class=\"cards\">\n");
  for (size_t i = 0; i < shown; i++) {
    if (findings->kind == HEM__REJECTED)
      put_refused(p, &findings[i]);
    else if (alone)
      put_photo(p, &findings[i], &p->diagnosis->members[findings[i].first], true);
    else
      put_group(p, &findings[i]);
  }
  hem__html_put(&p->html, alone ? "</div></article>\n" : "</div>\n");
  put_more(p, count - shown, "of this kind; hemline doctor --all lists them");
  hem__html_put(&p->html, "</section>\n");
}

static void put_summary(doctor_page *p, const char *catalog) {
  const hem__diagnosis *d = p->diagnosis;
  hem__html_put(&p->html, "<header>\n<h1>Hemline doctor</h1>\n<p class=\"lead\">");
  hem__html_text(&p->html, catalog);
  hem__html_put(&p->html, ": ");
  hem__html_count(&p->html, d->photos);
  hem__html_put(&p->html, " photos, ");
  hem__html_count(&p->html, d->pictures);
  hem__html_put(&p->html, " of them looked at. Neighbours are those in the space ");
  hem__html_text(&p->html, d->space);
  hem__html_put(&p->html,
                d->finding_count ? ".</p>\n<nav><ul>\n" : ".</p>\n<p class=\"note\">Nothing was found.</p>\n");
  for (size_t k = 0; k < HEM__AILMENTS; k++) {
    if (!d->counts[k]) continue;
    hem__html_put(&p->html, "<li><b>");
    hem__html_count(&p->html, d->counts[k]);
    hem__html_print(&p->html, "</b> %s</li>\n", hem__ailment_texts[k].title);
  }
  hem__html_put(&p->html, d->finding_count ? "</ul></nav>\n</header>\n" : "</header>\n");
}

hem_status hem__doctor_page(const hem__catalog *catalog, const hem__diagnosis *diagnosis, const char *idx,
                            const char *path, hem_error *err) {
  doctor_page p = {.photos = hem__catalog_photos(catalog), .diagnosis = diagnosis, .left = PICTURES};
  hem__aside *file = NULL;
  hem_status status = hem__pictures_open(catalog, idx, &p.pictures, err);
  if (!status) status = hem__aside_new(path, &file, err);
  if (status) goto exit;
  p.html = (hem__html){.to = file, .err = err};
  hem__html_open(&p.html, "Hemline doctor");
  put_summary(&p, hem__catalog_path(catalog));
  for (size_t i = 0; i < diagnosis->finding_count; i += diagnosis->counts[diagnosis->findings[i].kind])
    put_kind(&p, &diagnosis->findings[i], diagnosis->counts[diagnosis->findings[i].kind]);
  hem__html_close(&p.html);
  status = p.html.status;
  if (!status) status = hem__aside_publish(file, NULL, NULL, err);
exit:
  hem__aside_free(file);
  hem__pictures_close(p.pictures);
  return status;
}
