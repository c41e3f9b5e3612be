// Built for another ABI: none of its code may run.
#include "module.h"
#include <stdlib.h>

__attribute__((unused)) static int32_t init(const ion_t *io, ion_text_t options, void **instance) {
    (void)io, (void)options, (void)instance;
    abort();
}

MODULE(ION_KIND_DRIVER, "devn-wrong-major", init, .abi_major = ION_ABI_MAJOR + 1)
