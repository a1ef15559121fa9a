//! From the bus' URL to the settings of the client library.

use std::time::Duration;

use messaging::Error;
use percent_encoding::percent_decode_str;
use rdkafka::ClientConfig;

use crate::{names::Names, security::Security, topics::Limits};

const PARAMETERS: &str = "prefix, partitions, replicas, min_insync, max_age, protocol, sasl, token_file, ca, cert, key";

/// What the URL says.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) names: Names,
    pub(crate) limits: Limits,
    /// Whether the brokers assign partitions themselves (KIP-848).
    pub(crate) brokers_assign: bool,
    pub(crate) security: Security,
    hosts: String,
}

impl Options {
    /// Reads `kafka://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…][?NAME=VALUE&…]`; `kafka+ssl://` is TLS.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let (scheme, authority) = address.split_once("://").unwrap_or_default();
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let hosts = hosts.trim_end_matches('/');
        if !matches!(scheme, "kafka" | "kafka+ssl") || !hosts.split(',').all(is_host) {
            return Err(Error::Address("write kafka://HOST:9092 or kafka+ssl://HOST:9093".to_owned()));
        }
        let mut options = Self {
            names: Names::new("trireme")?,
            limits: Limits::default(),
            brokers_assign: true,
            security: Security::default(),
            hosts: hosts.to_owned(),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            options.set(name, &decoded(value)?)?;
        }
        let login = (!login.is_empty()).then(|| {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            Ok::<_, Error>((decoded(user)?, decoded(password)?))
        });
        options.security.close(scheme == "kafka+ssl", login.transpose()?)?;
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let limits = &mut self.limits;
        match name {
            "prefix" => self.names = Names::new(value)?,
            "partitions" => limits.partitions = number(name, value, 256)?,
            "replicas" => limits.replicas = number(name, value, 9)?,
            "min_insync" => limits.min_insync = Some(number(name, value, 9)?),
            "max_age" => limits.max_age = age(value)?,
            "protocol" => {
                self.brokers_assign = match value {
                    "consumer" => true,
                    "classic" => false,
                    _ => return Err(Error::Address("protocol is consumer or classic".to_owned())),
                }
            }
            _ if self.security.set(name, value)? => {}
            _ => return Err(Error::Address(format!("unknown parameter `{name}`; known are {PARAMETERS}"))),
        }
        Ok(())
    }

    /// Settings of any client.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.hosts);
        for (name, value) in self.security.settings() {
            config.set(name, value);
        }
        config.set("client.id", "trireme");
        config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "500");
        config.set("retry.backoff.max.ms", "500");
        config.set("log.connection.close", "false");
        config
    }

    /// Settings of a producer that stores each record once and in order, on every copy that is in step.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config.set("enable.idempotence", "true").set("acks", "all");
        config.set("partitioner", "murmur2").set("linger.ms", "1");
        // As long as outboxes wait for an answer.
        config.set("message.timeout.ms", "10000");
        config
    }

    /// Settings of a consumer that commits nothing by itself.
    pub(crate) fn consumer(&self) -> ClientConfig {
        let mut config = self.client();
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        config.set("auto.offset.reset", "earliest");
        config.set("fetch.wait.max.ms", "500").set("fetch.error.backoff.ms", "100");
        config
    }
}

fn is_host(text: &str) -> bool {
    let (host, port) = text.rsplit_once(':').unwrap_or_default();
    !host.is_empty() && port.parse::<u16>().is_ok()
}

fn decoded(text: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| Error::Address("a parameter is no text".to_owned()))
}

fn number(name: &str, value: &str, most: i32) -> Result<i32, Error> {
    let number = value.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| Error::Address(format!("{name} is a number from 1 to {most}")))
}

