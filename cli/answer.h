/* An answer of `hemline query`, for people and as JSON. */
#ifndef HEM_CLI_ANSWER_H
#define HEM_CLI_ANSWER_H

#include "cli/cli.h"
#include "query/explain.h"

/* A question and what was found. Borrowed. */
typedef struct cli_answer {
  const hem_engine_info *info;
  const hem_search_options *asked;
  const char *name; /* of the question */
  const hem_answer *answer;
  double ms;
  const hem__explanation *explanations; /* one for each hit, or NULL */
  const hem__space *space;              /* whose blocks they name */
  float nearest;                        /* with explanations: the distance of the nearest photo */
} cli_answer;

void cli_print_answer(const cli_answer *a);
/* A json_t; NULL: no memory. */
void *cli_answer_json(const cli_answer *a);

#endif
