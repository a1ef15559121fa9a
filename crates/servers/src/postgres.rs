//! PostgreSQL, which refuses to run as root.

use std::{
    fs, io,
    os::unix::fs::chown,
    path::Path,
    process::{Command, Stdio},
};

/// On a port of the loopback address only; more connections than the default of 100, for many pools at once.
const SETTINGS: [&str; 3] = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=400"];

pub(crate) fn prepare(programs: &Path, folder: &Path, password: Option<&str>) -> io::Result<()> {
    let data = folder.join("data");
    if data.join("PG_VERSION").exists() {
        return Ok(());
    }
    super::data_folder(folder)?;
    if let Some((user, group)) = other_user() {
        chown(&data, Some(user), Some(group))?;
    }
    let mut initdb = as_postgres(&programs.join("initdb"));
    initdb.args(["--username=postgres", "--encoding=UTF8", "--no-sync", "-D"]).arg(&data).stdout(Stdio::null());
    let file = folder.join("password");
    match password {
        Some(password) => {
            super::private(&file, password)?;
            if let Some((user, group)) = other_user() {
                chown(&file, Some(user), Some(group))?;
            }
            initdb.arg("--auth=scram-sha-256").arg("--pwfile").arg(&file);
        }
        None => {
            initdb.arg("--auth=trust");
        }
    }
    let made = initdb.status();
    if password.is_some() {
        fs::remove_file(file)?;
    }
    if made?.success() { Ok(()) } else { Err(io::Error::other("initdb failed")) }
}

pub(crate) fn command(programs: &Path, data: &Path, port: &str) -> Command {
    remove_stale_pid_file(data);
    let mut command = as_postgres(&programs.join("postgres"));
    command.arg("-D").arg(data).args(["-p", port]);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    command
}

/// Removes the pid file of a server that was killed, if its pid is some other program's by now: PostgreSQL would not
/// start. Where it is PostgreSQL's own, its processes may hold the data still, and it has to find out itself.
fn remove_stale_pid_file(data: &Path) {
    let file = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&file) else { return };
    let pid = text.lines().next().unwrap_or_default();
    if fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() != "postgres") {
        let _ = fs::remove_file(file); // PostgreSQL says so if it is in its way
    }
}

/// As root it runs as the user `postgres`.
fn as_postgres(program: &Path) -> Command {
    match other_user() {
        Some((user, group)) => {
            let mut command = Command::new("setpriv");
            command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups").arg(program);
            command.current_dir("/");
            command
        }
        None => Command::new(program),
    }
}

/// User and group `postgres`, if this is root.
fn other_user() -> Option<(u32, u32)> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?;
    if uid != "0" {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let mut fields = users.lines().find_map(|line| line.strip_prefix("postgres:"))?.split(':').skip(1);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
