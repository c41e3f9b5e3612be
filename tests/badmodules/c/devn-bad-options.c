// An option table that cannot be read: SPEC is its only entry.
#include "module.h"

static const ion_option_spec_t options[] = {SPEC};

MODULE(ION_KIND_DRIVER, "devn-bad-options", quiet_driver, .n_options = 1, .options = options)
