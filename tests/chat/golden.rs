//! The bytes of each kind of command, against those drawn in the form's comment.

use chatctl::chat::{Command, CommandError, Member, Target};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Each kind, and its bytes in hexadecimal.
fn member(name: &str, address: &str, incarnation: u64, number: u32, votes: bool) -> Member {
    Member { name: name.into(), address: address.into(), incarnation, number, votes }
}

pub fn vectors() -> Vec<(Command<'static>, String)> {
    let time = 0x0123_4567_89ab;
    let head = |kind: &str| format!("01{kind}00000123456789ab");
    vec![
        (
            Command::Found {
                time,
                cluster: [0xc1; 16],
                token_secret: [0x5e; 32],
                members: Vec::new(),
            },
            head("01") + &"c1".repeat(16) + &"5e".repeat(32),
        ),
        (
            Command::Create { time, name: "ann", verifier: "SCRAM" },
            head("02") + "03616e6e" + "0005534352414d",
        ),
        (
            Command::Send { time, from: "ann", to: "bob-2", id: 0xfe, known: 258, body: "hé" },
            head("03")
                + "03616e6e"
                + "05626f622d32"
                + "000000000000000000000000000000fe"
                + "0000000000000102"
                + "000368c3a9",
        ),
        (
            Command::Take { time, name: "ann", seqs: vec![3, 256] },
            head("04") + "03616e6e" + "0002" + "0000000000000003" + "0000000000000100",
        ),
        (
            Command::Read { time, name: "ann", from: "bob", upto: 9 },
            head("05") + "03616e6e" + "03626f62" + "0000000000000009",
        ),
        (
            Command::DeleteMsgs {
                time,
                name: "ann",
                targets: vec![Target { seq: 3, id: 1 << 120 }],
            },
            head("06")
                + "03616e6e"
                + "0001"
                + "0000000000000003"
                + "01000000000000000000000000000000",
        ),
        (Command::Passwd { time, name: "ann", verifier: "" }, head("07") + "03616e6e" + "0000"),
        (Command::Delete { time, name: "ann" }, head("08") + "03616e6e"),
        (
            Command::Found {
                time,
                cluster: [0xc1; 16],
                token_secret: [0x5e; 32],
                members: vec![member("a", "h:1", 7, 1, true), member("b", "", 1 << 56, 2, true)],
            },
            head("09")
                + &"c1".repeat(16)
                + &"5e".repeat(32)
                + "02"
                + "01610003683a310000000000000007"
                + "016200000100000000000000",
        ),
        (
            Command::Members {
                time,
                members: vec![member("a", "h:1", 7, 9, false), member("b", "", 1 << 56, 2, true)],
            },
            head("0a")
                + "02"
                + "01610003683a3100000000000000070000000900"
                + "0162000001000000000000000000000201",
        ),
    ]
}

#[test]
fn each_kind_is_written_and_read_as_drawn() {
    for (command, expected) in vectors() {
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        assert_eq!(hex(&bytes), expected, "{}", command.kind());
        assert_eq!(Command::decode(&bytes), Ok(command));
    }
}

#[test]
fn no_part_of_a_command_is_a_command_nor_one_with_a_byte_more() {
    for (command, _) in vectors() {
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        for length in 0..bytes.len() {
            assert!(Command::decode(&bytes[..length]).is_err(), "{} {length}", command.kind());
        }
        bytes.push(0);
        let left_over =
            CommandError::Malformed { kind: command.kind(), why: "bytes are left over" };
        assert_eq!(Command::decode(&bytes), Err(left_over));
    }
}

#[test]
fn fields_out_of_their_form_are_malformed() {
    let decode_hex = |text: &str| -> Result<(), String> {
        let bytes: Vec<u8> = (0..text.len() / 2)
            .map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap())
            .collect();
        Command::decode(&bytes).map(drop).map_err(|error| error.to_string())
    };
    let found = |members: &str| format!("0109 0000000000000001 {} {members}", "00".repeat(48));
    let member = "0161 0000 0000000000000001";
    let members = |members: &str| format!("010a 0000000000000001 {members}");
    let (a, b) = ("0161 0000 0000000000000001", "0162 0000 0000000000000002");
    let cases = [
        ("0108 0001000000000000 03616e6e", "its time is 2^48 or more"),
        ("0108 0000000000000001 00", "a name is not a folded name"),
        ("0108 0000000000000001 03416e6e", "a name is not a folded name"),
        ("0108 0000000000000001 032d6e6e", "a name is not a folded name"),
        ("0108 0000000000000001 03616e09", "a name is not a folded name"),
        ("0107 0000000000000001 03616e6e 0001ff", "a text is not UTF-8"),
        (&found("00"), "its members are none or too many"),
        (&found("0a"), "its members are none or too many"),
        (&members("00"), "no cluster has such members"),
        (&members(&format!("01 {a} 00000001 02")), "neither 0 nor 1"),
        (&members(&format!("01 {a} 00000000 01")), "no cluster has such members"),
        (&members(&format!("01 {a} 00000001 00")), "no cluster has such members"),
        (&members(&format!("02 {a} 00000003 01 {b} 00000003 01")), "no cluster has such members"),
        (&members(&format!("02 {b} 00000003 01 {a} 00000004 01")), "no cluster has such members"),
        (&found(&format!("02{member}{member}")), "its members' names do not rise"),
        ("0104 0000000000000001 03616e6e 0002 0000000000000003 0000000000000003", "do not rise"),
    ];
    for (text, why) in cases {
        let error = decode_hex(&text.replace(' ', "")).unwrap_err();
        assert!(error.contains(why) && error.contains("dump-log"), "{text}: {error}");
    }
    let long = format!("010800000000000000012{}{}", "1", "61".repeat(33));
    assert!(decode_hex(&long).unwrap_err().contains("folded name"));
}
