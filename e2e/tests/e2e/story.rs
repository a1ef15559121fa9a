//! The README's promise: `trireme demo --once` tells the story, proves it and ends with 0.

use std::process::{Command, Stdio};

use anyhow::Result;
use e2e::binary;

#[test]
fn the_demo_tells_its_story_and_proves_it() -> Result<()> {
    let data = tempfile::tempdir()?;
    let output = Command::new(binary("trireme")?)
        .args(["demo", "--once", "--data"])
        .arg(data.path())
        .stdin(Stdio::null())
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    for word in ["confirmed", "cancelled", "refunded"] {
        assert!(printed.contains(word), "the story does not tell of an order that is {word}:\n{printed}");
    }
    assert!(!printed.contains('\u{1b}'), "colours belong on a terminal only");
    Ok(())
}
