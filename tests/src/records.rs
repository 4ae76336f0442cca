//! The program's output as the tests look at it: JSON Lines, the parts of a record that they compare, and records
//! without what a rewritten capture changes.

use serde_json::Value;

/// The records of a run, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// JSON Lines, as they were written.
    pub text: String,
}

/// Names an exchange: client port, server port, the request's id in 32 bits.
pub type Key = (u16, u16, u32);

/// What is unlike in two captures of the same conversation: when packets were captured.
const TIMES: [&str; 3] = ["ts", "latency_ns", "duration_ns"];

impl Records {
    /// The records of this output.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self { text }
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.text.lines().count()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The records, parsed.
    #[must_use]
    pub fn parsed(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON, {error}: {line}"));
        self.text.lines().map(parse).collect()
    }

    /// The lines of one protocol, as they were written.
    #[must_use]
    pub fn of_protocol(&self, protocol: &str) -> Vec<&str> {
        let field = format!(r#""protocol":"{protocol}""#);
        self.text.lines().filter(|line| line.contains(&field)).collect()
    }

    /// The records without times, and without addresses but for the ports.
    #[must_use]
    pub fn without_times(&self) -> Vec<String> {
        self.parsed().into_iter().map(|record| without_times(record).to_string()).collect()
    }
}

/// A record without times, and without addresses but for the ports.
#[must_use]
pub fn without_times(mut record: Value) -> Value {
    let ports = ports(&record);
    let fields = record.as_object_mut().expect("a record is an object");
    TIMES.iter().for_each(|field| drop(fields.remove(*field)));
    fields["flow"]["client"] = ports.0.into();
    fields["flow"]["server"] = ports.1.into();
    record
}

/// Client and server port of a record.
#[must_use]
pub fn ports(record: &Value) -> (u16, u16) {
    let port = |end: &str| {
        let address = record["flow"][end].as_str().expect("an address");
        address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    };
    (port("client"), port("server"))
}

/// The exchange that a record is about; `None` for a response whose request was not seen.
#[must_use]
pub fn key(record: &Value) -> Option<Key> {
    let (client, server) = ports(record);
    let id = &record["request"]["id"];
    let id = id.as_u64().or_else(|| id.as_str()?.parse().ok())?;
    Some((client, server, low_bits(i128::from(id))))
}

/// The low 32 bits: ids are printed with or without sign.
#[must_use]
pub fn low_bits(id: i128) -> u32 {
    u32::try_from(id & 0xffff_ffff).expect("32 bits")
}

/// A record's `ts` in nanoseconds since midnight, which is enough to compare: a capture lasts minutes.
#[must_use]
pub fn nanoseconds_of_day(ts: &str) -> u64 {
    let time = ts.split_once('T').map(|(_, time)| time.trim_end_matches('Z')).expect("RFC 3339");
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let seconds = seconds.split(':').fold(0, |sum, part| sum * 60 + part.parse::<u64>().expect("a number"));
    seconds * 1_000_000_000 + format!("{fraction:0<9}").parse::<u64>().expect("a number")
}
