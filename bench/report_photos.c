#include "bench/report_parts.h"

static void put_caption(hem__html *page, const hem__sheet_photo *photo) {
  hem__html_put(page, "<figcaption>");
  hem__html_text(page, photo->caption);
  hem__html_put(page, "</figcaption></figure>");
}

static void put_sheet(hem__html *page, const hem__sheet *sheet) {
  size_t right = 0;
  for (size_t i = 0; i < sheet->hit_count; i++) right += sheet->hits[i].right;
  hem__html_put(page, "<article class=\"card\"><header><h3>");
  hem__html_text(page, sheet->title);
  hem__html_print(page, "</h3><small>%zu of %zu right</small></header>\n<div class=\"sheet\">", right,
                  sheet->hit_count);
  hem__html_put(page, "<div class=\"query\"><figure class=\"photo\">");
  hem__html_thumbnail(page, sheet->query.image, HEM__QUERY_SIDE);
  put_caption(page, &sheet->query);
  if (sheet->has_wanted) {
    hem__html_put(page, "\n<figure class=\"photo wanted\">");
    hem__html_thumbnail(page, sheet->wanted.image, HEM__QUERY_SIDE);
    hem__html_put(page, "<small>wanted:</small>");
    put_caption(page, &sheet->wanted);
  }
  hem__html_put(page, "</div>");
  hem__html_put(page, "\n<ol class=\"hits\">\n");
  for (size_t i = 0; i < sheet->hit_count; i++) {
    const hem__sheet_photo *hit = &sheet->hits[i];
    hem__html_print(page, "<li><figure class=\"photo %s\">", hit->right ? "right" : "wrong");
    hem__html_thumbnail(page, hit->image, HEM__HIT_SIDE);
    hem__html_print(page, "<span class=\"mark\" role=\"img\" aria-label=\"%s\">%s</span>",
                    hit->right ? "right" : "wrong", hit->right ? "✓" : "✕");
    put_caption(page, hit);
    hem__html_put(page, "</li>\n");
  }
  hem__html_put(page, "</ol></div></article>\n");
}

void hem__report_photos(hem__html *page, const hem__report *report) {
  hem__html_put(
      page,
      "<section>\n<h2>Photos</h2>\n<p>On the left the query, on the right the shop photos nearest to it, "
      "nearest first. A solid green frame and ✓ mark a right photo, a dashed red frame and ✕ a wrong one.</p>\n");
  if (report->sheets_about) {
    hem__html_put(page, "<p>");
    hem__html_text(page, report->sheets_about);
    hem__html_put(page, "</p>\n");
  }
  for (size_t i = 0; i < report->sheet_count; i++) put_sheet(page, &report->sheets[i]);
  hem__html_put(page, "</section>\n");
}
