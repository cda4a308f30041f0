//! Seeded fuzzing of everything that reads bytes from a network.
