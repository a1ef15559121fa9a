//! The operations that are open on a connection, by the client's names for them.

use std::{collections::HashMap, sync::Arc};

use async_graphql::Response;
use futures::{
    Stream, StreamExt as _,
    future::{AbortHandle, ready},
    stream::{BoxStream, SelectAll, abortable, once, pending},
};

/// The most at once.
const MAX: usize = 8;

/// An answer to an operation; `None` where there will be no other.
pub(super) type Answer = (Arc<str>, Option<Response>);

/// Operations, each of which is answered in its turn.
pub(super) struct Operations {
    /// What comes, without an end: another operation may begin.
    pub(super) answers: SelectAll<BoxStream<'static, Answer>>,
    open: HashMap<Arc<str>, AbortHandle>,
}

impl Operations {
    pub(super) fn none() -> Self {
        Self { answers: SelectAll::from_iter([pending().boxed()]), open: HashMap::new() }
    }

    pub(super) fn is_open(&self, id: &str) -> bool {
        self.open.contains_key(id)
    }

    pub(super) fn are_too_many(&self) -> bool {
        self.open.len() >= MAX
    }

    pub(super) fn begin(&mut self, id: &str, answers: impl Stream<Item = Response> + Send + 'static) {
        let id: Arc<str> = id.into();
        let (name, last) = (Arc::clone(&id), Arc::clone(&id));
        let answers = answers.map(move |answer| (Arc::clone(&name), Some(answer)));
        let (answers, abort) = abortable(answers.chain(once(ready((last, None)))));
        self.answers.push(answers.boxed());
        self.open.insert(id, abort);
    }

    pub(super) fn end(&mut self, id: &str) {
        if let Some(abort) = self.open.remove(id) {
            abort.abort();
        }
    }
}
