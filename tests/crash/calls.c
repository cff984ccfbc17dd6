#include "crash/calls.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#define ARGUMENT(context, i) \
  ((context)->uc_mcontext.gregs[(const int[]){REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8}[i]])
#define RESULT(context) ((context)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#define ARGUMENT(context, i) ((context)->uc_mcontext.regs[i])
#define RESULT(context) ((context)->uc_mcontext.regs[0])
#endif

void *hem__shared(size_t size) {
  void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return at == MAP_FAILED ? NULL : at;
}

#ifndef ARCHITECTURE
bool hem__calls_watch(hem__calls *calls) {
  (void)calls;
  return false;
}
#else

/* A sixth argument, which none of these calls has: it tells the handler's own calls from the program's. */
enum { OURS = 0x48454D21 };

static hem__calls *watched;

typedef struct call {
  long number, arguments[5];
} call;

static long make(const call *c) {
  const long *a = c->arguments;
  long result = syscall(c->number, a[0], a[1], a[2], a[3], a[4], (long)OURS);
  return result < 0 ? -errno : result;
}

static const struct {
  long number;
  hem__call_kind kind;
} kinds[] = {
#ifdef SYS_rename /* newer architectures have only the calls that end in "at" */
    {SYS_open, HEM__CREATE},      {SYS_creat, HEM__CREATE},    {SYS_rename, HEM__RENAME},  {SYS_unlink, HEM__REMOVE},
    {SYS_rmdir, HEM__REMOVE},     {SYS_mkdir, HEM__OTHER},     {SYS_link, HEM__OTHER},     {SYS_symlink, HEM__OTHER},
#endif
    {SYS_openat, HEM__CREATE},    {SYS_write, HEM__WRITE},     {SYS_pwrite64, HEM__WRITE}, {SYS_writev, HEM__WRITE},
    {SYS_pwritev, HEM__WRITE},    {SYS_fsync, HEM__SYNC},      {SYS_fdatasync, HEM__SYNC}, {SYS_renameat, HEM__RENAME},
    {SYS_renameat2, HEM__RENAME}, {SYS_unlinkat, HEM__REMOVE}, {SYS_mkdirat, HEM__OTHER},  {SYS_linkat, HEM__OTHER},
    {SYS_symlinkat, HEM__OTHER},  {SYS_ftruncate, HEM__OTHER}, {SYS_truncate, HEM__OTHER}, {SYS_fallocate, HEM__OTHER},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static hem__call_kind kind_of(const call *c) {
  size_t i = 0;
  while (i < KINDS && kinds[i].number != c->number) i++;
  return i < KINDS ? kinds[i].kind : HEM__OTHER;
}

/* Opening a file that is there and stays as it is changes nothing; nor does a word on stdout or stderr. */
static bool changes(const call *c, hem__call_kind kind) {
  if (kind == HEM__WRITE) return c->arguments[0] > STDERR_FILENO;
  if (kind != HEM__CREATE) return true;
  long flags = c->number == SYS_openat ? c->arguments[2] : c->arguments[1];
#ifdef SYS_creat
  if (c->number == SYS_creat) return true;
#endif
  return (flags & (O_CREAT | O_TRUNC)) != 0;
}

static hem__call describe(const call *c, hem__call_kind kind) {
  hem__call made = {.kind = kind};
  struct stat st;
  char folder[PATH_MAX];
  bool old = c->number != SYS_renameat && c->number != SYS_renameat2;
  if ((kind == HEM__WRITE || kind == HEM__SYNC) && fstat((int)c->arguments[0], &st) == 0) {
    made.inode = st.st_ino;
    made.is_folder = S_ISDIR(st.st_mode);
  }
  if (kind != HEM__RENAME) return made;
  if (lstat((const char *)c->arguments[old ? 0 : 1], &st) == 0) {
    made.inode = st.st_ino;
    made.is_folder = S_ISDIR(st.st_mode);
  }
  snprintf(folder, sizeof folder, "%s", (const char *)c->arguments[old ? 1 : 3]);
  if (stat(dirname(folder), &st) == 0) made.folder = st.st_ino;
  return made;
}

static void write_half(const call *c) {
  call half = *c;
  struct iovec first;
  if (c->number == SYS_write || c->number == SYS_pwrite64) {
    half.arguments[2] /= 2;
  } else {
    memcpy(&first, (const void *)c->arguments[1], sizeof first);
    first.iov_len /= 2;
    half.arguments[1] = (long)&first;
    half.arguments[2] = 1;
  }
  make(&half);
}

static long judge(const call *c) {
  hem__call_kind kind = kind_of(c);
  if (!changes(c, kind)) return make(c);
  size_t number = __atomic_add_fetch(&watched->count, 1, __ATOMIC_SEQ_CST);
  if (number <= HEM__CALLS_MAX) watched->made[number - 1] = describe(c, kind);
  if (watched->fate == HEM__DISK_FULL && watched->at && number >= watched->at &&
      (kind == HEM__CREATE || kind == HEM__WRITE || kind == HEM__SYNC))
    return -ENOSPC;
  if (watched->fate != HEM__COUNT && watched->fate != HEM__DISK_FULL && number == watched->at) {
    if (watched->fate == HEM__KILL_HALF && kind == HEM__WRITE) write_half(c);
    kill(getpid(), SIGKILL);
    pause();
  }
  return make(c);
}

static void on_call(int signal, siginfo_t *info, void *context) {
  (void)signal;
  ucontext_t *at = context;
  int saved = errno;
  call c = {.number = info->si_syscall};
  for (int i = 0; i < 5; i++) c.arguments[i] = (long)ARGUMENT(at, i);
  RESULT(at) = judge(&c);
  errno = saved;
}

/* Traps the calls of the table, unless they carry our sixth argument. */
static bool install(void) {
  struct sock_filter code[6 + 2 * KINDS + 1], *next = code;
  *next++ = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
  *next++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
  *next++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  *next++ = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5]));
  *next++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OURS, 2 * KINDS + 1, 0);
  *next++ = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (size_t i = 0; i < KINDS; i++) {
    *next++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)kinds[i].number, 0, 1);
    *next++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
  }
  *next++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {.len = (unsigned short)(next - code), .filter = code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool hem__calls_watch(hem__calls *calls) {
  struct sigaction action = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO | SA_NODEFER};
  watched = calls;
  return sigaction(SIGSYS, &action, NULL) == 0 && install();
}
#endif
