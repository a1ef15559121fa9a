//! `trireme demo`.

use anyhow::Result;

use crate::{
    folder::Folder,
    state::State,
    story,
    supervisor::Logs,
    terminal::{BOLD, DIM},
    up, verify,
};

/// Brings everything up, tells the story, proves it, and stays up unless `once`.
pub(crate) async fn demo(folder: &Folder, once: bool) -> Result<()> {
    let supervisor = up::start(folder, Logs::Files).await?;
    let told = tell(folder).await;
    if once || told.is_err() {
        supervisor.stop().await;
        return told;
    }
    invite(folder)?;
    up::wait_for_the_end(&supervisor).await
}

async fn tell(folder: &Folder) -> Result<()> {
    story::tell(folder).await?;
    anstream::println!("\n{BOLD}And the books add up{BOLD:#}");
    verify::verify(folder).await
}

/// What to try next.
fn invite(folder: &Folder) -> Result<()> {
    let state = State::running(folder)?;
    let (user, order, shown) = (&state.service("user")?.http, &state.service("order")?.http, folder.path().display());
    let pid = state.service("payment")?.pid.unwrap_or_default();
    anstream::println!(
        "\n{BOLD}Everything is still running. Try it{BOLD:#}
  curl {order}/v1/products?query=tea
  curl {user}/v1/users -H 'content-type: application/json' \\
       -d '{{\"email\":\"you@example.org\",\"name\":\"You\",\"password\":\"at least 8 characters\"}}'
  curl {order}/openapi.json
  kill -9 {pid}    {DIM}# payment: it comes back, and nothing is lost{DIM:#}
  trireme status --data {shown}
  trireme verify --data {shown}
{DIM}logs in {shown}/logs; Ctrl-C stops everything{DIM:#}"
    );
    Ok(())
}
