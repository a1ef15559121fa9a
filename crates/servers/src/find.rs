//! Where servers are installed.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Where `make servers` puts what it installs.
fn installed() -> PathBuf {
    let folder = |name| env::var_os(name).map(PathBuf::from);
    let cache = || folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    folder("SERVERS_DIR").or_else(|| Some(cache()?.join("trireme/servers"))).unwrap_or_default()
}

/// A program that `make servers` installed, or that is on the path.
pub fn program(name: &str) -> Option<PathBuf> {
    let installed = installed().join(name);
    if installed.is_file() { Some(installed) } else { on_path(name, Path::is_file) }
}

fn on_path(program: &str, accepts: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| accepts(path))
}

/// The folder of the newest installed version, where a distribution puts it, or the one on the path.
pub(crate) fn postgres() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, path)| path.join("initdb").exists())
        .collect();
    found.sort();
    let initdb = || on_path("initdb", Path::exists).and_then(|path| Some(path.parent()?.to_owned()));
    found.pop().map(|(_, path)| path).or_else(initdb)
}

pub(crate) fn mongod() -> Option<PathBuf> {
    on_path("mongod", is_program)
}

/// Java and the folder of the stand-in.
pub(crate) fn stand_in() -> Option<(PathBuf, PathBuf)> {
    let folder = installed().join("mongodb");
    let java = on_path("java", Path::exists)?;
    folder.join("out").is_dir().then_some((java, folder))
}

/// Java and the folder of Kafka.
pub(crate) fn kafka() -> Option<(PathBuf, PathBuf)> {
    let folder = installed().join("kafka");
    let java = on_path("java", Path::exists)?;
    folder.join("lib").is_dir().then_some((java, folder))
}

/// Java and the folder of OpenSearch.
pub(crate) fn opensearch() -> Option<(PathBuf, PathBuf)> {
    let folder = installed().join("opensearch");
    let java = on_path("java", Path::exists)?;
    folder.join("out").is_dir().then_some((java, folder))
}

pub(crate) fn nats() -> Option<PathBuf> {
    let installed = installed().join("nats-server");
    if is_program(&installed) { Some(installed) } else { on_path("nats-server", is_program) }
}

pub(crate) fn redis() -> Option<PathBuf> {
    on_path("redis-server", is_program)
}

/// Whether it is the server itself: a script of that name, as some package managers put on the path, starts another
/// process, which a signal to the script would not reach.
fn is_program(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"\xcf\xfa\xed\xfe"))
}

/// libfaketime for programs of many threads, where Debian's package `libfaketime` puts it.
pub fn faketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|path| path.is_file())
}
