//! A Lua script, sent by its hash and, where the server does not know it yet, by its source.

use redis_rs::Cmd;

/// A Lua script. Make it once, as a static.
#[derive(Debug)]
pub struct Script {
    source: &'static str,
    sha1: String,
}

impl Script {
    /// Takes the source.
    pub fn new(source: &'static str) -> Self {
        Self { source, sha1: redis_rs::Script::new(source).get_hash().to_owned() }
    }

    pub(crate) fn evalsha(&self, keys: &[&str], args: &[&[u8]]) -> Cmd {
        command("EVALSHA", &self.sha1, keys, args)
    }

    pub(crate) fn eval(&self, keys: &[&str], args: &[&[u8]]) -> Cmd {
        command("EVAL", self.source, keys, args)
    }
}

fn command(name: &str, script: &str, keys: &[&str], args: &[&[u8]]) -> Cmd {
    let mut command = redis_rs::cmd(name);
    command.arg(script).arg(keys.len()).arg(keys);
    for arg in args {
        command.arg(*arg);
    }
    command
}
