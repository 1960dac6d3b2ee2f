// The header in two translation units of one program: they link, and share its types and its category.
#include "check.hpp"

locker::guard lock_elsewhere(const locker::client &client);
const std::error_category &category_elsewhere();

int main() {
  return run([] {
    const locker::client client(endpoints(), own_prefix());
    const auto guard = lock_elsewhere(client);
    CHECK(guard.held() && client.get("x").token == guard.token());
    CHECK(&category_elsewhere() == &locker::category());
  });
}
