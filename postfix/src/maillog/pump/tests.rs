use std::io::Write;

use super::*;
use crate::log::LogFormat;
use crate::maillog::redact::Redactor;

/// A pump whose output can be read from a pipe, and a folder with the socket to log to.
struct Bench {
    pump: Pump,
    reader: File,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // What a killed container leaves behind.
        drop(UnixDatagram::bind(folder.path().join("postlog")).unwrap());
        let (reader, output) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let sinks = Sinks {
            format: Format { format: LogFormat::Text, redactor: Redactor::Off },
            detail: Detail::All,
            output,
            events: Events::to(folder.path().join("events.sock")).unwrap(),
            smarthosts: Smarthosts::default(),
            overflow_folder: folder.path().to_path_buf(),
        };
        let pump = Pump::start(&folder.path().join("postlog"), sinks).unwrap();
        Self { pump, reader: reader.into(), folder }
    }

    /// Writes everything that Postfix would, and ends the pipe.
    fn write(&mut self, input: &[u8]) {
        let mut pipe = File::from(self.pump.writer.take().unwrap());
        pipe.write_all(input).unwrap();
    }

    fn output(mut self) -> Vec<u8> {
        self.pump.close();
        let mut output = Vec::new();
        self.reader.read_to_end(&mut output).unwrap();
        output
    }
}

#[test]
fn lines_pass_through_unchanged() {
    let long = [b"x".repeat(4095), b"\n".to_vec()].concat();
    for (input, expected) in [
        (b"one\ntwo\n".to_vec(), b"one\ntwo\n".to_vec()),
        (b"\xff\xfe\n".to_vec(), b"\xff\xfe\n".to_vec()),
        (b"no end".to_vec(), b"no end\n".to_vec()),
        (b"".to_vec(), vec![]),
        (long.clone(), long),
    ] {
        let mut bench = Bench::new();
        bench.write(&input);
        assert_eq!(bench.output(), expected);
    }
}

#[test]
fn memory_is_bounded_without_newlines() {
    let mut bench = Bench::new();
    bench.write(&vec![b'x'; 3 * MAX_LINE]);
    let line = [b"x".repeat(MAX_LINE), b"\n".to_vec()].concat();
    assert_eq!(bench.output(), line.repeat(3));
}

#[test]
fn datagrams_become_lines_too_and_marks_keep_their_place() {
    let bench = Bench::new();
    let socket = UnixDatagram::unbound().unwrap();
    for datagram in [b"fatal: no".as_slice(), b"fatal: \xff\n"] {
        socket.send_to(datagram, bench.folder.path().join("postlog")).unwrap();
    }
    assert!(bench.pump.catch_up(Duration::from_secs(10)));
    assert_eq!(bench.output(), b"fatal: no\nfatal: \xff\n");
}

#[test]
fn nobody_else_can_write_a_line_that_is_taken_for_a_mark() {
    let mut bench = Bench::new();
    let forged = format!("Nov 23 05:10:16 relay postfix/smtpd[7]: improper command {MARK}1\n");
    bench.write(forged.as_bytes());
    assert_eq!(bench.output(), forged.as_bytes());
}

#[test]
fn waiting_for_the_log_to_catch_up_has_a_timeout() {
    let bench = Bench::new();
    fs::remove_file(bench.folder.path().join("postlog")).unwrap();
    assert!(!bench.pump.catch_up(Duration::from_millis(50)));
}

/// Ten minutes at 1,000 deliveries per second while nobody reads, only faster.
#[test]
fn ten_minutes_without_a_reader_cost_no_delivery_line() {
    const LINES: usize = 600_000;
    // Other tests of this process use memory, too.
    let before = resident_memory();
    let mut bench = Bench::new();
    let line = |number: usize| {
        format!(
            "Nov 23 05:10:16 relay postfix/smtp[7]: 4hLkX53kNtzjk: to=<user{number}@example.net>, \
             relay=mx.example.net[192.0.2.1]:25, delay=0.5, delays=0.1/0/0.2/0.2, dsn=2.0.0, \
             status=sent (250 2.0.0 Ok: queued as {number:012})\n"
        )
    };
    let mut pipe = File::from(bench.pump.writer.take().unwrap());
    for chunk in (0..LINES).collect::<Vec<_>>().chunks(500) {
        // Nobody reads yet, and still no write blocks.
        let chunk: String = chunk.iter().map(|number| line(*number)).collect();
        pipe.write_all(chunk.as_bytes()).unwrap();
    }
    drop(pipe);
    let grown = resident_memory().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes of memory for unread lines");
    let output = String::from_utf8(bench.output()).unwrap();
    for (number, seen) in output.split_inclusive('\n').enumerate() {
        assert_eq!(seen, line(number));
    }
    assert_eq!(output.lines().count(), LINES);
}

fn resident_memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}
