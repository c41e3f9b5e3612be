// Its file says driver, its description filter.
#include "module.h"

MODULE(ION_KIND_FILTER, "devn-wrong-kind", quiet_driver)
