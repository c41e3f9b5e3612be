//! Single-producer single-consumer rings and byte FIFOs, in process and in shared memory.
