//! The codecs and the framing from outside.
