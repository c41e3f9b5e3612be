//! The shared memory in which one process sends a message, and another receives it and replies.
