//! What clients, protocol modules and the manager say to each other: types only.
