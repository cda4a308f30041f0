//! `chatctl bench-codec` in the table.

use super::row::{FLAG, Flag, Kind, Runs, Subcommand, put};
use super::shared::{COLOR, JSON, NO_COLOR, colour};
use crate::limits::BENCH_RUNS;

/// Its row.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "bench-codec",
    runs: Runs::BenchCodec,
    summary: "compare the sizes and speeds of the two codecs",
    about: "Encodes and decodes the reference message and other typical messages as JSON and as \
            binary, and prints the size of each, the bytes of each field, and the time for each.",
    operands: &[],
    flags: &[
        Flag {
            name: "runs",
            kind: Kind::Number { min: 1, max: BENCH_RUNS as u64 },
            value: "N",
            set: |v, text| put(&mut v.bench_codec.runs, text.parse()),
            help: "Number of measurements; the minimum and the median are printed.",
            default: Some("200"),
            ..FLAG
        },
        Flag { set: |v, text| put(&mut v.bench_codec.json, text.parse()), ..JSON },
        Flag { set: |v, text| put(&mut v.bench_codec.colour, colour(text)), ..COLOR },
    ],
    variables: &[NO_COLOR],
    settings: "",
};
