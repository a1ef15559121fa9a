//! Who sends: the attributes of every span, metric and log record.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use uuid::Uuid;

use crate::otlp::Variables;

/// Name, version and instance of the process; what the environment says counts before it.
pub(crate) fn resource(service: &'static str, version: &'static str, variables: &Variables) -> Resource {
    let own = [
        KeyValue::new("telemetry.sdk.name", "opentelemetry"),
        KeyValue::new("telemetry.sdk.language", "rust"),
        KeyValue::new("service.name", service),
        KeyValue::new("service.version", version),
        // New for each process.
        KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
    ];
    let given = variables.attributes().into_iter().map(|(key, value)| KeyValue::new(key, value));
    let name = variables.name().map(|name| KeyValue::new("service.name", name.to_owned()));
    // Of two with the same key the last one counts.
    Resource::builder_empty().with_attributes(own).with_attributes(given).with_attributes(name).build()
}

#[cfg(test)]
mod tests {
    use opentelemetry::Key;

    use super::*;

    fn read(vars: &[(&str, &str)]) -> impl Fn(&'static str) -> Option<String> + use<> {
        let all = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let resource = resource("order", "1.2.3", &Variables::of(all).unwrap());
        move |key| resource.get(&Key::from_static_str(key)).map(|value| value.to_string())
    }

    #[test]
    fn a_service_says_who_it_is() {
        let read = read(&[("OTEL_SERVICE_NAME", "")]);
        assert_eq!(
            (read("service.name").as_deref(), read("service.version").as_deref()),
            (Some("order"), Some("1.2.3"))
        );
        assert_eq!(read("service.instance.id").map(|id| id.len()), Some(36));
    }

    #[test]
    fn what_the_environment_says_counts() {
        let attributes = "service.instance.id=pod-1,service.name=other,team=night%20watch";
        let named = read(&[("OTEL_RESOURCE_ATTRIBUTES", attributes)]);
        assert_eq!((named("service.name").as_deref(), named("team").as_deref()), (Some("other"), Some("night watch")));
        assert_eq!(named("service.instance.id").as_deref(), Some("pod-1"));
        let named = read(&[("OTEL_RESOURCE_ATTRIBUTES", attributes), ("OTEL_SERVICE_NAME", "order-eu")]);
        assert_eq!(named("service.name").as_deref(), Some("order-eu"));
    }
}
