/* An answer as JSON: the same words in REST, in /score and in `hemline query --json`. */
#ifndef HEM_SERVE_ANSWER_TEXT_H
#define HEM_SERVE_ANSWER_TEXT_H

#include "serve/service.h"
#include "serve/text.h"

/* One object. `name`: of the question; NULL: none is said. */
void hem__answer_text(hem__text *text, const char *name, const hem__question *question, const hem__reply *reply);

#endif
