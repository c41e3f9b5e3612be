// Built for a later io-net of the same ABI: it may need what this one lacks.
#include "module.h"

MODULE(ION_KIND_DRIVER, "devn-newer-minor", quiet_driver, .abi_minor = ION_ABI_MINOR + 1)
