/* What the workers in C, C++ and Go share: the records of src/record.rs and the things that the locks protect. */
#ifndef RECORD_H
#define RECORD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* CLOCK_BOOTTIME */
#endif

#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum lang { RUST = 1, C, CPP, GO, PYTHON };
enum kind {
  START = 1, DONE, ACQ_CALL, ACQ_RET, ACQ_FAIL, HELD_TRUE, REL_CALL, REL_RET, LOST, FENCED_OK, FENCED_STALE, GUARD_OK,
  GUARD_LOST, NAKED
};

struct record {
  uint16_t magic;
  uint8_t lang, kind;
  uint32_t pid, lock, seq;
  uint64_t token, at, deadline, revision;
  uint32_t crc, zero[3];
};

static inline void must(int good, const char *what) {
  if (good) return;
  perror(what);
  _exit(9);
}

/* The clock that all processes of a machine share and that deadlines are counted on. */
static inline uint64_t now_ns(void) {
  struct timespec t;
  must(clock_gettime(CLOCK_BOOTTIME, &t) == 0, "clock_gettime");
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint32_t crc32(const unsigned char *bytes, size_t length) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < length; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1)));
  }
  return ~crc;
}

static inline const char *setting(const char *name) {
  const char *value = getenv(name);
  if (!value) fprintf(stderr, "%s is not set\n", name), _exit(9);
  return value;
}

/* One write, which the kernel appends whole. */
static inline void append(struct record r) {
  static int history = -1;
  if (history < 0) history = open(setting("CHECK_HISTORY"), O_WRONLY | O_APPEND | O_CLOEXEC);
  r.magic = 0x4b4c;
  r.pid = (uint32_t)getpid();
  r.crc = crc32((const unsigned char *)&r, offsetof(struct record, crc));
  must(sizeof r == 64 && write(history, &r, sizeof r) == (ssize_t)sizeof r, "history");
}

static inline int open_thing(const char *thing, uint32_t lock, int flags) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s-%" PRIu32, setting("CHECK_THINGS"), thing, lock);
  int file = open(path, flags | O_CREAT | O_CLOEXEC, 0600);
  must(file >= 0, path);
  return file;
}

/* The fenced file takes a token, unless it had a higher one. What became of it is recorded in the file's order. */
static inline void write_fenced(struct record r) {
  int file = open_thing("fenced", r.lock, O_RDWR | O_APPEND);
  must(flock(file, LOCK_EX) == 0, "flock");
  uint64_t last = 0;
  off_t size = lseek(file, 0, SEEK_END);
  if (size >= 8) must(pread(file, &last, 8, size - 8) == 8, "fenced");
  r.kind = r.token >= last ? FENCED_OK : FENCED_STALE;
  if (r.kind == FENCED_OK) must(write(file, &r.token, 8) == 8, "fenced");
  r.at = now_ns();
  append(r);
  close(file);
}

/* The naked counter: nothing but the lock protects what lies between reading and writing it. */
static inline uint64_t read_naked(uint32_t lock) {
  uint64_t number = 0;
  int file = open_thing("naked", lock, O_RDONLY);
  must(pread(file, &number, 8, 0) >= 0, "naked");
  close(file);
  return number;
}

static inline void write_naked(struct record r, uint64_t number) {
  int file = open_thing("naked", r.lock, O_WRONLY);
  must(pwrite(file, &number, 8, 0) == 8, "naked");
  close(file);
  r.kind = NAKED, r.at = now_ns(), r.revision = number;
  append(r);
}

/* A write to etcd on condition of the lock's key, by a program that records its outcome. */
static inline void write_guarded(struct record r) {
  char command[4096];
  snprintf(command, sizeof command, "%s guarded %u %d %" PRIu32 " %" PRIu32 " %" PRIu64, setting("CHECK_PROGRAM"),
           (unsigned)r.lang, (int)getpid(), r.lock, r.seq, r.token);
  (void)!system(command);
}

static inline void sleep_ms(unsigned ms) {
  struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
  nanosleep(&t, NULL);
}

/* What a worker does next is random, from a seed. */
static inline uint32_t dice(uint32_t sides) {
  static uint64_t state = 0;
  if (!state) state = strtoull(setting("CHECK_SEED"), NULL, 10) * 2 + 1;
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (uint32_t)(state >> 33) % sides;
}

/* How long to wait for the lock: mostly long enough, at times hardly, at times not at all. */
static inline uint32_t patience_ms(void) {
  uint32_t die = dice(10);
  return die == 0 ? 0 : die < 3 ? 5 + dice(100) : 3000;
}

/* How long to hold it: mostly short, at times long. */
static inline uint32_t work_ms(void) { return dice(12) == 0 ? 100 + dice(300) : 5 + dice(30); }

#endif
