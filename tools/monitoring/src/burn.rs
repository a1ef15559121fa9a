//! How fast an error budget may be used before somebody is told: multiwindow, multi-burn-rate alerts, as in the Site
//! Reliability Workbook, chapter 5, table 5-8.

/// An alert fires while both windows see errors come faster than `factor` times the rate at which the budget of 30 days
/// lasts exactly 30 days. The long one says that it matters, the short one that it still goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Burn {
    pub(crate) long: Window,
    pub(crate) short: Window,
    pub(crate) factor: f64,
    /// `page` or `ticket`.
    pub(crate) severity: &'static str,
}

/// A window as PromQL writes it, and its minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) name: &'static str,
    pub(crate) minutes: u32,
}

const fn window(name: &'static str, minutes: u32) -> Window {
    Window { name, minutes }
}

const M5: Window = window("5m", 5);
const M30: Window = window("30m", 30);
const H1: Window = window("1h", 60);
const H2: Window = window("2h", 120);
const H6: Window = window("6h", 360);
const D1: Window = window("1d", 1440);
const D3: Window = window("3d", 4320);

/// Every window of [`BURNS`], shortest first.
pub(crate) const WINDOWS: [Window; 7] = [M5, M30, H1, H2, H6, D1, D3];

/// 2 % of the budget in an hour and 5 % in six hours wake somebody; 10 % in one or three days are a ticket.
pub(crate) const BURNS: [Burn; 4] = [
    Burn { long: H1, short: M5, factor: 14.4, severity: "page" },
    Burn { long: H6, short: M30, factor: 6.0, severity: "page" },
    Burn { long: D1, short: H2, factor: 3.0, severity: "ticket" },
    Burn { long: D3, short: H6, factor: 1.0, severity: "ticket" },
];
