/* A host with signal handlers, with SIGPIPE as it is by default, and with signals blocked, while connections to etcd break
 * under traffic: nothing kills it, and its handlers run on its own threads only. */
#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* --- a way to etcd that can be broken */

enum { PAIRS = 16 };
static int listener;
static pthread_mutex_t breaking = PTHREAD_MUTEX_INITIALIZER;
static int pairs[PAIRS][2]; /* an end to the library and one to etcd; 0: none */

static struct sockaddr_in loopback(int port) {
  return (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void open_pair(void) {
  const char *colon = strrchr(endpoints(), ':');
  struct sockaddr_in etcd = loopback(atoi(colon + 1));
  int near = accept(listener, NULL, NULL), far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(near >= 0 && far >= 0 && connect(far, (struct sockaddr *)&etcd, sizeof etcd) == 0);
  for (int i = 0; i < PAIRS; i++) {
    if (pairs[i][0]) continue;
    pairs[i][0] = near, pairs[i][1] = far;
    return;
  }
  close(near), close(far);
}

/* With a reset, so that what the library writes next is written into nothing. */
static void close_pair(int *pair) {
  struct linger at_once = {1, 0};
  setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(pair[0]), close(pair[1]);
  pair[0] = pair[1] = 0;
}

static void pass(int *pair, int from) {
  char bytes[65536];
  ssize_t got = recv(pair[from], bytes, sizeof bytes, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0 || send(pair[!from], bytes, (size_t)got, MSG_NOSIGNAL) != got) close_pair(pair);
}

static void *proxy(void *unused) {
  (void)unused;
  for (;;) {
    struct pollfd all[1 + 2 * PAIRS] = {{.fd = listener, .events = POLLIN}};
    pthread_mutex_lock(&breaking);
    for (int i = 0; i < 2 * PAIRS; i++)
      all[1 + i] = (struct pollfd){.fd = pairs[i / 2][0] ? pairs[i / 2][i % 2] : -1, .events = POLLIN};
    pthread_mutex_unlock(&breaking);
    poll(all, 1 + 2 * PAIRS, 10);
    pthread_mutex_lock(&breaking);
    if (all[0].revents) open_pair();
    for (int i = 0; i < 2 * PAIRS; i++)
      if (all[1 + i].revents && pairs[i / 2][0] && pairs[i / 2][i % 2] == all[1 + i].fd) pass(pairs[i / 2], i % 2);
    pthread_mutex_unlock(&breaking);
  }
  return NULL;
}

static int broken_connections(void) {
  int broken = 0;
  pthread_mutex_lock(&breaking);
  for (int i = 0; i < PAIRS; i++)
    if (pairs[i][0]) close_pair(pairs[i]), broken++;
  pthread_mutex_unlock(&breaking);
  return broken;
}

static const char *start_proxy(void) {
  static char url[64];
  struct sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 64) == 0);
  CHECK(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
  pthread_detach(thread(proxy, NULL));
  snprintf(url, sizeof url, "http://127.0.0.1:%d", ntohs(address.sin_port));
  return url;
}

/* --- the host */

static locker_client client;
static bool stop;
static count worked = COUNT, told = COUNT;
static volatile sig_atomic_t handled, strangers;

/* Only a thread of the host has a name that is not one of the library's. */
static void on_signal(int signal) {
  (void)signal;
  char comm[16] = "";
  int saved = errno, file = open("/proc/thread-self/comm", O_RDONLY | O_CLOEXEC);
  if (file >= 0 && read(file, comm, sizeof comm) > 0 && !strncmp(comm, "locker", 6)) strangers++;
  if (file >= 0) close(file);
  handled++;
  errno = saved;
}

static void on_change(void *user_data, locker_guard guard, locker_state state, const locker_error *error) {
  (void)user_data, (void)guard, (void)state, (void)error;
  count_up(&told);
}

static void *traffic(void *blocks) {
  sigset_t all;
  sigfillset(&all);
  if (blocks) pthread_sigmask(SIG_BLOCK, &all, NULL);
  while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
    locker_lock_options options = {.struct_size = sizeof options, .timeout_ms = 2000, .on_change = on_change};
    locker_guard guard;
    locker_code code = locker_lock(client, blocks ? "blocks" : "takes", &options, &guard, NULL);
    CHECK(code == LOCKER_OK || code == LOCKER_TIMEOUT || code == LOCKER_UNAVAILABLE);
    if (code == LOCKER_OK) locker_unlock(guard, 0, NULL);
    if (code == LOCKER_OK) count_up(&worked);
  }
  return NULL;
}

int main(void) {
  static const int signals[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGCHLD, SIGALRM, SIGWINCH};
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, pipe;
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) CHECK(sigaction(signals[i], &action, NULL) == 0);
  CHECK(sigaction(SIGPIPE, NULL, &pipe) == 0 && pipe.sa_handler == SIG_DFL);
  locker_connect_options options = {.struct_size = sizeof options, .prefix = prefix()};
  OK(locker_connect(start_proxy(), &options, &client, &error));

  long wanted = trials(45, "connections broken under traffic in a host with handlers", 100), broken = 0, breaks = 0;
  pthread_t hosts[] = {thread(traffic, NULL), thread(traffic, &stop)};
  /* The kernel would give them to this thread as long as it takes any: so one other does, and the library's might. */
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
  for (; breaks < wanted; breaks++) {
    await(&worked, counted(&worked) + 2); /* it goes on after each break */
    for (int i = 0; i < 8; i++) kill(getpid(), signals[i]);
    broken += broken_connections();
  }
  await(&worked, counted(&worked) + 2);
  __atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
  pthread_join(hosts[0], NULL);
  pthread_join(hosts[1], NULL);
  CHECK(broken >= wanted && handled > 0 && strangers == 0 && counted(&told) > 0);
  CHECK(sigaction(SIGPIPE, NULL, &pipe) == 0 && pipe.sa_handler == SIG_DFL);
  leave(client);
  row_ok("0 deaths, %ld connections broken, %d signals handled, 0 on threads of the library", broken, (int)handled);
}
