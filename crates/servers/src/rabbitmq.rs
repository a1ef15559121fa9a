//! RabbitMQ: the broker itself, without the script of Debian that runs it as another user.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

/// Where Debian puts the script that starts the broker; the one on the path is not that.
const DEBIAN: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// The user of one that has a password.
const USER: &str = "trireme";

pub(crate) fn find() -> Option<PathBuf> {
    Some(PathBuf::from(DEBIAN)).filter(|path| path.is_file())
}

/// Writes what it is configured with.
pub(crate) fn prepare(folder: &Path, password: Option<&str>) -> io::Result<()> {
    let login = password.map(|password| format!("default_user = {USER}\ndefault_pass = {password}\n"));
    let settings = format!(
        "log.console = true\nlog.console.level = warning\nlog.file = false\ndisk_free_limit.absolute = 50MB\n{}",
        login.unwrap_or_default()
    );
    super::private(&folder.join("rabbitmq.conf"), &settings)?;
    super::private(&folder.join("enabled_plugins"), "[].\n")?;
    super::data_folder(folder)
}

/// The command that runs it on a port of 127.0.0.1, with a name and a port mapper of its own.
pub(crate) fn command(program: &Path, folder: &Path, port: u16) -> Command {
    // Nodes find each other by the port mapper; ours is for `rabbitmqctl` alone, and ends when nobody is registered.
    let mut command = Command::new(program);
    environment(&mut command, folder, port);
    command.env("RUNNING_UNDER_SYSTEMD", "true"); // the program takes the place of the script
    command
}

/// `rabbitmqctl` for the RabbitMQ that runs on a port, on the data of a folder.
pub fn control(folder: &Path, port: u16) -> Command {
    let mut command = Command::new(Path::new(DEBIAN).with_file_name("rabbitmqctl"));
    environment(&mut command, folder, port);
    command
}

fn environment(command: &mut Command, folder: &Path, port: u16) {
    let under = |name: &str| folder.join(name);
    // By default 20,000 above, where the system takes ports for outgoing connections, or where there are none any more.
    let distribution = 2_000 + port % 8_000;
    command
        .current_dir(folder)
        .env("HOME", folder) // the cookie
        .env("RABBITMQ_NODENAME", format!("trireme{port}@localhost"))
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", port.to_string())
        .env("RABBITMQ_MNESIA_BASE", under("data"))
        .env("RABBITMQ_LOG_BASE", folder)
        .env("RABBITMQ_CONFIG_FILE", under("rabbitmq"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", under("enabled_plugins"))
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_DIST_PORT", distribution.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +S 2:2");
}
