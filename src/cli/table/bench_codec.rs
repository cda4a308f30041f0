//! `chatctl bench-codec` in the table.

use super::{COLOR, FLAG, Flag, Kind, NO_COLOR, Subcommand};
use crate::cli::bench_codec;
use crate::limits::BENCH_RUNS;

/// Its row.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "bench-codec",
    summary: "compare the sizes and speeds of the two codecs",
    about: "Encodes and decodes typical messages as JSON and as binary, and shows their sizes \
            in bytes, what each field costs, and the time each takes.",
    operands: &[],
    flags: &[
        Flag {
            name: "runs",
            kind: Kind::Number { min: 1, max: BENCH_RUNS as u64 },
            value: "N",
            help: "How often each measurement is made; the least and the median are shown.",
            default: Some("200"),
            config: false,
            ..FLAG
        },
        Flag {
            name: "json",
            kind: Kind::Switch,
            help: "Print one JSON object a line.",
            config: false,
            ..FLAG
        },
        COLOR,
    ],
    variables: &[NO_COLOR],
    settings: "",
    run: bench_codec::command,
};
