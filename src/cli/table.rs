//! The one table of subcommands and flags. It drives the parser ([`super::parse`]), `--help`
//! ([`super::help`]), the generated sections of the man pages ([`super::man`]) and the completions
//! for shells ([`super::completions`]), so that they always agree. It is data: [`row`] has the types,
//! [`shared`] the flags that several subcommands have, and each subcommand's row is a file.

mod bench_codec;
mod bench_load;
mod chat;
mod completions;
pub(super) mod dump_log;
mod members;
mod recover;
pub(super) mod row;
mod serve;
mod shared;
mod status;

use row::Subcommand;

/// Every subcommand, in the order in which help shows them.
pub const SUBCOMMANDS: &[Subcommand] = &[
    serve::SUBCOMMAND,
    chat::SUBCOMMAND,
    status::SUBCOMMAND,
    members::SUBCOMMAND,
    recover::SUBCOMMAND,
    dump_log::SUBCOMMAND,
    bench_codec::SUBCOMMAND,
    bench_load::SUBCOMMAND,
    completions::SUBCOMMAND,
];

/// The subcommand of this name.
pub fn find(name: &str) -> Option<&'static Subcommand> {
    SUBCOMMANDS.iter().find(|subcommand| subcommand.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_complete_and_every_default_is_a_value_its_flag_accepts() {
        for subcommand in SUBCOMMANDS {
            assert!(!subcommand.about.is_empty() && !subcommand.summary.ends_with('.'));
            for flag in subcommand.all_flags() {
                let place = format!("{} --{}", subcommand.name, flag.name);
                assert!(flag.help.ends_with('.'), "{place}: help is sentences");
                assert!(flag.more.is_empty() || flag.more.ends_with('.'), "{place}: sentences");
                assert_eq!(flag.takes_value(), !flag.value.is_empty(), "{place}: the value's name");
                if let Some(default) = flag.default {
                    assert!(flag.accepts(default), "{place}: its default is refused");
                }
            }
        }
    }

    #[test]
    fn no_subcommand_has_two_flags_of_one_name_or_letter() {
        for subcommand in SUBCOMMANDS {
            let flags: Vec<_> = subcommand.all_flags().collect();
            for (at, flag) in flags.iter().enumerate() {
                for other in &flags[..at] {
                    assert_ne!(flag.name, other.name, "{}", subcommand.name);
                    assert!(flag.short.is_none() || flag.short != other.short);
                }
            }
        }
    }

    #[test]
    fn numbers_are_plain_digits_within_the_bounds() {
        let days = find("serve").unwrap().flag("token-days").unwrap();
        for good in ["1", "7", "3650", "007"] {
            assert!(days.accepts(good), "{good}");
        }
        for bad in ["", "0", "3651", "+7", "-7", "7 ", "1e3", "99999999999999999999999"] {
            assert!(!days.accepts(bad), "{bad}");
        }
        assert_eq!(days.expects(), "a whole number from 1 to 3650");
    }
}
