#include "crash/scene.h"
START_TEST(test_nothing) {}
END_TEST
HEM_TESTS("crash.index", test_nothing)
