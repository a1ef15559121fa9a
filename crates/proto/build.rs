//! Compiles the .proto files with protox, so that no protoc is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const FILES: [(&str, &str); 2] = [("user", "user/v1/user.proto"), ("payment", "payment/v1/payment.proto")];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for (package, file) in FILES {
        println!("cargo::rerun-if-changed={}", root.join(file).display());
        let descriptors = protox::compile([file], [&root])?;
        // Each server shows what it serves.
        fs::write(out.join(format!("{package}.bin")), descriptors.encode_to_vec())?;
        tonic_prost_build::configure().compile_fds(descriptors)?;
    }
    Ok(())
}
