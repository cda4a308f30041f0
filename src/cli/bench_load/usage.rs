//! What a process has used, from `/proc` (proc(5)): to say what a load costs the server and what the
//! measuring itself costs.

use std::fs;

/// Ticks of a second in `/proc/PID/stat`: USER_HZ, which is 100 on every Linux of today.
const TICKS: u64 = 100;

/// Used until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time of all threads, user and system, milliseconds.
    pub cpu_ms: u64,
    /// Memory in RAM, KiB: VmRSS.
    pub resident_kib: u64,
}

impl Usage {
    /// That of the process `pid`; none where it is not there (any more).
    pub fn of(pid: u32) -> Option<Usage> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some(Usage { cpu_ms: cpu_ms(&stat)?, resident_kib: resident_kib(&status)? })
    }

    pub fn own() -> Usage {
        Usage::of(std::process::id()).unwrap_or_default()
    }
}

/// Fields 14 and 15, utime and stime. The second, the program's name, may hold anything, so they are
/// counted from the bracket that ends it.
fn cpu_ms(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) * (1_000 / TICKS))
}

fn resident_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_a_name_with_brackets_and_spaces() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 123 45 0 0 20 0 1 0 99";
        assert_eq!(cpu_ms(stat), Some(1_680));
        assert_eq!(cpu_ms("nonsense"), None);
        assert_eq!(resident_kib("Name:\tx\nVmRSS:\t    1234 kB\n"), Some(1_234));
    }

    #[test]
    fn this_process_uses_memory_and_one_that_is_not_there_has_no_usage() {
        assert!(Usage::own().resident_kib > 100);
        assert_eq!(Usage::of(u32::MAX), None);
    }
}
