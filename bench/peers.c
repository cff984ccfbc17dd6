/* Which contestants there are, and how far they are asked to go. */
#include "bench/peer.h"

#include <string.h>

const hem__peer_depth hem__ladder_graph[HEM__LADDER_GRAPH] = {{10, 0}, {14, 0},  {20, 0},  {28, 0},  {40, 0}, {56, 0},
                                                              {80, 0}, {112, 0}, {160, 0}, {224, 0}, {320, 0}};
const hem__peer_depth hem__ladder_lists[HEM__LADDER_LISTS] = {{1, 0},  {2, 0},  {4, 0},  {6, 0},  {8, 0}, {12, 0},
                                                              {16, 0}, {24, 0}, {32, 0}, {48, 0}, {96, 0}};
const hem__peer_depth hem__ladder_refined[HEM__LADDER_REFINED] = {
    {2, 4},  {4, 4},   {8, 4},   {16, 4},  {32, 4},  {4, 8},   {8, 8},   {16, 8},  {32, 8},  {64, 8},
    {8, 16}, {16, 16}, {32, 16}, {64, 16}, {16, 32}, {32, 32}, {64, 32}, {96, 32}, {128, 64}};
const size_t hem__peer_list_count = 2
#ifdef HEM_HAVE_HNSWLIB
                                    + 1
#endif
#ifdef HEM_HAVE_USEARCH
                                    + 1
#endif
    ;

hem__peer_list hem__peers(size_t number) {
  const hem__peer_list all[] = {
      {hem__peers_hemline, hem__peers_hemline_count},
      {hem__peers_faiss, hem__peers_faiss_count},
#ifdef HEM_HAVE_HNSWLIB
      {hem__peers_hnswlib, hem__peers_hnswlib_count},
#endif
#ifdef HEM_HAVE_USEARCH
      {hem__peers_usearch, hem__peers_usearch_count},
#endif
  };
  return all[number];
}

const hem__peer_type *hem__peer_find(const char *name) {
  for (size_t i = 0; i < hem__peer_list_count; i++) {
    hem__peer_list list = hem__peers(i);
    for (size_t j = 0; j < list.count; j++)
      if (!strcmp(list.at[j].name, name)) return &list.at[j];
  }
  return NULL;
}
