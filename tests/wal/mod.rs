//! The log from outside: torture, crashes, injected failures.
