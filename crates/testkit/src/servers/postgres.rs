//! A PostgreSQL server, one for all tests of a process.

use std::{
    env, fs, io,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, OnceLock},
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use super::{Watch, missing};
use crate::free_port;

const VARIABLE: &str = "TEST_POSTGRES_URL";
/// Looks for an answer this often, and this many times.
const LOOKS: (Duration, u32) = (Duration::from_millis(50), 400);
/// For tests of other things than the disk; more connections than the default of 100, for many pools at once.
const SETTINGS: [&str; 4] =
    ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_connections=400"];

/// A server with as many databases as tests ask for.
#[derive(Debug)]
pub struct Postgres {
    url: String,
    own: Option<Mutex<Own>>,
}

/// A server that was started here.
#[derive(Debug)]
struct Own {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    running: Option<(Child, Watch)>,
}

impl Postgres {
    /// The server of this process, started by its first user; `None` where there is no PostgreSQL.
    pub async fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
        let server = SHARED.get_or_init(Self::find).as_ref()?;
        server.wait().await;
        Some(server)
    }

    /// A server of one test alone, which may kill it; `None` where there is no PostgreSQL, or only somebody else's.
    pub async fn alone() -> Option<Self> {
        let server = Self::find().filter(|server| server.own.is_some())?;
        server.wait().await;
        Some(server)
    }

    fn find() -> Option<Self> {
        if let Ok(url) = env::var(VARIABLE) {
            return Some(Self { url, own: None });
        }
        let Some(programs) = programs() else {
            missing("PostgreSQL", VARIABLE);
            return None;
        };
        let own = Own::start(programs).expect("PostgreSQL starts");
        Some(Self { url: format!("postgres://postgres@127.0.0.1:{}", own.port), own: Some(Mutex::new(own)) })
    }

    /// Makes an empty database and returns its address.
    pub async fn database(&self) -> String {
        let name = format!("test_{}", Uuid::now_v7().simple());
        let mut admin = self.wait().await;
        // The name is ours; PostgreSQL takes no parameter here.
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut admin).await.expect("a database");
        format!("{}/{name}", self.url.trim_end_matches('/'))
    }

    /// Kills the server with SIGKILL and starts it again on the same data and port.
    ///
    /// # Panics
    /// The server is not [`Self::alone`], or does not start again.
    pub async fn kill_and_restart(&self) {
        {
            let mut own = self.own.as_ref().expect("a server of our own").lock().expect("nobody panicked");
            own.kill();
            own.run().expect("PostgreSQL starts again");
        }
        self.wait().await;
    }

    async fn wait(&self) -> PgConnection {
        let url = format!("{}/postgres", self.url.trim_end_matches('/'));
        for _ in 0..LOOKS.1 {
            if let Ok(connection) = PgConnection::connect(&url).await {
                return connection;
            }
            tokio::time::sleep(LOOKS.0).await;
        }
        panic!("PostgreSQL does not answer; its log is beside its data");
    }
}

impl Own {
    fn start(programs: PathBuf) -> io::Result<Self> {
        let folder = crate::temp_dir().keep();
        if let Some((user, group)) = other_user() {
            chown(&folder, Some(user), Some(group))?;
        }
        let data = folder.join("data");
        let made = as_postgres(&programs.join("initdb"))
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()?;
        if !made.success() {
            return Err(io::Error::other("initdb failed"));
        }
        let mut own = Self { programs, folder, port: free_port(), running: None };
        own.run()?;
        Ok(own)
    }

    fn run(&mut self) -> io::Result<()> {
        let data = self.folder.join("data");
        let _ = fs::remove_file(data.join("postmaster.pid")); // of one that was killed
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log"))?;
        let mut command = as_postgres(&self.programs.join("postgres"));
        command.arg("-D").arg(&data).args(["-p", &self.port.to_string()]).stdin(Stdio::null());
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        let child = command.stdout(log.try_clone()?).stderr(log).spawn()?;
        let watch = Watch::over(child.id(), &self.folder)?;
        self.running = Some((child, watch));
        Ok(())
    }

    fn kill(&mut self) {
        if let Some((mut child, watch)) = self.running.take() {
            let children = super::children(child.id());
            let _ = child.kill(); // SIGKILL
            // As when the machine stops: a backend that lives on would keep the data from a new server.
            let killed = Command::new("kill").arg("-9").args(children).stderr(Stdio::null()).status();
            drop(killed);
            let _ = child.wait();
            watch.stop();
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder); // the temporary folder is emptied by the system at last
    }
}

/// The newest installed version, where a distribution puts it, or what is on the path.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, path)| path.join("initdb").exists())
        .collect();
    found.sort();
    let on_path = || env::split_paths(&env::var_os("PATH")?).find(|path| path.join("initdb").exists());
    found.pop().map(|(_, path)| path).or_else(on_path)
}

/// PostgreSQL refuses to run as root: then it runs as `postgres`.
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
