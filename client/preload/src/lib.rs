//! The LD_PRELOAD shim: libc's socket calls, served by io-net.
