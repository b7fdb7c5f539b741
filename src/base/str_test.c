#include "base/test.h"

TEST(equality_ignores_ascii_case_only) { EXPECT(str_ieq(STR("Content-Length"), STR("content-lENGTH"))); }
