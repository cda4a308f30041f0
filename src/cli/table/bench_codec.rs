//! `chatctl bench-codec` in the table.

use super::row::{Runs, Subcommand, number, put};
use super::shared::{COLOR, JSON, NO_COLOR, colour};
use crate::limits::BENCH_RUNS;

pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "bench-codec",
    runs: Runs::BenchCodec,
    summary: "compare the sizes and speeds of the two codecs",
    about: "Encodes and decodes the reference message and other typical messages as JSON and as \
            binary, and prints the size of each, the bytes of each field, and the time for each.",
    operands: &[],
    flags: &[
        number("runs", "N", 1, BENCH_RUNS as u64)
            .sets(|v, text| put(&mut v.bench_codec.runs, text.parse()))
            .help("Number of measurements; the minimum and the median are printed.")
            .default("200"),
        JSON.sets(|v, text| put(&mut v.bench_codec.json, text.parse())),
        COLOR.sets(|v, text| put(&mut v.bench_codec.colour, colour(text))),
    ],
    variables: &[NO_COLOR],
    settings: "",
};
