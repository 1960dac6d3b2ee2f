/* etcd is not there: an error in time that names the endpoint. */
#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* A port of this machine that is taken, and on which nobody answers. */
static int silent_port(bool listening, char *url, size_t size) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, length) == 0);
  CHECK(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
  if (listening) CHECK(listen(fd, 8) == 0);
  snprintf(url, size, "http://127.0.0.1:%d", ntohs(address.sin_port));
  return fd;
}

static void nobody_answers(bool listening) {
  char url[64];
  int fd = silent_port(listening, url, sizeof url);
  locker_connect_options options = {.struct_size = sizeof options, .timeout_ms = 1000};
  locker_client client = {77};
  int64_t begin = now_ms();
  FAILS(LOCKER_UNAVAILABLE, strstr(url, "127"), locker_connect(url, &options, &client, &error));
  CHECK(now_ms() - begin < 3000 && client.id == 77);
  close(fd);
}

static void name_is_unknown(void) {
  locker_connect_options options = {.struct_size = sizeof options, .timeout_ms = 1000};
  locker_client client;
  int64_t begin = now_ms();
  FAILS(LOCKER_UNAVAILABLE, "nowhere.invalid",
        locker_connect("http://nowhere.invalid:2379", &options, &client, &error));
  CHECK(now_ms() - begin < 3000);
}

int main(void) {
  CHECK(threads(NULL) == 1);
  nobody_answers(false);
  nobody_answers(true);
  name_is_unknown();
  CHECK(locker_live_handles() == 0);
  locker_shutdown(0);
}
