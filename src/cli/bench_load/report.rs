//! What a run prints.

use std::io::{self, Write};

use super::idle::Idleness;
use super::ledger::Verdict;
use super::load::Figures;
use super::usage::Usage;
use crate::cli::terminal::object;
use crate::cli::values::BenchLoad;
use crate::protocol::framing::Codec;
use crate::protocol::json::Object;

/// What the server had used at each point of the run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub start: Usage,
    pub clients: Usage,
    pub idle: Usage,
    pub pinged: Usage,
    pub load: Usage,
    pub end: Usage,
}

pub struct Report<'a> {
    pub options: &'a BenchLoad,
    pub address: String,
    pub figures: Figures,
    pub verdict: Verdict,
    /// Messages in all histories together.
    pub read: u64,
    /// How long reading them took.
    pub reading_us: u64,
    /// Processor time of this process under load.
    pub own_cpu_ms: u64,
    /// Of the server, where its process is known.
    pub memory: Memory,
    pub idleness: Idleness,
}

/// Columns of the longest bar.
const BAR: u64 = 40;

impl Report<'_> {
    /// Nothing was lost, doubled, changed, refused or out of order.
    pub fn is_good(&self) -> bool {
        self.verdict.is_good() && self.figures.refused == 0 && self.figures.disordered == 0
    }

    pub fn print_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let BenchLoad { clients, pipeline, size, idle, .. } = *self.options;
        let figures = &self.figures;
        let (codec, address) = (self.codec(), self.address.escape_debug());
        write!(out, "{clients} clients, {pipeline} in flight each, {size} bytes, {codec}")?;
        writeln!(out, ", at {address}{}", if figures.interrupted { " (interrupted)" } else { "" })?;
        let seconds = |us: u64| us as f64 / 1e6;
        for (what, count, us) in [
            ("acknowledged", figures.acknowledged, figures.sending_us),
            ("delivered", figures.delivered, figures.delivering_us),
        ] {
            let each = rate(count, us);
            writeln!(out, "{what:<13}{count:>11} in {:.2} s: {each} a second", seconds(us))?;
        }
        self.print_latency(out)?;
        let Verdict { checked, missing, doubled, damaged } = self.verdict;
        write!(out, "history      {checked:>11} acknowledged messages checked: {missing} ")?;
        writeln!(out, "missing, {doubled} doubled, {damaged} damaged")?;
        let (read, each) = (self.read, rate(self.read, self.reading_us));
        write!(out, "             {read:>11} read in {:.2} s: ", seconds(self.reading_us))?;
        writeln!(out, "{each} a second")?;
        if figures.refused > 0 {
            let text = figures.refusal.escape_debug();
            writeln!(out, "refused      {:>11}, the first: {text}", figures.refused)?;
        }
        if figures.disordered > 0 {
            writeln!(
                out,
                "disordered   {:>11} pushes, repeated or out of order",
                figures.disordered
            )?;
        }
        if figures.lagging > 0 {
            let times = figures.lagging;
            writeln!(out, "lagging      {times:>11} times: the clients read too slowly")?;
        }
        if self.options.server_pid.is_some() {
            let Memory { start, clients, idle: with_idle, load, .. } = self.memory;
            if idle > 0 {
                let (each, percent) =
                    (self.idleness.pings_per_s(), self.idleness.percent_of_a_core());
                write!(out, "idle         {idle:>11} sessions, {each:.0} pings a second: ")?;
                writeln!(out, "{percent:.1} % of a core in the server")?;
            }
            write!(out, "server       {:>11} KiB in RAM at first, ", start.resident_kib)?;
            write!(out, "{} with the clients, ", clients.resident_kib)?;
            if idle > 0 {
                let each = self.idle_bytes();
                let kib = with_idle.resident_kib;
                write!(out, "{kib} with {idle} idle sessions ({each} bytes each), ")?;
            }
            writeln!(out, "{} after the load", load.resident_kib)?;
            write!(out, "             {:>11.2} s of processor time", self.server_cpu_ms() / 1e3)?;
            writeln!(out, ", {:.2} us for each message", self.server_us())?;
        }
        writeln!(out, "\n{}", METHOD)
    }

    fn print_latency(&self, out: &mut dyn Write) -> io::Result<()> {
        let latency = &self.figures.latency;
        let [p50, p90, p99] = [50.0, 90.0, 99.0].map(|percent| latency.percentile(percent));
        let max = latency.max();
        writeln!(out, "latency, us  p50 {p50}, p90 {p90}, p99 {p99}, max {max}")?;
        let rows = latency.octaves();
        let most = rows.iter().map(|row| row.2).max().unwrap_or(1).max(1);
        for (low, high, count) in rows {
            let share = count as f64 * 100.0 / latency.count().max(1) as f64;
            let bar = "#".repeat((count * BAR).div_ceil(most) as usize);
            writeln!(out, "  {low:>10} to {high:>10} {share:>8.3} % {bar}")?;
        }
        Ok(())
    }

    pub fn print_json(&self, out: &mut dyn Write) -> io::Result<()> {
        let BenchLoad { clients, pipeline, size, idle, .. } = *self.options;
        let Figures { acknowledged, delivered, .. } = self.figures;
        let figures = &self.figures;
        let latency = &figures.latency;
        let percentile = |percent| latency.percentile(percent);
        let latency_us = object()
            .number("p50", percentile(50.0))
            .number("p90", percentile(90.0))
            .number("p99", percentile(99.0))
            .number("max", latency.max())
            .number("mean", latency.mean());
        let octave = |(low, high, count)| {
            object().number("from_us", low).number("to_us", high).number("count", count)
        };
        let Verdict { checked, missing, doubled, damaged } = self.verdict;
        let mut report = object()
            .raw("clients", clients)
            .raw("pipeline", pipeline)
            .raw("size", size)
            .text("protocol", self.codec())
            .raw("idle", idle)
            .flag("interrupted", figures.interrupted)
            .number("sending_us", figures.sending_us)
            .number("acknowledged", acknowledged)
            .number("acknowledged_per_s", rate(acknowledged, figures.sending_us))
            .number("delivered", delivered)
            .number("delivered_per_s", rate(delivered, figures.delivering_us))
            .number("refused", figures.refused)
            .number("disordered", figures.disordered)
            .number("lagging", figures.lagging)
            .raw("latency_us", latency_us)
            .list("histogram", latency.octaves().into_iter().map(octave))
            .number("checked", checked)
            .number("missing", missing)
            .number("doubled", doubled)
            .number("damaged", damaged)
            .number("history_read", self.read)
            .number("history_per_s", rate(self.read, self.reading_us))
            .number("client_cpu_ms", self.own_cpu_ms);
        if idle > 0 {
            let each = self.idleness.pings_per_s();
            report = report.raw("idle_pings_per_s", format_args!("{each:.0}"));
        }
        if self.options.server_pid.is_some() {
            report = report.raw("server", self.server());
        }
        writeln!(out, "{}", report.text("method", &METHOD.replace('\n', " ")))
    }

    fn server(&self) -> Object {
        let mut server = object().raw("cpu_ms", self.server_cpu_ms());
        if self.options.idle > 0 {
            let percent = self.idleness.percent_of_a_core();
            server = server.raw("idle_cpu_percent", format_args!("{percent:.2}"));
        }
        let Memory { start, clients, idle, load, end, .. } = self.memory;
        let resident_kib = object()
            .number("start", start.resident_kib)
            .number("clients", clients.resident_kib)
            .number("idle", idle.resident_kib)
            .number("load", load.resident_kib)
            .number("end", end.resident_kib);
        server
            .raw("cpu_us_per_message", format_args!("{:.3}", self.server_us()))
            .raw("resident_kib", resident_kib)
            .number("bytes_per_idle_session", self.idle_bytes())
    }

    fn codec(&self) -> &'static str {
        match self.options.codec {
            Codec::Json => "json",
            Codec::Binary => "binary",
        }
    }

    fn idle_bytes(&self) -> u64 {
        let Memory { clients, idle, .. } = self.memory;
        let grown = idle.resident_kib.saturating_sub(clients.resident_kib) * 1_024;
        grown / (self.options.idle as u64).max(1)
    }

    fn server_cpu_ms(&self) -> f64 {
        self.memory.load.cpu_ms.saturating_sub(self.memory.pinged.cpu_ms) as f64
    }

    fn server_us(&self) -> f64 {
        self.server_cpu_ms() * 1e3 / self.figures.acknowledged.max(1) as f64
    }
}

fn rate(count: u64, us: u64) -> u64 {
    (count as f64 * 1e6 / us.max(1) as f64) as u64
}

/// How it was measured.
const METHOD: &str = "\
Method: one process, one thread, one connection per client. Each client keeps its sends in flight to
the next client, which gets every message as a push (a single client sends to a second, silent one).
Latency: from when the client creates a request until its answer arrives, in whole us; this includes
the wait behind earlier requests in flight. Rates: from the first send to the last answer or push,
including the warm-up, without creating accounts and reading histories. The history check reads every
client's whole history: an acknowledged message must be once in its sender's and once in its
receiver's, unchanged; otherwise it is missing, doubled or damaged. On one machine this process and
the server share the processors. Idle sessions ping before the load, as clients do that hear nothing:
1.5 to 2 s after the last answer. The pings are measured for as long as the load.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_whole_numbers_a_second() {
        assert_eq!(rate(10, 2_000_000), 5);
        assert_eq!(rate(0, 0), 0);
    }
}
