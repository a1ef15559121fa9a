//! The data directory: databases, secrets, logs, state, and the lock of the one supervisor.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use servers::Server;

use crate::{service::Service, state::State};

/// A data directory that exists.
#[derive(Clone, Debug)]
pub struct Data(PathBuf);

/// Held by the one supervisor of a data directory; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Data {
    /// Opens a data directory, and makes it, for this user only, where there is none.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path)?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.with_context(|| {
            format!("cannot make the data directory {}: name another with --data DIR", path.display())
        })?;
        Ok(Self(path))
    }

    /// Opens a data directory that `trireme up` has made before.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn open(path: &Path) -> Result<Self> {
        let data = Self(std::path::absolute(path)?);
        if !data.state_file().exists() {
            bail!("nothing was started in {}: run `trireme up` first, or name its --data DIR", data.0.display());
        }
        Ok(data)
    }

    /// A file or folder in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The log of a service where logs go to files.
    pub fn log(&self, service: Service) -> PathBuf {
        self.join("logs").join(format!("{service}.log"))
    }

    /// The log of a supervisor in the background.
    pub fn own_log(&self) -> PathBuf {
        self.join("logs").join("trireme.log")
    }

    /// Opens a log for a new run; what the run before wrote is kept beside it.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn new_log(&self, path: &Path) -> Result<File> {
        fs::create_dir_all(self.join("logs"))?;
        if path.exists() {
            fs::rename(path, path.with_extension("log.1"))?;
        }
        let options = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        options.with_context(|| format!("cannot write {}", path.display()))
    }

    /// The file with the secret of which the services' credentials are made.
    pub fn credential(&self) -> PathBuf {
        self.join("service.credential")
    }

    /// The file with the secret by which the payment provider signs its webhooks.
    pub fn webhook(&self) -> PathBuf {
        self.join("webhook.secret")
    }

    /// Makes the secrets that are missing: 256 random bits each, readable by this user only.
    ///
    /// # Errors
    ///
    /// They cannot be written.
    pub fn make_secrets(&self) -> Result<()> {
        for path in [self.credential(), self.webhook()] {
            make_secret(&path).with_context(|| format!("cannot write the secret {}", path.display()))?;
        }
        Ok(())
    }

    /// The file with the password of the servers that are started here.
    fn password_file(&self) -> PathBuf {
        self.join("servers.password")
    }

    /// The servers' password, made where there is none.
    ///
    /// # Errors
    ///
    /// It cannot be written or read.
    pub(crate) fn password(&self) -> Result<String> {
        let path = self.password_file();
        let read = make_secret(&path).and_then(|()| fs::read_to_string(&path));
        let text = read.with_context(|| format!("cannot use the secret {}", path.display()))?;
        Ok(text.trim_end().to_owned())
    }

    /// The address of the bus: a file, or the one of the servers that the services run on.
    ///
    /// # Errors
    ///
    /// The servers' password cannot be read.
    pub(crate) fn bus(&self, state: &State) -> Result<String> {
        let server = Server::BUSES.into_iter().find_map(|bus| Some((bus, state.server_port(bus)?)));
        match server {
            Some((bus, port)) => Ok(bus.url(port, Some(&self.password()?))),
            None => Ok(format!("sqlite://{}", self.join("bus.db").display())),
        }
    }

    /// The address of the cache and the locks, where the services run on servers.
    ///
    /// # Errors
    ///
    /// The servers' password cannot be read.
    pub(crate) fn redis(&self, state: &State) -> Result<Option<String>> {
        let Some(port) = state.server_port(Server::Redis) else { return Ok(None) };
        Ok(Some(Server::Redis.url(port, Some(&self.password()?))))
    }

    /// The address of a service's database.
    ///
    /// # Errors
    ///
    /// The servers' password cannot be read.
    pub(crate) fn database(&self, state: &State, service: Service) -> Result<String> {
        let server = if service == Service::Order { Server::MongoDb } else { Server::Postgres };
        match state.server_port(server) {
            Some(port) => Ok(format!("{}/{service}", server.url(port, Some(&self.password()?)))),
            None => Ok(format!("sqlite://{}", self.join(&format!("{service}.db")).display())),
        }
    }

    /// Takes the lock; `None` while another supervisor has it.
    ///
    /// # Errors
    ///
    /// The file cannot be opened or locked.
    pub fn lock(&self) -> Result<Option<Lock>> {
        let path = self.join("trireme.lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }

    /// What was written down by the last supervisor; the default where there was none.
    ///
    /// # Errors
    ///
    /// The file is not one that this command writes.
    pub fn state(&self) -> Result<State> {
        let path = self.state_file();
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .with_context(|| format!("{} cannot be read: remove it, and new ports will be picked", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(State::default()),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Writes the state down; a reader sees the old one or the new one.
    pub(crate) fn write_state(&self, state: &State) -> Result<()> {
        let draft = self.join("state.json.new");
        let mut text = serde_json::to_vec_pretty(state)?;
        text.push(b'\n');
        fs::write(&draft, text)
            .and_then(|()| fs::rename(&draft, self.state_file()))
            .context("cannot write the state file")
    }

    fn state_file(&self) -> PathBuf {
        self.join("state.json")
    }
}

fn make_secret(path: &Path) -> std::io::Result<()> {
    // Under its name only when it is whole: a process that is killed in between leaves no half a secret.
    let draft = path.with_extension("new");
    if path.exists() {
        return Ok(());
    }
    let _ = fs::remove_file(&draft);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let secret: [u8; 32] = rand::random();
    writeln!(file, "{}", hex::encode(secret))?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secrets_are_made_once_and_for_this_user_only() {
        let folder = tempfile::tempdir().unwrap();
        let data = Data::create(&folder.path().join("a/b")).unwrap();
        data.make_secrets().unwrap();
        let (first, other) = (fs::read(data.credential()).unwrap(), fs::read(data.webhook()).unwrap());
        assert_eq!(first.len(), 65);
        assert_ne!(first, other);
        for path in [data.credential(), data.webhook()] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::metadata(data.path()).unwrap().permissions().mode() & 0o777, 0o700);
        data.make_secrets().unwrap();
        assert_eq!(fs::read(data.credential()).unwrap(), first);
    }

    #[test]
    fn two_supervisors_do_not_share_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        let data = Data::create(folder.path()).unwrap();
        let lock = data.lock().unwrap().unwrap();
        assert!(data.lock().unwrap().is_none());
        drop(lock);
    }

    #[test]
    fn a_directory_without_state_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let said = Data::open(folder.path()).unwrap_err().to_string();
        assert!(said.contains("trireme up") && said.contains("--data"), "{said}");
    }

    #[test]
    fn logs_of_the_run_before_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let data = Data::create(folder.path()).unwrap();
        let path = data.log(Service::Order);
        writeln!(data.new_log(&path).unwrap(), "old").unwrap();
        writeln!(data.new_log(&path).unwrap(), "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(fs::read_to_string(path.with_extension("log.1")).unwrap(), "old\n");
    }
}
