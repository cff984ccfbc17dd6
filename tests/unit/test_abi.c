/* What programs were compiled with: sizes, places and numbers of the public header, as they were when the soname was
 * fixed. Where a number here is wrong, the header broke its own rules, or a struct grew where it may:
 *  - an options struct may become larger: add its new fields below, and its new size. None may lie where the struct of
 *    before had padding, which that program never set;
 *  - in a struct that the library fills, new fields take the place of reserved words;
 *  - anything else wants another HEM_VERSION_MAJOR. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "test.h"

typedef struct place {
  const char *of, *field;
  size_t at, size, is_at, is_size;
} place;

#define SIZE(type, bytes) \
  { #type, "", 0, bytes, 0, sizeof(type) }
#define PLACE(type, field, at, bytes) \
  { #type, #field, at, bytes, offsetof(type, field), sizeof(((type *)0)->field) }

/* Of machines with 64-bit pointers. */
static const place places[] = {
    SIZE(hem_error, 516),
    PLACE(hem_error, code, 0, 4),
    PLACE(hem_error, message, 4, 512),
    SIZE(hem_progress, 16),
    PLACE(hem_progress, report, 0, 8),
    PLACE(hem_progress, context, 8, 8),
    SIZE(hem_ingest_options, 136),
    PLACE(hem_ingest_options, size, 0, 8),
    PLACE(hem_ingest_options, catalog, 8, 8),
    PLACE(hem_ingest_options, idx, 16, 8),
    PLACE(hem_ingest_options, manifest, 24, 8),
    PLACE(hem_ingest_options, features, 32, 8),
    PLACE(hem_ingest_options, feature_count, 40, 8),
    PLACE(hem_ingest_options, threads, 48, 8),
    PLACE(hem_ingest_options, segment_rows, 56, 8),
    PLACE(hem_ingest_options, progress, 64, 16),
    PLACE(hem_ingest_options, folder, 80, 8),
    PLACE(hem_ingest_options, deepfashion, 88, 8),
    PLACE(hem_ingest_options, vectors, 96, 8),
    PLACE(hem_ingest_options, space_name, 104, 8),
    PLACE(hem_ingest_options, domain, 112, 8),
    PLACE(hem_ingest_options, split, 120, 8),
    PLACE(hem_ingest_options, whole_photos, 128, 1),
    SIZE(hem_ingest_result, 64),
    PLACE(hem_ingest_result, added, 0, 8),
    PLACE(hem_ingest_result, skipped, 8, 8),
    PLACE(hem_ingest_result, rejected, 16, 8),
    PLACE(hem_ingest_result, rows, 24, 8),
    PLACE(hem_ingest_result, replaced, 32, 8),
    PLACE(hem_ingest_result, reserved, 40, 24),
    SIZE(hem_delete_options, 64),
    PLACE(hem_delete_options, size, 0, 8),
    PLACE(hem_delete_options, catalog, 8, 8),
    PLACE(hem_delete_options, items, 16, 8),
    PLACE(hem_delete_options, item_count, 24, 8),
    PLACE(hem_delete_options, paths, 32, 8),
    PLACE(hem_delete_options, path_count, 40, 8),
    PLACE(hem_delete_options, progress, 48, 16),
    SIZE(hem_delete_result, 48),
    PLACE(hem_delete_result, deleted, 0, 8),
    PLACE(hem_delete_result, missing, 8, 8),
    PLACE(hem_delete_result, rows, 16, 8),
    PLACE(hem_delete_result, reserved, 24, 24),
    SIZE(hem_epoch, 40),
    PLACE(hem_epoch, seed, 0, 8),
    PLACE(hem_epoch, epoch, 8, 8),
    PLACE(hem_epoch, loss, 16, 8),
    PLACE(hem_epoch, accuracy, 24, 8),
    PLACE(hem_epoch, seconds, 32, 8),
    SIZE(hem_train_options, 232),
    PLACE(hem_train_options, size, 0, 8),
    PLACE(hem_train_options, catalog, 8, 8),
    PLACE(hem_train_options, metric, 16, 8),
    PLACE(hem_train_options, space, 24, 8),
    PLACE(hem_train_options, form, 32, 8),
    PLACE(hem_train_options, hidden, 40, 8),
    PLACE(hem_train_options, tower, 48, 8),
    PLACE(hem_train_options, raw, 56, 1),
    PLACE(hem_train_options, free_sign, 57, 1),
    PLACE(hem_train_options, random_start, 58, 1),
    PLACE(hem_train_options, loss, 64, 8),
    PLACE(hem_train_options, negatives, 72, 8),
    PLACE(hem_train_options, optimiser, 80, 8),
    PLACE(hem_train_options, epochs, 88, 8),
    PLACE(hem_train_options, batch, 96, 8),
    PLACE(hem_train_options, patience, 104, 8),
    PLACE(hem_train_options, negatives_each, 112, 8),
    PLACE(hem_train_options, learning_rate, 120, 8),
    PLACE(hem_train_options, weight_decay, 128, 8),
    PLACE(hem_train_options, dropout, 136, 8),
    PLACE(hem_train_options, seeds, 144, 8),
    PLACE(hem_train_options, seed, 152, 8),
    PLACE(hem_train_options, folds, 160, 8),
    PLACE(hem_train_options, fold, 168, 8),
    PLACE(hem_train_options, no_tower, 176, 1),
    PLACE(hem_train_options, false_accept, 184, 8),
    PLACE(hem_train_options, threads, 192, 8),
    PLACE(hem_train_options, checkpoint, 200, 8),
    PLACE(hem_train_options, progress, 208, 16),
    PLACE(hem_train_options, on_epoch, 224, 8),
    SIZE(hem_train_result, 128),
    PLACE(hem_train_result, better, 0, 1),
    PLACE(hem_train_result, train_items, 8, 8),
    PLACE(hem_train_result, train_pairs, 16, 8),
    PLACE(hem_train_result, validation_queries, 24, 8),
    PLACE(hem_train_result, validation_gallery, 32, 8),
    PLACE(hem_train_result, accuracy, 40, 8),
    PLACE(hem_train_result, l2, 48, 8),
    PLACE(hem_train_result, l1, 56, 8),
    PLACE(hem_train_result, cosine, 64, 8),
    PLACE(hem_train_result, gain, 72, 8),
    PLACE(hem_train_result, gain_low, 80, 8),
    PLACE(hem_train_result, gain_high, 88, 8),
    PLACE(hem_train_result, reserved, 96, 32),
    SIZE(hem_index_options, 160),
    PLACE(hem_index_options, size, 0, 8),
    PLACE(hem_index_options, catalog, 8, 8),
    PLACE(hem_index_options, store, 16, 8),
    PLACE(hem_index_options, space, 24, 8),
    PLACE(hem_index_options, kind, 32, 8),
    PLACE(hem_index_options, distance, 40, 4),
    PLACE(hem_index_options, ef_search, 44, 4),
    PLACE(hem_index_options, ef_construction, 48, 4),
    PLACE(hem_index_options, links, 52, 4),
    PLACE(hem_index_options, nlist, 56, 4),
    PLACE(hem_index_options, nprobe, 60, 4),
    PLACE(hem_index_options, refine, 64, 4),
    PLACE(hem_index_options, threads, 72, 8),
    PLACE(hem_index_options, keep, 80, 4),
    PLACE(hem_index_options, progress, 88, 16),
    PLACE(hem_index_options, metric, 104, 8),
    PLACE(hem_index_options, force, 112, 1),
    PLACE(hem_index_options, rerank, 116, 4),
    PLACE(hem_index_options, precision, 120, 8),
    PLACE(hem_index_options, axes, 128, 4),
    PLACE(hem_index_options, target_recall, 136, 8),
    PLACE(hem_index_options, max_latency_us, 144, 4),
    PLACE(hem_index_options, max_memory, 152, 8),
    SIZE(hem_engine_options, 24),
    PLACE(hem_engine_options, size, 0, 8),
    PLACE(hem_engine_options, categories, 8, 8),
    PLACE(hem_engine_options, category_count, 16, 8),
    SIZE(hem_certificate, 40),
    PLACE(hem_certificate, overlap, 0, 8),
    PLACE(hem_certificate, low, 8, 8),
    PLACE(hem_certificate, high, 16, 8),
    PLACE(hem_certificate, queries, 24, 8),
    PLACE(hem_certificate, k, 32, 4),
    SIZE(hem_engine_info, 216),
    PLACE(hem_engine_info, generation, 0, 8),
    PLACE(hem_engine_info, space, 8, 8),
    PLACE(hem_engine_info, space_hash, 16, 8),
    PLACE(hem_engine_info, features, 24, 8),
    PLACE(hem_engine_info, catalog, 32, 8),
    PLACE(hem_engine_info, dim, 40, 8),
    PLACE(hem_engine_info, distance, 48, 4),
    PLACE(hem_engine_info, photos, 56, 8),
    PLACE(hem_engine_info, items, 64, 8),
    PLACE(hem_engine_info, category_count, 72, 8),
    PLACE(hem_engine_info, metric, 80, 1),
    PLACE(hem_engine_info, metric_about, 88, 8),
    PLACE(hem_engine_info, kernel, 96, 8),
    PLACE(hem_engine_info, false_accept, 104, 8),
    PLACE(hem_engine_info, certificate, 112, 40),
    PLACE(hem_engine_info, reserved, 152, 64),
    SIZE(hem_item, 48),
    PLACE(hem_item, item_id, 0, 8),
    PLACE(hem_item, number, 8, 8),
    PLACE(hem_item, photo_count, 16, 8),
    PLACE(hem_item, reserved, 24, 24),
    SIZE(hem_photo, 64),
    PLACE(hem_photo, category, 0, 8),
    PLACE(hem_photo, path, 8, 8),
    PLACE(hem_photo, label, 16, 8),
    PLACE(hem_photo, row, 24, 8),
    PLACE(hem_photo, loaded, 32, 1),
    PLACE(hem_photo, reserved, 40, 24),
    SIZE(hem_search_options, 80),
    PLACE(hem_search_options, size, 0, 8),
    PLACE(hem_search_options, k, 8, 8),
    PLACE(hem_search_options, categories, 16, 8),
    PLACE(hem_search_options, category_count, 24, 8),
    PLACE(hem_search_options, exact, 32, 1),
    PLACE(hem_search_options, photos, 33, 1),
    PLACE(hem_search_options, leave_out, 34, 1),
    PLACE(hem_search_options, leave_out_row, 40, 8),
    PLACE(hem_search_options, plain, 48, 1),
    PLACE(hem_search_options, rerank, 52, 4),
    PLACE(hem_search_options, min_probability, 56, 8),
    PLACE(hem_search_options, labels, 64, 8),
    PLACE(hem_search_options, label_count, 72, 8),
    SIZE(hem_hit, 64),
    PLACE(hem_hit, item_id, 0, 8),
    PLACE(hem_hit, category, 8, 8),
    PLACE(hem_hit, path, 16, 8),
    PLACE(hem_hit, label, 24, 8),
    PLACE(hem_hit, row, 32, 8),
    PLACE(hem_hit, distance, 40, 4),
    PLACE(hem_hit, score, 44, 4),
    PLACE(hem_hit, probability, 48, 4),
    PLACE(hem_hit, place, 52, 4),
    PLACE(hem_hit, reserved, 56, 8),
    SIZE(hem_answer, 128),
    PLACE(hem_answer, hits, 0, 8),
    PLACE(hem_answer, found, 8, 8),
    PLACE(hem_answer, wanted, 16, 8),
    PLACE(hem_answer, shortfall, 24, 4),
    PLACE(hem_answer, categories, 32, 8),
    PLACE(hem_answer, fallbacks, 40, 8),
    PLACE(hem_answer, gallery, 48, 8),
    PLACE(hem_answer, scored, 56, 8),
    PLACE(hem_answer, no_match, 64, 1),
    PLACE(hem_answer, threshold, 72, 8),
    PLACE(hem_answer, candidates_ns, 80, 8),
    PLACE(hem_answer, rerank_ns, 88, 8),
    PLACE(hem_answer, reserved, 96, 32),
    SIZE(hem_box, 40),
    PLACE(hem_box, x, 0, 8),
    PLACE(hem_box, y, 8, 8),
    PLACE(hem_box, width, 16, 8),
    PLACE(hem_box, height, 24, 8),
    PLACE(hem_box, parts, 32, 1),
    SIZE(hem_client_options, 40),
    PLACE(hem_client_options, size, 0, 8),
    PLACE(hem_client_options, timeout_ms, 8, 4),
    PLACE(hem_client_options, reconnect_ms, 12, 4),
    PLACE(hem_client_options, no_reconnect, 16, 1),
    PLACE(hem_client_options, answer_bytes_max, 24, 8),
    PLACE(hem_client_options, spin_us, 32, 4),
    SIZE(hem_client_about, 112),
    PLACE(hem_client_about, generation, 0, 8),
    PLACE(hem_client_about, certificate, 8, 40),
    PLACE(hem_client_about, wait_ns, 48, 8),
    PLACE(hem_client_about, decode_ns, 56, 8),
    PLACE(hem_client_about, embed_ns, 64, 8),
    PLACE(hem_client_about, search_ns, 72, 8),
    PLACE(hem_client_about, reserved, 80, 32),
    SIZE(hem_client_question, 72),
    PLACE(hem_client_question, size, 0, 8),
    PLACE(hem_client_question, vectors, 8, 8),
    PLACE(hem_client_question, count, 16, 8),
    PLACE(hem_client_question, dim, 24, 8),
    PLACE(hem_client_question, photo, 32, 8),
    PLACE(hem_client_question, photo_size, 40, 8),
    PLACE(hem_client_question, box, 48, 8),
    PLACE(hem_client_question, item_id, 56, 8),
    PLACE(hem_client_question, options, 64, 8),
};

