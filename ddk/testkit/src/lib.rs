//! A manager in miniature, and the conformance suite that any built module must pass.
