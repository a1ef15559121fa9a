//! A server that was started here.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use servers::{Installed, Server};

#[derive(Debug)]
pub(super) struct Own {
    server: Server,
    installed: Installed,
    options: Vec<String>,
    folder: PathBuf,
    pub(super) port: u16,
    running: Option<(Child, Watch)>,
}

impl Own {
    /// Starts it on `port`, with `options` after those that it has anyway.
    pub(super) fn start(server: Server, installed: Installed, port: u16, options: &[&str]) -> io::Result<Self> {
        Self::guarded(server, installed, port, None, options)
    }

    /// The same, of a server that asks for a password.
    pub(super) fn guarded(
        server: Server,
        installed: Installed,
        port: u16,
        password: Option<&str>,
        options: &[&str],
    ) -> io::Result<Self> {
        let folder = crate::temp_dir().keep();
        // PostgreSQL has another user when this is root.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o711))?;
        installed.prepare(&folder, password)?;
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut own = Self { server, installed, options, folder, port, running: None };
        own.run()?;
        Ok(own)
    }

    pub(super) fn run(&mut self) -> io::Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log"))?;
        let mut command = self.installed.command(&self.folder, self.port);
        if self.server == Server::Postgres {
            // What is written survives the process; the machine's death is not tested.
            command.args(["-c", "fsync=off"]);
        }
        let child = command.args(&self.options).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let watch = Watch::over(child.id(), &self.folder)?;
        self.running = Some((child, watch));
        Ok(())
    }

    /// The folder of its data.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Tells a RabbitMQ something by its own tool.
    pub(super) fn control(&self, words: &[&str]) -> io::Result<std::process::ExitStatus> {
        servers::control(&self.folder, self.port).args(words).stdout(Stdio::null()).status()
    }

    pub(super) fn runs(&self) -> bool {
        self.running.is_some()
    }

    pub(super) fn kill(&mut self) {
        if let Some((mut child, watch)) = self.running.take() {
            // Stopped, it starts no more children than are seen here.
            send("STOP", &[child.id().to_string()]);
            let children = children(child.id());
            let _ = child.kill(); // SIGKILL
            // As when the machine stops: a PostgreSQL backend that lives on would keep the data from a new server.
            send("KILL", &children);
            let _ = child.wait();
            gone(&children);
            watch.stop();
        }
    }

    /// To the process and those it has started.
    pub(super) fn signal(&self, name: &str) {
        if let Some((child, _)) = &self.running {
            let mut pids = children(child.id());
            pids.push(child.id().to_string());
            send(name, &pids);
            if name == "STOP" {
                reach(&pids, &['T', 'Z']);
            }
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder); // the temporary folder is emptied by the system at last
    }
}

fn send(signal: &str, pids: &[String]) {
    if !pids.is_empty() {
        // One that has ended meanwhile is none to worry about.
        let _ = Command::new("kill").arg(format!("-{signal}")).args(pids).stderr(Stdio::null()).status();
    }
}

/// The processes that a process has started and that still run.
fn children(parent: u32) -> Vec<String> {
    let status = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse::<u32>().ok()?;
        let text = fs::read_to_string(entry.path().join("status")).ok()?;
        let of = text.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse::<u32>().ok()?;
        (of == parent).then(|| pid.to_string())
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(status).collect()
}

/// Waits until killed processes have let go of what they held; one whose parent has not asked for its end yet has.
fn gone(pids: &[String]) {
    reach(pids, &['Z']);
}

/// Waits until processes are gone or in one of these states of proc(5).
#[expect(
    clippy::disallowed_methods,
    reason = "it waits for the system, a moment, and is called where a test blocks anyway"
)]
fn reach(pids: &[String], states: &[char]) {
    let elsewhere = |pid: &String| {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        text.lines().any(|line| line.starts_with("State:") && !line.contains(states))
    };
    for _ in 0..500 {
        if !pids.iter().any(elsewhere) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process that kills another and removes its folder as soon as this one ends, however it ends.
#[derive(Debug)]
struct Watch(Child);

impl Watch {
    fn over(pid: u32, folder: &Path) -> io::Result<Self> {
        Command::new("sh")
            .args(["-c", "read _; kill -9 \"$0\"; sleep 0.2; rm -rf \"$1\""])
            .arg(pid.to_string())
            .arg(folder)
            .stdin(Stdio::piped()) // closed by the system when we are gone
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Self)
    }

    /// Calls it off.
    fn stop(mut self) {
        let _ = self.0.kill(); // it may have ended
        let _ = self.0.wait();
    }
}
