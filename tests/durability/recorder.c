/* Preloaded into a user-mode Linux: records in the file $UML_RECORD what its disks are given, in order, so
   that each can be had as it was at every instant. A record is a head of three numbers (the inode of the
   disk's file, where, how much) and the bytes.

   It also gives ptrace the larger register set of newer processors: the buffer of Debian 12's kernel ends
   before the tiles of AMX, and that kernel dies at its start. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int record_fd = -1;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("UML_RECORD");
  if (path) record_fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
}

static void record(int fd, int64_t offset, const void *bytes, uint64_t size) {
  struct stat status;
  if (record_fd < 0 || syscall(SYS_fstat, fd, &status) || !S_ISREG(status.st_mode)) return;
  int64_t head[3] = {(int64_t)status.st_ino, offset, (int64_t)size};
  struct iovec parts[2] = {{head, sizeof head}, {(void *)bytes, size}};
  syscall(SYS_writev, record_fd, parts, 2);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) {
  ssize_t done = syscall(SYS_pwrite64, fd, bytes, size, offset);
  if (done > 0) record(fd, offset, bytes, done);
  return done;
}

/* A disk that cannot trim: the kernel then writes zeros itself, and the record has them. */
int fallocate64(int fd, int mode, off64_t offset, off64_t size) {
  (void)fd, (void)mode, (void)offset, (void)size;
  errno = EOPNOTSUPP;
  return -1;
}

long ptrace(int request, ...) {
  enum { GET = 0x4204, SET = 0x4205, XSTATE = 0x202, TILES = 1 << 17 | 1 << 18 };
  va_list rest;
  va_start(rest, request);
  long pid = va_arg(rest, long), address = va_arg(rest, long), data = va_arg(rest, long);
  va_end(rest);
  static long (*real)(int, ...);
  if (!real) real = dlsym(RTLD_NEXT, "ptrace");
  if ((request != GET && request != SET) || address != XSTATE) return real(request, pid, address, data);
  static __thread char whole[16384] __attribute__((aligned(64)));
  struct iovec *theirs = (void *)data, ours = {whole, sizeof whole};
  long failed = real(GET, pid, address, (long)&ours);
  if (failed) return failed;
  size_t size = theirs->iov_len < ours.iov_len ? theirs->iov_len : ours.iov_len;
  if (request == GET) {
    memcpy(theirs->iov_base, whole, size);
    theirs->iov_len = size;
    return 0;
  }
  size_t all = ours.iov_len;
  memcpy(whole, theirs->iov_base, size);
  memset(whole + size, 0, all - size);
  uint64_t has;
  memcpy(&has, whole + 512, sizeof has);
  has &= ~(uint64_t)TILES;
  memcpy(whole + 512, &has, sizeof has);
  return real(SET, pid, address, (long)&ours);
}
