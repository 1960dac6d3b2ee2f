/* Rows of the table of faults: how many trials a test gives one, and a line that says how it went. For C and C++. */
#ifndef ROW_H
#define ROW_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The row that is on trial; none while its number is 0. */
static struct row {
  int number;
  const char *name;
  long ran, asked;
} row;

/* A line for people, and one for the file that LOCKER_REPORT names: in one write, since other programs append there, too. */
static inline void row_told(const char *figure, const char *verdict) {
  printf("row %d: %s: %ld of %ld trials, %s%s%s\n", row.number, row.name, row.ran, row.asked, figure,
         strcmp(verdict, "ok") ? ": " : "", strcmp(verdict, "ok") ? verdict : "");
  fflush(stdout);
  const char *report = getenv("LOCKER_REPORT");
  if (report && *report) {
    char line[1024];
    int length = snprintf(line, sizeof line, "%d\t%s\t%ld\t%ld\t%s\t%s\n", row.number, row.name, row.ran, row.asked, figure,
                          verdict);
    int file = open(report, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0 || write(file, line, (size_t)length) != length) perror(report);
    if (file >= 0) close(file);
  }
  row.number = 0;
}

/* Begins a row: how many trials to run, LOCKER_TRIALS (a tenth by default) of those that the table asks for. */
static inline long trials(int number, const char *name, long asked) {
  const char *scale = getenv("LOCKER_TRIALS");
  double wanted = (double)asked * (scale && *scale ? atof(scale) : 0.1);
  row.number = number, row.name = name, row.asked = asked;
  row.ran = wanted < 1 ? 1 : (long)wanted;
  return row.ran;
}

static inline void row_ok(const char *format, ...) {
  char figure[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(figure, sizeof figure, format, arguments);
  va_end(arguments);
  row_told(figure, "ok");
}

/* For what ends a test that fails. */
static inline void row_failed(const char *why) {
  if (row.number) row_told(why, "FAILED");
}

static inline void row_skipped(const char *why) {
  char verdict[300];
  snprintf(verdict, sizeof verdict, "SKIPPED %s", why);
  row.ran = 0;
  row_told("not run", verdict);
}

#endif
