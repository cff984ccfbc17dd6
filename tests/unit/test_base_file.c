/* Files: a reader sees the old file or the new one, never half of one; nothing that is asked to be read can hang. */
#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/make_idx.h"
#include "test.h"

static void holds(const char *path, const char *wanted) {
  size_t size;
  uint8_t *bytes = hem__test_read(path, &size);
  ck_assert_uint_eq(size, strlen(wanted));
  ck_assert_mem_eq(bytes, wanted, size);
  free(bytes);
}

/* ---- reading ---- */

START_TEST(a_mapped_file_is_its_bytes) {
  char *path = hem__test_path(hem__test_subfolder(), "file");
  hem__map map = {0};
  struct stat st;
  hem__test_write(path, "hello", 5);
  ck_ok(hem__map_open(path, &map, err));
  ck_assert_uint_eq(map.size, 5);
  ck_assert_mem_eq(map.at, "hello", 5);
  ck_assert_uint_eq((uintptr_t)map.at % 4096, 0);
  ck_assert_int_eq(stat(path, &st), 0);
  ck_assert(map.inode == st.st_ino && map.device == st.st_dev);
  ck_assert_int_eq(map.mtime_ns / 1000000000, st.st_mtim.tv_sec);
  hem__map_close(&map);
  ck_assert_ptr_null(map.at);
  hem__map_close(&map);
  free(path);
}
END_TEST

START_TEST(what_cannot_be_mapped_is_named) {
  const char *folder = hem__test_subfolder();
  char *missing = hem__test_path(folder, "missing"), *empty = hem__test_path(folder, "empty"),
       *pipe = hem__test_path(folder, "pipe"), *loop = hem__test_path(folder, "loop");
  hem__map map = {.size = 77};
  ck_fails(hem__map_open(missing, &map, err), HEM_ENOTFOUND, missing);
  ck_fails(hem__map_open(folder, &map, err), HEM_ECORRUPT, "not a regular file");
  ck_assert_int_eq(mkfifo(pipe, 0600), 0);
  alarm(10); /* an open that waits for a writer would wait for ever */
  ck_fails(hem__map_open(pipe, &map, err), HEM_ECORRUPT, "not a regular file");
  alarm(0);
  ck_assert_int_eq(symlink("loop", loop), 0);
  ck_fails(hem__map_open(loop, &map, err), HEM_EIO, loop);
  ck_assert_msg(map.size == 77, "an output was written on failure");
  hem__test_write(empty, "", 0);
  ck_ok(hem__map_open(empty, &map, err));
  ck_assert(map.size == 0 && map.at == NULL);
  hem__map_close(&map);
  free(missing);
  free(empty);
  free(pipe);
  free(loop);
}
END_TEST

START_TEST(a_dangling_link_exists) {
  const char *folder = hem__test_subfolder();
  char *link = hem__test_path(folder, "link"), *missing = hem__test_path(folder, "missing");
  ck_assert_int_eq(symlink("nowhere", link), 0);
  ck_assert(hem__path_exists(folder) && hem__path_exists(link) && !hem__path_exists(missing));
  free(link);
  free(missing);
}
END_TEST

/* ---- publishing ---- */

START_TEST(the_old_file_stays_until_the_new_one_is_whole) {
  const char *folder = hem__test_subfolder();
  char *path = hem__test_path(folder, "file"), *temporary = hem__test_path(folder, "file.tmp");
  hem__aside *aside = NULL;
  uint64_t size = 0;
  hem__digest digest, wanted = hem__sha256_of("new content", 11);
  hem__test_write(path, "old", 3);
  ck_ok(hem__aside_new(path, &aside, err));
  ck_ok(hem__aside_write(aside, "new ", 4, err));
  ck_ok(hem__aside_write(aside, "", 0, err));
  ck_ok(hem__aside_write(aside, "content", 7, err));
  holds(path, "old");
  ck_ok(hem__aside_publish(aside, &size, &digest, err));
  holds(path, "new content");
  ck_assert_uint_eq(size, 11);
  ck_assert(hem__digest_equal(&digest, &wanted));
  ck_assert(!hem__path_exists(temporary));
  hem__aside_free(aside);
  holds(path, "new content");
  free(path);
  free(temporary);
}
END_TEST

