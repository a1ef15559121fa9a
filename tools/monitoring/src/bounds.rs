//! What each alert compares with its threshold: what a run measures to see whether the threshold is right.

use crate::{Alert, Slo, burn::BURNS};

/// The side of an alert that is measured, and what it is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The alert's name.
    pub alert: String,
    /// What is measured, in PromQL.
    pub measured: String,
    /// Whether more than the threshold is bad, and not less.
    pub above: bool,
    /// The threshold: a number, or some that are multiplied.
    pub threshold: String,
}

impl Bound {
    /// Of an alert whose expression ends with a comparison with a number; `None` of another, such as that nobody is there.
    pub(crate) fn of_alert(alert: &Alert) -> Option<Self> {
        let (operator, at) =
            [" > ", " < "].map(|one| (one, alert.expr.rfind(one))).into_iter().max_by_key(|one| one.1)?;
        let (measured, threshold) = alert.expr.split_at(at?);
        let threshold = threshold.strip_prefix(operator)?;
        let is_number = threshold.chars().all(|c| c.is_ascii_digit() || ". *".contains(c));
        is_number.then(|| Self {
            alert: alert.alert.clone(),
            measured: measured.to_owned(),
            above: operator == " > ",
            threshold: threshold.to_owned(),
        })
    }

    /// Of the fastest alert of an objective, in its short window.
    pub(crate) fn of_slo(slo: &Slo) -> Self {
        let burn = BURNS[0];
        Self {
            alert: slo.alert(),
            measured: format!("slo:errors:ratio_rate{}{{slo=\"{}\"}}", burn.short.name, slo.name),
            above: true,
            threshold: format!("{} * {}", burn.factor, slo.budget()),
        }
    }
}

impl Slo {
    /// After how many minutes the first alert tells of this part of all events being bad, where there were as many events
    /// before and all of them good; `None` where none does. A system that has just been started tells sooner.
    pub fn minutes_to_tell(&self, bad: f64) -> Option<f64> {
        let bad = bad.min(1.0);
        let tells = |factor: f64, minutes: u32| {
            let needed = factor * self.budget() / bad;
            (needed < 1.0).then_some(needed * f64::from(minutes))
        };
        BURNS.iter().filter_map(|burn| tells(burn.factor, burn.long.minutes)).min_by(f64::total_cmp)
    }
}
