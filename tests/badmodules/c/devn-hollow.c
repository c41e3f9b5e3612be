// A description with a hole in it: HOLE says which.
#include "module.h"

MODULE(ION_KIND_DRIVER, "devn-hollow", quiet_driver, HOLE)
