//! What is compared with thresholds, and how soon an objective tells.

use monitoring::Bound;

use crate::sources;

fn bound(alert: &str) -> Option<Bound> {
    sources().bounds().into_iter().find(|bound| bound.alert == alert)
}

#[test]
fn the_side_that_is_measured_is_told_from_the_threshold() {
    let found = |alert: &str| bound(alert).map(|bound| (bound.measured, bound.above, bound.threshold)).unwrap();
    let outbox = "max by (job) (messaging_outbox_oldest_age_seconds)".to_owned();
    assert_eq!(found("OutboxLag"), (outbox, true, "30".to_owned()));
    let key = "min by (job) (user_signing_key_remaining_seconds)".to_owned();
    assert_eq!(found("SigningKeyAging"), (key, false, "3600".to_owned()));
    let login = "slo:errors:ratio_rate5m{slo=\"Login\"}".to_owned();
    assert_eq!(found("LoginErrorBudgetBurn"), (login, true, "14.4 * 0.001".to_owned()));
}

#[test]
fn what_is_there_or_not_and_what_others_measure_has_no_bound() {
    for alert in ["ServiceDown", "CollectorDown", "SpansMissing", "CertificateExpiring", "DiskFilling"] {
        assert_eq!(bound(alert), None);
    }
}

#[test]
fn the_more_is_bad_the_sooner_an_objective_tells() {
    let minutes = |name: &str, bad: f64| {
        let slo = sources().slos.slos.into_iter().find(|slo| slo.name == name).unwrap();
        slo.minutes_to_tell(bad).map(|minutes| (minutes * 100.0).round() / 100.0)
    };
    // 1.44 % of an hour, 72 % of an hour.
    assert_eq!(minutes("Login", 1.0), Some(0.86));
    assert_eq!(minutes("PlaceOrderLatency", 1.0), Some(43.2));
    assert_eq!(minutes("Login", 0.1), Some(8.64));
    // Ten times the budget is too slow for the windows of an hour, and half of it for all.
    assert_eq!(minutes("Login", 0.01), Some(216.0));
    assert_eq!(minutes("Login", 0.0005), None);
}
