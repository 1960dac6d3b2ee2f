// What the files of the globals test share.
#include "locker.hpp"

const locker::client &shared_client();
bool held_elsewhere();
bool held_in_the_third();
