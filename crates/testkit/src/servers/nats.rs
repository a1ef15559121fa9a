//! A NATS server with `JetStream`, one for all tests of a process.

use std::{
    env, fs, io,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, OnceLock},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
};
use uuid::Uuid;

use super::{Watch, missing};
use crate::free_port;

const VARIABLE: &str = "TEST_NATS_URL";
/// Looks for an answer this often, and this many times.
const LOOKS: (Duration, u32) = (Duration::from_millis(50), 400);

/// A server on which each test has names of its own.
#[derive(Debug)]
pub struct Nats {
    url: String,
    own: Option<Mutex<Own>>,
}

/// A server that was started here.
#[derive(Debug)]
struct Own {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    running: Option<(Child, Watch)>,
}

impl Nats {
    /// The server of this process, started by its first user; `None` where there is no NATS.
    pub async fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Nats>> = OnceLock::new();
        let server = SHARED.get_or_init(Self::find).as_ref()?;
        server.wait().await;
        Some(server)
    }

    /// A server of one test alone, which may kill it; `None` where there is no NATS, or only somebody else's.
    pub async fn alone() -> Option<Self> {
        let server = Self::find().filter(|server| server.own.is_some())?;
        server.wait().await;
        Some(server)
    }

    fn find() -> Option<Self> {
        if let Ok(url) = env::var(VARIABLE) {
            return Some(Self { url, own: None });
        }
        let Some(program) = program() else {
            missing("NATS", VARIABLE);
            return None;
        };
        let own = Own::start(program).expect("NATS starts");
        Some(Self { url: format!("nats://127.0.0.1:{}", own.port), own: Some(Mutex::new(own)) })
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// An address under which the names of streams are new.
    pub fn fresh(&self) -> String {
        format!("{}?prefix=test_{}", self.url, Uuid::now_v7().simple())
    }

    /// Kills the server with SIGKILL and starts it again on the same data and port.
    ///
    /// # Panics
    /// The server is not [`Self::alone`], or does not start again.
    pub async fn kill_and_restart(&self) {
        {
            let mut own = self.own.as_ref().expect("a server of our own").lock().expect("nobody panicked");
            own.kill();
            own.run().expect("NATS starts again");
        }
        self.wait().await;
    }

    /// Waits for the line with which the server greets.
    async fn wait(&self) {
        let address = self.url.rsplit(['/', '@']).next().unwrap_or_default();
        for _ in 0..LOOKS.1 {
            if let Ok(stream) = TcpStream::connect(address).await {
                let mut line = String::new();
                if BufReader::new(stream).read_line(&mut line).await.is_ok() && line.starts_with("INFO ") {
                    return;
                }
            }
            tokio::time::sleep(LOOKS.0).await;
        }
        panic!("NATS does not answer on {address}; its log is beside its data");
    }
}

impl Own {
    fn start(program: PathBuf) -> io::Result<Self> {
        let mut own = Self { program, folder: crate::temp_dir().keep(), port: free_port(), running: None };
        own.run()?;
        Ok(own)
    }

    fn run(&mut self) -> io::Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log"))?;
        let child = Command::new(&self.program)
            .args(["-js", "-a", "127.0.0.1", "-p", &self.port.to_string(), "-sd"])
            .arg(self.folder.join("data"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let watch = Watch::over(child.id(), &self.folder)?;
        self.running = Some((child, watch));
        Ok(())
    }

    fn kill(&mut self) {
        if let Some((mut child, watch)) = self.running.take() {
            let _ = child.kill(); // SIGKILL
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

/// The server itself: a script of that name, as some package managers put on the path, starts another process, which
/// a signal to the script would not reach.
fn program() -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"\xcf\xfa\xed\xfe"))
    };
    let folders = || env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join("nats-server")).find(is_program);
    let installed = super::installed().join("nats-server");
    if is_program(&installed) { Some(installed) } else { folders() }
}