/// Reads `7d`, `12h`, `90m` or `30s`.
fn age(text: &str) -> Result<Duration, Error> {
    let seconds = |unit| match unit {
        "d" => Some(86_400),
        "h" => Some(3_600),
        "m" => Some(60),
        "s" => Some(1),
        _ => None,
    };
    let split = text.split_at_checked(text.len().saturating_sub(1));
    let age = split.and_then(|(number, unit)| number.parse::<u64>().ok()?.checked_mul(seconds(unit)?));
    age.filter(|age| *age > 0)
        .map(Duration::from_secs)
        .ok_or_else(|| Error::Address("max_age is written 7d, 12h, 90m or 30s".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(url: &str, name: &str) -> Option<String> {
        Options::parse(url).unwrap().client().get(name).map(str::to_owned)
    }

    #[test]
    fn hosts_and_logins_are_read() {
        let url = "kafka+ssl://us%40er:pass%3Aword@a:9093,b:9093?prefix=shop&sasl=SCRAM-SHA-512&ca=/etc/ca.pem";
        for (name, value) in [
            ("bootstrap.servers", "a:9093,b:9093"),
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanisms", "SCRAM-SHA-512"),
            ("sasl.username", "us@er"),
            ("sasl.password", "pass:word"),
            ("ssl.ca.location", "/etc/ca.pem"),
        ] {
            assert_eq!(setting(url, name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(Options::parse(url).unwrap().names.events(), "shop.events");
        let debug = format!("{:?}", Options::parse(url).unwrap());
        assert!(!debug.contains("pass") && !debug.contains("er@"), "{debug}");
        for (url, protocol) in [
            ("kafka://h:9092", "plaintext"),
            ("kafka://u:p@h:9092", "sasl_plaintext"),
            ("kafka+ssl://h:9092?cert=/c.pem&key=/c.key", "ssl"),
            ("kafka+ssl://h:9092?sasl=OAUTHBEARER&token_file=/token", "sasl_ssl"),
        ] {
            assert_eq!(setting(url, "security.protocol").as_deref(), Some(protocol), "{url}");
        }
        assert_eq!(setting("kafka://u:p@h:9092", "sasl.mechanisms").as_deref(), Some("PLAIN"));
        assert_eq!(setting("kafka+ssl://h:9092", "ssl.ca.location").as_deref(), Some("probe"));
    }

    #[test]
    fn a_wrong_url_says_what_to_write_and_no_secret() {
        for (url, said) in [
            ("kafka://h:9092?replica=3", "unknown parameter `replica`; known are prefix, partitions"),
            ("kafka://h:9092?partitions=0", "partitions is a number from 1 to 256"),
            ("kafka://h:9092?max_age=7", "max_age is written 7d"),
            ("kafka://h:9092?prefix=a.b", "prefix may hold"),
            ("kafka://h:9092?protocol=old", "protocol is consumer or classic"),
            ("kafka://h:9092?sasl=PLAIN", "sasl needs USER:PASSWORD"),
            ("kafka://u:secret@h:99999", "write kafka://HOST:9092"),
            ("kafka://u:secret@h:9092?sasl=GSSAPI", "sasl is one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER"),
            ("kafka://secret@h:9092", "write USER:PASSWORD@"),
            ("kafka://:secret@h:9092", "write USER:PASSWORD@"),
            ("kafka+ssl://h:9093?sasl=OAUTHBEARER", "write sasl=OAUTHBEARER&token_file=PATH"),
            ("kafka+ssl://h:9093?token_file=/token", "write sasl=OAUTHBEARER&token_file=PATH"),
            ("kafka+ssl://u:secret@h:9093?token_file=/token&sasl=PLAIN", "write sasl=OAUTHBEARER&token_file=PATH"),
            ("kafka+ssl://u:secret@h:9093?token_file=/token&sasl=OAUTHBEARER", "write no USER:PASSWORD@"),
            ("kafka+ssl://h:9093?token_file=&sasl=OAUTHBEARER", "token_file is the path of a file"),
            ("kafka+ssl://h:9093?cert=/c.pem", "write both cert and key"),
            ("kafka+ssl://h:9093?key=/c.key", "write both cert and key"),
            ("kafka://h:9092?ca=/ca.pem", "ca is for TLS: write kafka+ssl://"),
            ("kafka://h:9092?cert=/c.pem&key=/c.key", "cert is for TLS: write kafka+ssl://"),
        ] {
            let error = Options::parse(url).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("secret"), "{error}");
        }
    }

    /// Which of the two a build is, the client library says; `make kafka-tls` runs this with the other one.
    #[test]
    fn what_needs_openssl_is_refused_by_a_build_without_it() {
        for url in [
            "kafka+ssl://h:9093",
            "kafka://u:hush@h:9092?sasl=SCRAM-SHA-256",
            "kafka://h:9092?sasl=OAUTHBEARER&token_file=/t",
        ] {
            let security = Options::parse(url).unwrap().security;
            let features = ClientConfig::new().create_native_config().unwrap().get("builtin.features").unwrap();
            match security.is_built_in().map_err(|error| error.to_string()) {
                Ok(()) => assert!(features.contains("sasl_scram,") && features.contains("sasl_oauthbearer"), "{url}"),
                Err(error) => {
                    assert!(!features.contains("sasl_scram"), "{url}");
                    assert!(error.contains("feature `kafka-tls`") && !error.contains("hush"), "{error}");
                }
            }
        }
        Options::parse("kafka://u:hush@h:9092").unwrap().security.is_built_in().unwrap();
    }
}
