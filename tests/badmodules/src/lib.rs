//! One small module for each way that a module can fail.
