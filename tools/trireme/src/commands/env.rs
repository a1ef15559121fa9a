//! `trireme env`: where the services are, as a shell reads it.

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result};

use super::running;
use crate::{data::Data, output::Output, shop::Shop};

pub(crate) async fn run(path: &Path) -> Result<ExitCode> {
    let (state, output) = (running(&Data::open(path)?)?, Output::new());
    let here = std::env::current_exe().context("cannot find the own binary")?;
    if let Some(folder) = here.parent() {
        output.line(&format!("export PATH={}:\"$PATH\"", quoted(&folder.display().to_string())));
    }
    for service in &state.services {
        let name = service.name.name().to_uppercase();
        output.line(&format!("export {name}_URL={}", quoted(&service.addresses.http)));
        output.line(&format!("export {name}_GRPC={}", quoted(&service.addresses.grpc)));
    }
    let products = Shop::of(&state).products("").await?;
    if let Some(product) = products.iter().find(|product| product.available > 0) {
        output.line(&format!("export PRODUCT={}", quoted(&product.id)));
    }
    Ok(ExitCode::SUCCESS)
}

/// One word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_it_is_stays_one_word() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
