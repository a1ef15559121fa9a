//! A Lua script, sent by its hash and, where the server does not know it yet, whole.

use redis_rs::Cmd;

/// A Lua script. Make it once, as a static.
#[derive(Debug)]
pub struct Script {
    source: &'static str,
    hash: String,
}

impl Script {
    /// Takes the source.
    pub fn new(source: &'static str) -> Self {
        Self { source, hash: redis_rs::Script::new(source).get_hash().to_owned() }
    }

    pub(crate) fn by_hash(&self, keys: &[&str], args: &[&[u8]]) -> Cmd {
        command("EVALSHA", &self.hash, keys, args)
    }

    pub(crate) fn whole(&self, keys: &[&str], args: &[&[u8]]) -> Cmd {
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