START_TEST(what_is_dropped_leaves_nothing) {
  const char *folder = hem__test_subfolder();
  char *path = hem__test_path(folder, "file"), *temporary = hem__test_path(folder, "file.tmp");
  hem__aside *aside = NULL;
  ck_ok(hem__aside_new(path, &aside, err));
  ck_ok(hem__aside_write(aside, "half", 4, err));
  ck_assert(hem__path_exists(temporary));
  hem__aside_free(aside);
  ck_assert(!hem__path_exists(temporary) && !hem__path_exists(path));
  hem__aside_free(NULL);
  /* What a killed run left over is written anew, not added to. */
  hem__test_write(temporary, "left over, and long", 19);
  ck_ok(hem__aside_new(path, &aside, err));
  ck_ok(hem__aside_write(aside, "x", 1, err));
  ck_ok(hem__aside_publish(aside, NULL, NULL, err));
  hem__aside_free(aside);
  holds(path, "x");
  free(path);
  free(temporary);
}
END_TEST

START_TEST(padding_is_zeros_and_is_hashed) {
  char *path = hem__test_path(hem__test_subfolder(), "file");
  hem__aside *aside = NULL;
  uint64_t size;
  size_t read;
  hem__digest digest;
  static const uint8_t zeros[20000];
  ck_ok(hem__aside_new(path, &aside, err));
  ck_ok(hem__aside_pad(aside, 64, err));
  ck_ok(hem__aside_write(aside, "x", 1, err));
  ck_ok(hem__aside_pad(aside, 64, err));
  ck_ok(hem__aside_write(aside, "y", 1, err));
  ck_ok(hem__aside_pad(aside, 10000, err));
  ck_ok(hem__aside_pad(aside, 10000, err));
  ck_ok(hem__aside_publish(aside, &size, &digest, err));
  hem__aside_free(aside);
  ck_assert_uint_eq(size, 10000);
  uint8_t *bytes = hem__test_read(path, &read);
  hem__digest wanted = hem__sha256_of(bytes, read);
  ck_assert_uint_eq(read, 10000);
  ck_assert(bytes[0] == 'x' && bytes[64] == 'y');
  ck_assert_mem_eq(bytes + 1, zeros, 63);
  ck_assert_mem_eq(bytes + 65, zeros, 10000 - 65);
  ck_assert(hem__digest_equal(&digest, &wanted));
  free(bytes);
  free(path);
}
END_TEST

START_TEST(large_content_keeps_its_digest) {
  char *path = hem__test_path(hem__test_subfolder(), "file");
  hem__aside *aside = NULL;
  hem__digest digest;
  size_t size = 5000001, read;
  uint8_t *bytes = malloc(size);
  for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(i * i >> 3);
  ck_ok(hem__aside_new(path, &aside, err));
  for (size_t at = 0; at < size; at += 99991) {
    size_t left = size - at;
    ck_ok(hem__aside_write(aside, bytes + at, left < 99991 ? left : 99991, err));
  }
  ck_ok(hem__aside_publish(aside, NULL, &digest, err));
  hem__aside_free(aside);
  hem__digest wanted = hem__sha256_of(bytes, size);
  ck_assert(hem__digest_equal(&digest, &wanted));
  uint8_t *found = hem__test_read(path, &read);
  ck_assert_uint_eq(read, size);
  ck_assert(memcmp(found, bytes, size) == 0);
  free(found);
  free(bytes);
  free(path);
}
END_TEST

START_TEST(a_missing_folder_is_named) {
  char *path = hem__test_path(hem__test_subfolder(), "no/such/file");
  hem__aside *aside = NULL;
  ck_fails(hem__aside_new(path, &aside, err), HEM_ENOTFOUND, "no/such/file");
  ck_assert_ptr_null(aside);
  ck_fails(hem__sync(path, err), HEM_ENOTFOUND, path);
  ck_fails(hem__rename(path, "elsewhere", err), HEM_ENOTFOUND, path);
  ck_fails(hem__make_folder(path, err), HEM_ENOTFOUND, path);
  free(path);
}
END_TEST

/* /dev/full is a disk that is always full. */
START_TEST(a_full_disk_is_reported) {
  const char *folder = hem__test_subfolder();
  char *path = hem__test_path(folder, "file"), *temporary = hem__test_path(folder, "file.tmp");
  hem__aside *aside = NULL;
  hem__test_write(path, "old", 3);
  ck_assert_int_eq(symlink("/dev/full", temporary), 0);
  ck_ok(hem__aside_new(path, &aside, err));
  ck_ok(hem__aside_write(aside, "new", 3, err)); /* buffered */
  ck_fails(hem__aside_publish(aside, NULL, NULL, err), HEM_EIO, "No space left");
  hem__aside_free(aside);
  holds(path, "old");
  free(path);
  free(temporary);
}
END_TEST

/* ---- folders ---- */

