//! A Lua script, sent by its hash and, where the server does not know it yet, by its source.

use redis_rs::Cmd;

/// A Lua script. Make it once, as a static.
#[derive(Debug)]
pub struct Script {
    source: String,
    sha1: String,
}

impl Script {
    /// Takes the source.
    pub fn new(source: impl Into<String>) -> Self {
        let source = source.into();
        let sha1 = redis_rs::Script::new(&source).get_hash().to_owned();
        Self { source, sha1 }
    }

    /// Takes the source of a script whose keys are of these types: one of another type is removed, and the script begins
    /// anew. What it wrote before it came upon such a key it has to bear twice.
    pub(crate) fn healing(types: &[&str], source: &str) -> Self {
        let types = types.join("', '");
        let heal = include_str!("heal.lua");
        Self::new(format!("local types, healed = {{ '{types}' }}, false\nlocal function work()\n{source}\nend\n{heal}"))
    }

    pub(crate) fn evalsha(&self, keys: &[&str], args: &[&[u8]]) -> Cmd {
        command("EVALSHA", &self.sha1, keys, args)
    }

    pub(crate) fn eval(&self, keys: &[&str], args: &[&[u8]]) -> Cmd {
        command("EVAL", &self.source, keys, args)
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
