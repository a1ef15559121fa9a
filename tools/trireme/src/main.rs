//! The `trireme` binary.

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match trireme::cli::Arguments::parse().run().await {
        Ok(code) => code,
        Err(error) => {
            anstream::eprintln!("trireme: {error:#}");
            ExitCode::FAILURE
        }
    }
}
