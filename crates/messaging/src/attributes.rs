//! The envelope in `CloudEvents` 1.0 terms, for brokers that carry headers (binary mode).
//!
//! Attribute names get the prefix of the binding: `ce_` for Kafka, `ce-` for NATS, `cloudEvents_` for AMQP.
//! The trace context is that of the event's creation and stands twice: as the distributed tracing extension, and under
//! its own name, where tracing libraries look. `x-canary` is there only when it is set.

use std::collections::HashMap;

use bytes::Bytes;
use telemetry::Carrier;
use uuid::Uuid;

use crate::{Error, Event};

const CONTENT_TYPE: &str = "content-type";
const JSON: &str = "application/json";
const CANARY: &str = "x-canary";
const TRACE: [&str; 2] = ["traceparent", "tracestate"];

impl Event {
    /// The headers of the event; the data is the message's body.
    pub fn to_headers(&self, prefix: &str) -> Vec<(String, String)> {
        let named = |name: &str, value: String| (format!("{prefix}{name}"), value);
        let mut headers = vec![
            named("specversion", "1.0".to_owned()),
            named("id", self.id.to_string()),
            named("type", self.kind.clone()),
            named("source", self.source.clone()),
            named("partitionkey", self.key.clone()),
            named("time", clock::rfc3339(self.time)),
            (CONTENT_TYPE.to_owned(), JSON.to_owned()),
        ];
        headers.extend(self.subject.clone().map(|subject| named("subject", subject)));
        let values = [&self.carrier.traceparent, &self.carrier.tracestate];
        for (name, value) in TRACE.into_iter().zip(values) {
            if let Some(value) = value {
                headers.push(named(name, value.clone()));
                headers.push((name.to_owned(), value.clone()));
            }
        }
        if self.carrier.canary {
            headers.push((CANARY.to_owned(), "true".to_owned()));
        }
        headers
    }

    /// Reads an event from its headers, whose names may be in any case, and its body.
    ///
    /// # Errors
    /// [`Error::Malformed`] when a required attribute is missing or unreadable, or the version is not 1.0.
    pub fn from_headers<'a>(
        prefix: &str,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        data: Bytes,
    ) -> Result<Self, Error> {
        let all: HashMap<String, &str> =
            headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        let prefix = prefix.to_ascii_lowercase();
        let attribute = |name: &str| all.get(&format!("{prefix}{name}")).copied();
        let required = |name: &str| attribute(name).ok_or_else(|| Error::Malformed(format!("no attribute {name}")));
        let bad = |name: &str| Error::Malformed(format!("bad attribute {name}"));
        if required("specversion")? != "1.0" {
            return Err(bad("specversion"));
        }
        let text = |name: &str| attribute(name).map(str::to_owned);
        Ok(Self {
            id: Uuid::parse_str(required("id")?).map_err(|_| bad("id"))?,
            kind: required("type")?.to_owned(),
            source: required("source")?.to_owned(),
            subject: text("subject"),
            key: required("partitionkey")?.to_owned(),
            time: clock::parse_rfc3339(required("time")?).ok_or_else(|| bad("time"))?,
            data,
            carrier: Carrier {
                traceparent: text(TRACE[0]).or_else(|| all.get(TRACE[0]).map(ToString::to_string)),
                tracestate: text(TRACE[1]).or_else(|| all.get(TRACE[1]).map(ToString::to_string)),
                canary: all.get(CANARY).is_some_and(|value| *value == "true"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn carrier() -> impl Strategy<Value = Carrier> {
        (
            proptest::option::of("00-[0-9a-f]{32}-[0-9a-f]{16}-01"),
            proptest::option::of("[a-z]=[a-z0-9]{1,9}"),
            any::<bool>(),
        )
            .prop_map(|(traceparent, tracestate, canary)| Carrier { traceparent, tracestate, canary })
    }

    proptest! {
        #[test]
        fn headers_round_trip(
            kind in "[a-z.]{1,20}v[12]", key in "\\PC{0,40}", subject in proptest::option::of("\\PC{0,20}"),
            micros in 0_i64..4_000_000_000_000_000, carrier in carrier(), prefix in "(ce-|ce_|cloudEvents_)",
        ) {
            let time = clock::from_micros(micros);
            let mut event = Event::new(&kind, "test", &key, time, 1).unwrap();
            event.subject = subject;
            event.carrier = carrier;
            let headers = event.to_headers(&prefix);
            let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let read = Event::from_headers(&prefix, pairs, event.data.clone()).unwrap();
            prop_assert_eq!(format!("{read:?}"), format!("{event:?}"));
        }

        /// What somebody else has written on the bus is refused, or read as what it says.
        #[test]
        fn no_headers_make_it_panic(others in proptest::collection::vec(attribute(), 0..4), body in any::<Vec<u8>>()) {
            let good = Event::new("k.v1", "test", "key", clock::from_micros(1), 1).unwrap().to_headers("ce-");
            // The last of a name counts.
            let headers = good.iter().chain(&others).map(|(name, value)| (name.as_str(), value.as_str()));
            let Ok(read) = Event::from_headers("ce-", headers, body.clone().into()) else { return Ok(()) };
            prop_assert_eq!(&read.data[..], &body[..]);
            let written = read.to_headers("ce-");
            let again = written.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let again = Event::from_headers("ce-", again, body.into()).unwrap();
            prop_assert_eq!((again.id, again.kind, again.key), (read.id, read.kind, read.key));
            prop_assert_eq!(clock::micros(again.time), clock::micros(read.time));
        }
    }

    /// A header of an event with a value that is good, almost good, or anything.
    fn attribute() -> impl Strategy<Value = (String, String)> {
        let name = "(ce-(specversion|id|type|source|subject|partitionkey|time|traceparent|x)|canary|traceparent)";
        let time =
            "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,12})?(Z|[+-][0-9]{2}:[0-9]{2})";
        let last = "9999-12-31T23:59:59[+-]0[0-9]:00";
        (name, prop_oneof!["1\\.0", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", time, last, "\\PC{0,40}"])
    }

    #[test]
    fn missing_attributes_are_named() {
        let error = Event::from_headers("ce-", [("ce-specversion", "1.0")], Bytes::new()).unwrap_err();
        assert_eq!(error.to_string(), "cannot read an event: no attribute id");
        let error = Event::from_headers("ce-", [("ce-specversion", "0.3")], Bytes::new()).unwrap_err();
        assert_eq!(error.to_string(), "cannot read an event: bad attribute specversion");
    }
}