START_TEST(structs_are_as_programs_know_them) {
  if (sizeof(void *) != 8) return;
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    const place *p = &places[i];
    ck_assert_msg(p->at == p->is_at && p->size == p->is_size, "%s.%s: %zu bytes at %zu, but %zu at %zu are promised",
                  p->of, p->field, p->is_size, p->is_at, p->size, p->at);
  }
}
END_TEST

/* Nothing lies between the fields that are listed: one that is missing here would be found by nobody. */
START_TEST(all_fields_are_listed) {
  size_t end = 0;
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    const place *p = &places[i];
    if (*p->field) {
      ck_assert_msg(p->is_at >= end && p->is_at - end < 8, "%s.%s: what lies between %zu and %zu?", p->of, p->field,
                    end, p->is_at);
      end = p->is_at + p->is_size;
    } else {
      end = 0;
    }
    bool last = i + 1 == sizeof places / sizeof *places || !*places[i + 1].field;
    size_t whole = i;
    while (*places[whole].field) whole--;
    if (last) ck_assert_msg(places[whole].is_size - end < 8, "%s: what lies behind %s?", p->of, p->field);
  }
}
END_TEST

START_TEST(enums_keep_their_numbers) {
  static const char *const statuses[] = {"HEM_OK",        "HEM_EINVAL",    "HEM_ENOMEM",   "HEM_EIO",
                                         "HEM_ENOTFOUND", "HEM_ECORRUPT",  "HEM_EVERSION", "HEM_EUNSUPPORTED",
                                         "HEM_EBUSY",     "HEM_EMISMATCH", "HEM_ECANCELED"};
  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
    ck_assert_str_eq(hem_status_name((hem_status)i), statuses[i]);
  ck_assert(HEM_EINVAL == 1 && HEM_ENOMEM == 2 && HEM_EIO == 3 && HEM_ENOTFOUND == 4 && HEM_ECORRUPT == 5);
  ck_assert(HEM_EVERSION == 6 && HEM_EUNSUPPORTED == 7 && HEM_EBUSY == 8 && HEM_EMISMATCH == 9 && HEM_ECANCELED == 10);
  ck_assert(HEM_L2 == 0 && HEM_L1 == 1 && HEM_COSINE == 2 && HEM_IP == 3);
  ck_assert(HEM_COMPLETE == 0 && HEM_SMALL_GALLERY == 1 && HEM_IMPROBABLE == 2);
}
END_TEST

HEM_TESTS("abi", structs_are_as_programs_know_them, all_fields_are_listed, enums_keep_their_numbers)
