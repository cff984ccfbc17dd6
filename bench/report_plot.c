#include <stdlib.h>
#include <string.h>

#include "bench/report_parts.h"

/* Without gnuplot the page still stands: the tables hold every number. Takes `svg`, which is NULL where `status` says
 * that it was not drawn, and `why`. */
static void put_figure(hem__html *page, hem_status status, char *svg, const hem_error *why, const char *title,
                       const char *about) {
  if (status == HEM_ENOMEM) {
    page->status = hem__fail(page->err, status, "%s", why->message);
    return;
  }
  hem__html_print(page, "<figure class=\"card plot\"><figcaption><h3>%s</h3>", title);
  if (svg) {
    /* An image and not a part of the page: names inside cannot meet the page's, and no browser runs it. */
    hem__html_print(page, "%s</figcaption><div class=\"wide\"><img src=\"data:image/svg+xml;base64,", about);
    hem__html_base64(page, svg, strlen(svg));
    hem__html_print(page, "\" alt=\"%s: a plot of the numbers in the tables below\"/></div></figure>\n", title);
  } else {
    hem__html_put(page, "The plot is left out: ");
    hem__html_text(page, why->message);
    hem__html_put(page, "</figcaption></figure>\n");
  }
  free(svg);
}

void hem__report_plot(hem__html *page, const hem__plot *plot, const char *title, const char *about) {
  char *svg = NULL;
  hem_error why = {0};
  if (page->status) return;
  hem_status status = hem__plot_draw(plot, &svg, &why);
  put_figure(page, status, svg, &why, title, about);
}

void hem__report_curves(hem__html *page, const hem__curves *curves, const char *title, const char *about) {
  char *svg = NULL;
  hem_error why = {0};
  if (page->status) return;
  hem_status status = hem__curves_draw(curves, &svg, &why);
  put_figure(page, status, svg, &why, title, about);
}
