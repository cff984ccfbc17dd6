/* An answer as JSON: the same words in REST, in /score and in `hemline query --json`. */
#ifndef HEM_SERVE_ANSWER_TEXT_H
#define HEM_SERVE_ANSWER_TEXT_H

#include "serve/service.h"
#include "serve/text.h"

/* One object. `name`: of the question; NULL: none is said. */
void hem__answer_text(hem__text *text, const char *name, const hem__question *question, const hem__reply *reply);

/* Why fewer were found than wanted; NULL: they were not. Static storage. */
const char *hem__shortfall_text(hem_shortfall shortfall);
/* An object, or null where nothing was measured. */
void hem__certificate_text(hem__text *text, const char *key, const hem_certificate *certificate);

#endif