START_TEST(folders_are_made_once) {
  const char *folder = hem__test_subfolder();
  char *made = hem__test_path(folder, "made"), *file = hem__test_path(folder, "file");
  ck_ok(hem__make_folder(made, err));
  ck_ok(hem__make_folder(made, err));
  hem__test_write(file, "x", 1);
  ck_fails(hem__make_folder(file, err), HEM_EIO, file);
  holds(file, "x");
  free(made);
  free(file);
}
END_TEST

START_TEST(a_tree_is_removed_but_not_what_it_links_to) {
  const char *folder = hem__test_subfolder();
  char *tree = hem__test_path(folder, "tree"), *deep = hem__test_path(folder, "tree/a/b");
  char *inner = hem__test_path(folder, "tree/a"), *file = hem__test_path(folder, "tree/a/b/file");
  char *kept = hem__test_path(folder, "kept"), *kept_file = hem__test_path(folder, "kept/file");
  char *link = hem__test_path(folder, "tree/link"), *broken = hem__test_path(folder, "tree/.broken");
  ck_ok(hem__make_folder(tree, err));
  ck_ok(hem__make_folder(inner, err));
  ck_ok(hem__make_folder(deep, err));
  ck_ok(hem__make_folder(kept, err));
  hem__test_write(file, "x", 1);
  hem__test_write(kept_file, "precious", 8);
  ck_assert_int_eq(symlink(kept, link), 0);
  ck_assert_int_eq(symlink("nowhere", broken), 0);
  ck_ok(hem__remove_tree(tree, err));
  ck_assert(!hem__path_exists(tree));
  holds(kept_file, "precious");
  ck_ok(hem__remove_tree(tree, err));
  ck_assert_int_eq(symlink(kept, tree), 0);
  ck_ok(hem__remove_tree(tree, err));
  ck_assert(!hem__path_exists(tree));
  holds(kept_file, "precious");
  ck_ok(hem__remove_tree(kept_file, err));
  ck_assert(!hem__path_exists(kept_file));
  char *all[] = {tree, deep, inner, file, kept, kept_file, link, broken};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}
END_TEST

/* ---- locks ---- */

START_TEST(one_writer_at_a_time) {
  char *path = hem__test_path(hem__test_subfolder(), "lock");
  hem__lock first = {.fd = -1}, second = {.fd = -1};
  ck_ok(hem__lock_take(path, "shop.h5", &first, err));
  ck_fails(hem__lock_take(path, "shop.h5", &second, err), HEM_EBUSY, "another process is writing shop.h5");
  ck_assert_int_eq(second.fd, -1);
  hem__lock_drop(&first);
  ck_ok(hem__lock_take(path, "shop.h5", &second, err));
  hem__lock_drop(&second);
  hem__lock_drop(&second);
  ck_assert(hem__path_exists(path));
  free(path);
}
END_TEST

/* The child takes the lock, says so, and is killed: the system must drop it. */
START_TEST(a_killed_process_holds_no_lock) {
  char *path = hem__test_path(hem__test_subfolder(), "lock"), byte;
  int said[2];
  hem__lock lock = {.fd = -1};
  ck_assert_int_eq(pipe(said), 0);
  pid_t child = fork();
  if (child == 0) {
    hem__lock mine = {.fd = -1};
    if (hem__lock_take(path, "x", &mine, NULL) == HEM_OK && write(said[1], "!", 1) == 1) pause();
    _exit(1);
  }
  ck_assert_int_gt(child, 0);
  close(said[1]);
  ck_assert_int_eq(read(said[0], &byte, 1), 1);
  ck_fails(hem__lock_take(path, "shop.h5", &lock, err), HEM_EBUSY, "shop.h5");
  ck_assert_int_eq(kill(child, SIGKILL), 0);
  ck_assert_int_eq(waitpid(child, NULL, 0), child);
  ck_ok(hem__lock_take(path, "shop.h5", &lock, err));
  hem__lock_drop(&lock);
  close(said[0]);
  free(path);
}
END_TEST

HEM_TESTS("file", a_mapped_file_is_its_bytes, what_cannot_be_mapped_is_named, a_dangling_link_exists,
          the_old_file_stays_until_the_new_one_is_whole, what_is_dropped_leaves_nothing, padding_is_zeros_and_is_hashed,
          large_content_keeps_its_digest, a_missing_folder_is_named, a_full_disk_is_reported, folders_are_made_once,
          a_tree_is_removed_but_not_what_it_links_to, one_writer_at_a_time, a_killed_process_holds_no_lock)
