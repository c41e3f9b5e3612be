// Built for another ABI: none of its code may run.
#include "module.h"

__attribute__((unused)) static int32_t init(const ion_t *ion, ion_text_t options, void **instance) {
    (void)ion, (void)options, (void)instance;
    abort();
}

MODULE(ION_KIND_DRIVER, "devn-wrong-major", init, .abi_major = ION_ABI_MAJOR + 1)
