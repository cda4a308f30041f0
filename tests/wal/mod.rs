//! The log from outside: torture, crashes, injected failures.

mod real_disk;
