/* An answer of `hemline query`, for people. As JSON it is serve/answer_text.h's. */
#ifndef HEM_CLI_ANSWER_H
#define HEM_CLI_ANSWER_H

#include "serve/service.h"

/* `name`: of the question. */
void cli_print_answer(const char *name, const hem__question *question, const hem__reply *reply);

#endif
