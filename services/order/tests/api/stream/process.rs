//! The real binary, alone: its bus is a file, and its keys are served here.
#![allow(dead_code, reason = "the tests and the benchmark use a part each")]

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use auth::{AUDIENCE, Claims, ISSUER, JwkSet, Role, Signer};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Signs tokens, and serves the key.
pub(crate) struct Issuer {
    signer: Signer,
    address: SocketAddr,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let signer = Signer::from_pkcs8("test", &Signer::generate_pkcs8().unwrap()).unwrap();
        let keys = serde_json::to_string(&JwkSet { keys: vec![signer.jwk().clone()] }).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
        let answer = format!("{head}content-length: {}\r\n\r\n{keys}", keys.len());
        TaskTracker::new().spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { signer, address }
    }

    pub(crate) fn token(&self, id: Uuid, role: Role) -> String {
        let now = clock::system().now().unix_timestamp();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: id,
            sid: Uuid::new_v4(),
            iat: now,
            exp: now + 600,
            jti: Uuid::new_v4(),
            role,
        };
        self.signer.sign(&claims).unwrap()
    }
}

/// A process; it is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Process {
    /// Starts one that is called `name`, in a folder that others share the bus in.
    pub(crate) fn start(folder: &testkit::TempDir, name: &str, issuer: &Issuer, streams: usize) -> Self {
        Self::start_with(folder, name, issuer, streams, &[])
    }

    /// The same with variables of its environment.
    pub(crate) fn start_with(
        folder: &testkit::TempDir,
        name: &str,
        issuer: &Issuer,
        streams: usize,
        variables: &[(&str, &str)],
    ) -> Self {
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "never shown\n").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_order"));
        command
            .env("TRIREME_DATABASE__URL", testkit::sqlite_url(folder, &format!("{name}.db")))
            .env("TRIREME_BUS__URL", testkit::sqlite_url(folder, "bus.db"))
            .env("TRIREME_SERVICE__CREDENTIAL_FILE", &secret)
            .env("TRIREME_AUTH__JWKS_URL", format!("http://{}/keys", issuer.address))
            .env("TRIREME_STREAMS__MAX_OPEN", streams.to_string())
            .env("TRIREME_STREAMS__MAX_PER_ACCOUNT", streams.to_string())
            .env("TRIREME_TELEMETRY__FORMAT", "json")
            .envs(variables.iter().copied())
            .envs(["HTTP", "GRPC", "ADMIN"].map(|port| (format!("TRIREME_{port}__PORT"), "0")));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut logged = lines.map_while(Result::ok).filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        let mut ready = logged.by_ref().filter(|line| line["ready_ms"].is_number());
        let ready =
            ready.find_map(|line| Some((line["http"].as_str()?.parse().ok()?, line["admin"].as_str()?.parse().ok()?)));
        // Somebody reads on, as where it is in use.
        std::thread::spawn(move || logged.for_each(drop));
        let (address, admin) = ready.expect("a process that is ready");
        Self { child, address, admin }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// As sudden as kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
