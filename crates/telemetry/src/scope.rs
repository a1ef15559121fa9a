//! What is current while one request or message is being handled.

use std::time::Duration;

use futures::{Stream, stream::poll_fn};
use opentelemetry::{
    Context,
    context::FutureExt as _,
    trace::{SpanContext, TraceContextExt as _, TraceId},
};
use semconv::attributes::CANARY;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{Carrier, traceparent};

#[derive(Clone, Debug)]
struct Scope {
    carrier: Carrier,
    trace: TraceId,
    deadline: Option<Instant>,
}

tokio::task_local! {
    static SCOPE: Scope;
}

impl Scope {
    fn new(carrier: Carrier, deadline: Option<Instant>, span: &Span) -> Self {
        let own = span.context().span().span_context().trace_id();
        let remote = carrier.remote().map(|remote| remote.trace_id());
        let known = [Some(own), remote].into_iter().flatten().find(|id| *id != TraceId::INVALID);
        let trace = known.unwrap_or_else(|| TraceId::from(rand::random::<u128>()));
        Self { carrier, trace, deadline }
    }
}

/// Where spans belong that have no other above them in this process.
fn under(remote: Option<SpanContext>) -> Context {
    remote.map_or_else(Context::current, |remote| Context::new().with_remote_span_context(remote))
}

/// Runs `future` as the handling of something that came with `carrier` and has to end by `deadline`.
///
/// The remote parent is set before `span` is entered for the first time, as tracing-opentelemetry demands. With
/// [`Span::none`] it is the parent of the spans inside.
/// Inside, [`canary`], [`deadline`], [`trace_id`] and [`Carrier::current`] answer for it. A deadline of an enclosing
/// scope stays in force.
pub async fn scope<F: Future>(carrier: &Carrier, deadline: Option<Instant>, span: Span, future: F) -> F::Output {
    let context = under(carrier.remote());
    if carrier.remote().is_some() {
        // Refused only where no telemetry is installed, and then there is nothing to continue.
        let _ = span.set_parent(context.clone());
    }
    if carrier.canary {
        span.set_attribute(CANARY.name, true);
    }
    let deadline = [deadline, self::deadline()].into_iter().flatten().min();
    let scope = Scope::new(carrier.clone(), deadline, &span);
    SCOPE.scope(scope, future.instrument(span)).with_context(context).await
}

/// A stream whose items are made as part of what is handled now, whoever asks for them and however much later: without its
/// deadline, and under its span, which may have ended.
pub fn carried<S: Stream>(stream: S) -> impl Stream<Item = S::Item> {
    let carrier = Carrier::current();
    let context = under(carrier.remote());
    let scope = Scope::new(carrier, None, &Span::none());
    let mut stream = Box::pin(stream);
    poll_fn(move |task| {
        let _attached = context.clone().attach();
        SCOPE.sync_scope(scope.clone(), || stream.as_mut().poll_next(task))
    })
}

/// Runs `future` as work that somebody has left for later and nobody waits for: a trace of its own, linked to the span that
/// `cause` comes from, and under its canary mark.
pub async fn background<F: Future>(cause: &Carrier, deadline: Option<Instant>, span: Span, future: F) -> F::Output {
    link(&span, cause);
    let carrier = Carrier { canary: cause.canary, ..Carrier::default() };
    scope(&carrier, deadline, span, future).await
}

fn read<T>(of: impl FnOnce(&Scope) -> T) -> Option<T> {
    SCOPE.try_with(of).ok()
}

/// Whether what is being handled is marked for the canary.
pub fn canary() -> bool {
    read(|scope| scope.carrier.canary).unwrap_or_default()
}

/// When what is being handled has to have ended.
pub fn deadline() -> Option<Instant> {
    read(|scope| scope.deadline).flatten()
}

/// Returns the time until [`deadline`], at most `cap`.
pub fn remaining(cap: Duration) -> Duration {
    deadline().map_or(cap, |deadline| deadline.saturating_duration_since(Instant::now()).min(cap))
}

/// The id of the current trace: 32 hexadecimal digits. `None` outside any [`scope`] and span.
pub fn trace_id() -> Option<String> {
    let current = || Some(Context::current().span().span_context().trace_id()).filter(|id| *id != TraceId::INVALID);
    read(|scope| scope.trace).or_else(current).map(|id| id.to_string())
}

/// Links `span` to the span that the carrier comes from: caused by it, but not its child.
pub fn link(span: &Span, carrier: &Carrier) {
    if let Some(remote) = carrier.remote() {
        span.add_link(remote);
    }
}

impl Carrier {
    /// Returns what the next hop gets: the current span and the canary mark of the current [`scope()`].
    pub fn current() -> Self {
        let context = Context::current();
        let span = context.span();
        let span = span.span_context();
        if span.is_valid() {
            let state = Some(span.trace_state().header()).filter(|state| !state.is_empty());
            return Self { traceparent: Some(traceparent::format(span)), tracestate: state, canary: canary() };
        }
        // No span is recorded here: what came in is passed on.
        read(|scope| scope.carrier.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream::once};

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[tokio::test(start_paused = true)]
    async fn deadlines_shrink_and_never_grow() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let none = Carrier::default();
        let inner = scope(&none, Some(now + 9 * second), Span::none(), async { remaining(60 * second) });
        let outer = scope(&none, Some(now + 5 * second), Span::none(), inner);
        assert_eq!(outer.await, 5 * second);
        assert_eq!(remaining(second), second, "outside a scope only the cap counts");
    }

    #[tokio::test]
    async fn the_callers_trace_goes_on_without_any_telemetry() {
        let carrier = Carrier { traceparent: Some(PARENT.into()), tracestate: None, canary: true };
        let inside = scope(&carrier, None, Span::none(), async { (trace_id(), canary(), Carrier::current()) }).await;
        assert_eq!(inside, (Some("4bf92f3577b34da6a3ce929d0e0e4736".into()), true, carrier));
    }

    #[tokio::test]
    async fn what_was_left_for_later_has_the_mark_of_its_cause_and_not_its_trace() {
        let cause = Carrier { traceparent: Some(PARENT.into()), tracestate: Some("a=b".into()), canary: true };
        let inside = background(&cause, None, Span::none(), async { (trace_id(), Carrier::current()) }).await;
        assert_eq!(inside.1, Carrier { canary: true, ..Carrier::default() });
        assert!(inside.0.is_some_and(|id| !PARENT.contains(&id)));
    }

    #[tokio::test]
    async fn a_stream_is_part_of_what_it_was_made_in() {
        let carrier = Carrier { traceparent: Some(PARENT.into()), tracestate: None, canary: true };
        let soon = Some(Instant::now() + Duration::from_secs(1));
        let seen = async { carried(once(async { (trace_id(), canary(), deadline(), Carrier::current()) })) };
        let stream = scope(&carrier, soon, Span::none(), seen).await;
        let seen: Vec<_> = stream.collect().await;
        assert_eq!(seen, [(Some("4bf92f3577b34da6a3ce929d0e0e4736".into()), true, None, carrier)]);
    }

    #[tokio::test]
    async fn a_request_without_trace_gets_an_id() {
        let id = scope(&Carrier::default(), None, Span::none(), async { trace_id() }).await;
        assert_eq!(id.map(|id| id.len()), Some(32));
    }

    #[test]
    fn without_a_trace_nothing_is_invented() {
        assert_eq!(Carrier::current(), Carrier::default());
    }
}
