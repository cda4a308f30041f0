//! `chatctl bench-codec` in the table.

use super::{COLOR, FLAG, Flag, Kind, NO_COLOR, Subcommand};
use crate::cli::bench_codec;
use crate::limits::BENCH_RUNS;

/// Its row.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "bench-codec",
    summary: "compare the sizes and speeds of the two codecs",
    about: "Encodes and decodes the reference message and other typical messages as JSON and as \
            binary, and prints the size of each, the bytes of each field, and the time for each.",
    operands: &[],
    flags: &[
        Flag {
            name: "runs",
            kind: Kind::Number { min: 1, max: BENCH_RUNS as u64 },
            value: "N",
            help: "Number of measurements; the minimum and the median are printed.",
            default: Some("200"),
            config: false,
            ..FLAG
        },
        Flag {
            name: "json",
            kind: Kind::Switch,
            help: "Print JSON, one object per line.",
            config: false,
            ..FLAG
        },
        COLOR,
    ],
    variables: &[NO_COLOR],
    settings: "",
    run: bench_codec::command,
};
